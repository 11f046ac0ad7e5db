"""Face: what an operation of the AWS face works with. It is told, not asked: no operation looks at the request's headers."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from portway.api.aws.keys import KeyFolder
from portway.api.aws.turns import Turns
from portway.api.roles import Role
from portway.controller.contract import Operations
from portway.store.base import Documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose key signed the request. `role` bounds what it may do; `key_id` is the key that a session came from, too."""

    name: str
    role: Role
    access_key_id: str = ""  # as the request named it
    key_id: str = ""
    arn: str = ""
    user_id: str = ""
    is_session: bool = False

    @property
    def within_policy(self) -> bool:
        """Whether the server's policy binds what this caller may have run."""
        return self.role is not Role.ADMIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """The server as an operation sees it."""

    operations: Operations
    documents: Documents
    keys: KeyFolder
    account_id: str
    region: str
    caller: Caller
    home_id: str = ""
    now_ms: Callable[[], int]
    new_id: Callable[[int], str] = field(default=secrets.token_hex)  # hexadecimal, of so many bytes
    turns: Turns = field(default_factory=Turns)  # one for all requests

    def alone(self, key: str) -> AbstractAsyncContextManager[None]:
        """Have an object (its ARN, or what else it is called) alone, from the look at it to the last save."""
        return self.turns.take(key)

    def arn(self, service: str, resource: str, *, is_global: bool = False) -> str:
        """arn:aws:ecs:us-east-1:000000000000:cluster/default"""
        region = "" if is_global else self.region
        return f"arn:aws:{service}:{region}:{self.account_id}:{resource}"
