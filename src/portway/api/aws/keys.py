"""Access keys of the AWS face: a file each in the home's `aws-keys/`, mode 0600, read at every request.

A signature is checked by making it again, so the secret itself is kept, unlike with tokens. Credentials of a
session (STS) are kept nowhere: the session token carries what they are, sealed with the key they came from.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import msgspec

from portway.api.roles import Role
from portway.core.errors import RequestError

FOLDER = "aws-keys"
DEFAULT_NAME = "default"
KEYS_MAX = 1000
_FILE_SIZE_MAX_BYTES = 4096
_SESSION_TOKEN_LENGTH_MAX = 4096
_KEY_ID = re.compile(r"AKIA[A-Z2-7]{16}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+=,.@_-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """One pair. `name` is the user's name in ARNs."""

    access_key_id: str
    secret: str
    name: str
    role: Role
    created_at_ms: int = 0

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key_id}, {self.name}, {self.role})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a session token says: whose key it came from, until when, and the ARN that its holder has."""

    parent_key_id: str
    access_key_id: str
    expires_at_ms: int
    arn: str = ""
    user_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCredentials:
    """What STS hands out."""

    access_key_id: str
    secret: str
    token: str
    expires_at_ms: int


class KeyFolder:
    """The access keys of one home."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def find(self, access_key_id: str) -> AccessKey | None:
        """The key of an id; None when there is none (any more)."""
        if not _KEY_ID.fullmatch(access_key_id):
            return None
        try:
            return _read(self._path / f"{access_key_id}.json")
        except (OSError, ValueError, RecursionError):
            return None

    def all(self) -> tuple[AccessKey, ...]:
        """Every key, the oldest first; RequestError for a file that is none."""
        keys: list[AccessKey] = []
        for path in sorted(self._path.glob("AKIA*.json"))[:KEYS_MAX]:
            try:
                keys.append(_read(path))
            except FileNotFoundError:
                continue  # revoked at this moment
            except (ValueError, RecursionError) as error:
                raise RequestError(
                    f"{path} is no access key of portway.",
                    hint="Delete that file, and make the key again.",
                ) from error
        return tuple(sorted(keys, key=lambda key: (key.created_at_ms, key.access_key_id)))

    def default(self, *, now_ms: int) -> AccessKey:
        """The key that `portway aws credentials` shows, made when there is none yet."""
        found = next((key for key in self.all() if key.name == DEFAULT_NAME), None)
        return found or self.create(DEFAULT_NAME, Role.ADMIN, now_ms=now_ms)

    def named(self, name: str) -> AccessKey:
        """The key of a name; 404 when there is none."""
        for key in self.all():
            if key.name == name:
                return key
        raise RequestError(
            f"There is no access key called {name}.",
            hint="`portway aws keys` shows them.",
            http_status=404,
        )

    def create(self, name: str, role: Role, *, now_ms: int) -> AccessKey:
        """Make a pair; 409 when the name is taken."""
        if not _NAME.fullmatch(name):
            raise RequestError(
                f'"{name[:80]}" cannot be the name of an access key.',
                hint="Use letters, digits and +=,.@_- , at most 64 of them.",
            )
        if any(key.name == name for key in self.all()):
            raise RequestError(
                f"There is an access key called {name} already.",
                hint=f"Choose another name, or `portway aws keys revoke {name}` first.",
                http_status=409,
            )
        key = AccessKey(
            access_key_id=_new_id("AKIA"),
            secret=secrets.token_urlsafe(30),
            name=name,
            role=role,
            created_at_ms=now_ms,
        )
        self._write(key)
        return key

    def revoke(self, name: str) -> AccessKey:
        """Forget a pair, and with it every session that came from it."""
        key = self.named(name)
        (self._path / f"{key.access_key_id}.json").unlink(missing_ok=True)
        return key

    def _write(self, key: AccessKey) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path.chmod(0o700)
        draft = self._path / f".{secrets.token_hex(8)}"
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(key) + b"\n")
            draft.rename(self._path / f"{key.access_key_id}.json")
        finally:
            draft.unlink(missing_ok=True)


def open_session(
    parent: AccessKey, *, expires_at_ms: int, arn: str = "", user_id: str = ""
) -> SessionCredentials:
    """Credentials that end, made from a key and good for no more than the key is."""
    key_id = _new_id("ASIA")
    session = Session(
        parent_key_id=parent.access_key_id,
        access_key_id=key_id,
        expires_at_ms=expires_at_ms,
        arn=arn,
        user_id=user_id,
    )
    body = msgspec.json.encode(session)
    token = base64.b64encode(_seal(parent, body) + body).decode()
    return SessionCredentials(
        access_key_id=key_id,
        secret=session_secret(parent, token),
        token=token,
        expires_at_ms=expires_at_ms,
    )


def read_session(keys: KeyFolder, token: str) -> tuple[Session, AccessKey] | None:
    """What a session token says and the key it came from; None when it is none of ours, or the key is gone."""
    if len(token) > _SESSION_TOKEN_LENGTH_MAX:
        return None
    try:
        data = base64.b64decode(token, validate=True)
        seal, body = data[:32], data[32:]
        session = msgspec.json.decode(body, type=Session)
    except (ValueError, RecursionError):
        return None
    parent = keys.find(session.parent_key_id)
    if parent is None or not hmac.compare_digest(seal, _seal(parent, body)):
        return None
    return session, parent


def session_secret(parent: AccessKey, token: str) -> str:
    """The secret of a session's credentials, which follows from its token and the key it came from."""
    digest = hmac.new(parent.secret.encode(), b"secret\0" + token.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest[:30]).decode()


def _seal(parent: AccessKey, body: bytes) -> bytes:
    return hmac.new(parent.secret.encode(), b"token\0" + body, hashlib.sha256).digest()


def _read(path: Path) -> AccessKey:
    with path.open("rb") as file:
        return msgspec.json.decode(file.read(_FILE_SIZE_MAX_BYTES), type=AccessKey)


def _new_id(prefix: str) -> str:
    return prefix + base64.b32encode(secrets.token_bytes(10)).decode()
