"""Tokens: further keys to the API, each with a role. A file each in the home's `tokens/`, which holds only a hash.

Made, listed and revoked by whoever may write there; never over the API. The server reads the files at every
request, so that a revoked token is refused from the next one on.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from portway.api.roles import Role
from portway.core.errors import RequestError

FOLDER = "tokens"
TOKENS_MAX = 1000
_FILE_SIZE_MAX_BYTES = 4096
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token as it is kept. `sha256` is of a random text of 256 bits, so nobody guesses back from it."""

    role: Role
    sha256: str
    created_at_ms: int = 0


class TokenFolder:
    """The tokens of one home."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def is_used(self) -> bool:
        """Whether a token was ever made: from then on TCP asks for one, also once all are revoked."""
        return self._path.is_dir()

    def role_of(self, given: bytes) -> Role | None:
        """The role of the token somebody showed, None when it is none of them. Takes equally long for each."""
        digest = hashlib.sha256(given).hexdigest()
        found: Role | None = None
        for _, token in self._tokens():
            if hmac.compare_digest(token.sha256.encode(), digest.encode()):
                found = token.role
        return found

    def names(self) -> tuple[tuple[str, Token], ...]:
        """Every token by name; RequestError for a file that is none."""
        return tuple(self._tokens(strict=True))

    def create(self, name: str, role: Role, *, now_ms: int) -> str:
        """Make a token and give its text, which is nowhere else; 409 when the name is taken."""
        _check_name(name)
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.chmod(0o700)
        text = f"portway-{role.value}-{secrets.token_urlsafe(32)}"
        token = Token(
            role=role, sha256=hashlib.sha256(text.encode()).hexdigest(), created_at_ms=now_ms
        )
        draft = self._path / f".{name}.{secrets.token_hex(4)}"
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(token) + b"\n")
            os.link(draft, self._path / f"{name}.json")  # fails where the name is taken
        except FileExistsError:
            raise RequestError(
                f"There is a token called {name} already.",
                hint=f"Choose another name, or `portway token revoke {name}` first.",
                http_status=409,
            ) from None
        finally:
            draft.unlink(missing_ok=True)
        return text

    def revoke(self, name: str) -> None:
        """Forget a token; 404 when there is none of that name."""
        _check_name(name)
        try:
            (self._path / f"{name}.json").unlink()
        except FileNotFoundError:
            raise RequestError(
                f"There is no token called {name}.",
                hint="`portway token list` shows them.",
                http_status=404,
            ) from None

    def _tokens(self, *, strict: bool = False) -> Iterator[tuple[str, Token]]:
        for path in sorted(self._path.glob("*.json"))[:TOKENS_MAX]:
            try:
                with path.open("rb") as file:
                    token = msgspec.json.decode(file.read(_FILE_SIZE_MAX_BYTES), type=Token)
            except FileNotFoundError:
                continue  # revoked at this moment
            except (OSError, ValueError, RecursionError) as error:
                if strict:
                    raise RequestError(
                        f"{path} is no token of portway.",
                        hint="Delete that file, and make the token again.",
                    ) from error
                continue
            yield path.stem, token


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise RequestError(
            f'"{name[:80]}" cannot be the name of a token.',
            hint="Use lower-case letters, digits, - and _, at most 63 of them.",
        )
