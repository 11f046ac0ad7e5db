"""Call: one request to the Marathon face, read; and Endpoint: one row of its table."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.types import ASGIApp

from portway.api.marathon.infos import Infos
from portway.api.roles import Role, role_in
from portway.api.settings import ApiSettings
from portway.controller.marathon.catalogue import Entry
from portway.controller.marathon.desk import Marathon
from portway.controller.marathon.refusals import because, no_such
from portway.core.errors import RequestError
from portway.manifests.marathon.body import parse_body
from portway.manifests.marathon.paths import canonical, path_faults
from portway.manifests.marathon.refusal import Violation, invalid

_TRUE = ("true", "1", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What every call needs. `closing` is set when the server stops."""

    marathon: Marathon
    infos: Infos
    settings: ApiSettings
    closing: asyncio.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request: the parts of its path, its query, its body, and whose it is."""

    shared: Shared
    request: Request
    parts: Mapping[str, str]
    content: bytes

    @property
    def marathon(self) -> Marathon:
        """What answers."""
        return self.shared.marathon

    @property
    def query(self) -> QueryParams:
        """The query, with whatever is repeated."""
        return self.request.query_params

    @property
    def role(self) -> Role:
        """What the caller may do."""
        return role_in(self.request.scope)

    @property
    def within_policy(self) -> bool:
        """Whether the policy binds the caller."""
        return not self.role.covers(Role.ADMIN)

    @property
    def client_ip(self) -> str:
        """Where it came from, as events say it."""
        return self.request.client.host if self.request.client else "127.0.0.1"

    @property
    def uri(self) -> str:
        """Its path, as events say it."""
        return self.request.url.path

    def json(self) -> Any:
        """The body; MarathonRefusal when it is none."""
        try:
            return parse_body(self.content.decode())
        except UnicodeDecodeError as error:
            body = {"message": "Invalid JSON", "details": f"byte {error.start} is not UTF-8"}
            raise because_json(body) from None

    def object(self) -> dict[str, Any]:
        """The body, an object."""
        value = self.json()
        if not isinstance(value, dict):
            raise invalid_json("error.expected.jsobject")
        return value

    def array(self) -> list[Any]:
        """The body, an array."""
        value = self.json()
        if not isinstance(value, list):
            raise invalid_json("error.expected.jsarray")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A switch of the query; `?force` alone is true."""
        given = self.query.get(name)
        return default if given is None else given.lower() in _TRUE

    def path(self, name: str = "id") -> str:
        """The id in the path, absolute; what can be no id does not exist."""
        return canonical(self.parts.get(name, ""))

    def new_path(self, name: str = "id") -> str:
        """The id in the path of what is to be made; refused where no app may be called so."""
        path = self.path(name)
        faults = tuple(path_faults(path))
        if faults:
            raise invalid([Violation(where=("id",), error=fault) for fault in faults])
        return path

    def entry(self, kind: str, path: str | None = None) -> Entry:
        """The app or pod in the path; 404 without one."""
        path = self.path() if path is None else path
        known = self.marathon.find(path)
        if known is None or known.kind != kind:
            raise no_such(kind.capitalize(), path)
        return known


def because_json(body: dict[str, Any]) -> Exception:
    """400 for what is no JSON."""
    refusal = because(400, "Invalid JSON")
    refusal.body = body
    return refusal


def invalid_json(code: str) -> Exception:
    """422 for JSON of another shape than is read here."""
    refusal = because(422, "Invalid JSON")
    refusal.body = {"message": "Invalid JSON", "details": [{"path": "/", "errors": [code]}]}
    return refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One operation. `path` has parts in braces; `tells` what it does and `differs` where it is not as in Marathon."""

    method: str
    path: str
    handle: Callable[[Call], Awaitable[ASGIApp]]
    tells: str
    parameters: tuple[str, ...] = ()
    differs: str = ""
    role: Role | None = None  # None: READ to look, DEPLOY to change

    @property
    def needs(self) -> Role:
        """The role that covers it."""
        if self.role is not None:
            return self.role
        return Role.READ if self.method == "GET" else Role.DEPLOY


def pattern_of(path: str) -> re.Pattern[str]:
    """What the path of a request must look like; an id may have several parts, a name has one."""
    written = re.escape(path).replace(r"\{", "{").replace(r"\}", "}")
    several = {"id", "group"}
    return re.compile(
        re.sub(
            r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{'.+?' if m[1] in several else '[^/]+'})", written
        )
    )


def refuse_large(size_bytes: int, size_max_bytes: int) -> None:
    """RequestError (413) for a body that is larger than the server reads."""
    if size_bytes > size_max_bytes:
        raise RequestError(
            f"The body is larger than {size_max_bytes} bytes.",
            hint="Send less at once, or start the server with a larger --body-size-max.",
            http_status=413,
        )
