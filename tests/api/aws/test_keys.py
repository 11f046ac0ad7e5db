"""Access keys: files that only their owner reads, and sessions that are kept nowhere."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from portway.api.aws.keys import KeyFolder, open_session, read_session, session_secret
from portway.api.roles import Role
from portway.core.errors import RequestError


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "aws-keys")


def test_the_default_key_is_made_once(folder: KeyFolder) -> None:
    made = folder.default(now_ms=1)
    assert (made.name, made.role, made.created_at_ms) == ("default", Role.ADMIN, 1)
    assert folder.default(now_ms=2) == made == folder.find(made.access_key_id)


def test_only_the_owner_reads_a_key(folder: KeyFolder, tmp_path: Path) -> None:
    folder.default(now_ms=1)
    paths = [tmp_path / "aws-keys", *(tmp_path / "aws-keys").iterdir()]
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o700, 0o600]


def test_a_secret_is_not_shown_by_accident(folder: KeyFolder) -> None:
    made = folder.default(now_ms=1)
    assert made.secret not in repr(made)


@pytest.mark.parametrize("key_id", ["", "AKIA", "../x", "AKIA" + "A" * 16, "AKIA" + "/" * 16])
def test_what_is_no_key_of_this_home_is_not_found(folder: KeyFolder, key_id: str) -> None:
    folder.default(now_ms=1)
    assert folder.find(key_id) is None


@pytest.mark.parametrize("damage", [b"{", b'{"name": "\xff"}', b'{"x":' + b"[" * 3000])
def test_a_damaged_key_is_none_and_is_named_when_keys_are_listed(
    folder: KeyFolder, tmp_path: Path, damage: bytes
) -> None:
    made = folder.default(now_ms=1)
    path = tmp_path / "aws-keys" / f"{made.access_key_id}.json"
    path.write_bytes(damage)
    assert folder.find(made.access_key_id) is None
    with pytest.raises(RequestError, match="is no access key of portway"):
        folder.all()


def test_a_name_is_taken_once_and_free_again_when_revoked(folder: KeyFolder) -> None:
    first = folder.create("ci", Role.READ, now_ms=1)
    with pytest.raises(RequestError, match="called ci already") as caught:
        folder.create("ci", Role.READ, now_ms=1)
    assert caught.value.http_status == 409
    assert folder.revoke("ci") == first
    assert folder.find(first.access_key_id) is None
    folder.create("ci", Role.READ, now_ms=1)
    with pytest.raises(RequestError, match="cannot be the name"):
        folder.create("a/b", Role.READ, now_ms=1)


def test_a_session_is_read_out_of_its_token(folder: KeyFolder) -> None:
    parent = folder.default(now_ms=1)
    made = open_session(parent, expires_at_ms=9, arn="arn:x")
    found = read_session(folder, made.token)
    assert found is not None
    session, key = found
    assert (session.access_key_id, session.expires_at_ms, session.arn) == (made.access_key_id, 9, "arn:x")  # fmt: skip
    assert key == parent
    assert session_secret(key, made.token) == made.secret


def test_no_session_is_made_without_the_secret_of_its_key(folder: KeyFolder) -> None:
    parent, other = folder.default(now_ms=1), folder.create("other", Role.READ, now_ms=1)
    made, forged = open_session(other, expires_at_ms=9), open_session(parent, expires_at_ms=9)
    assert made.secret != forged.secret
    deep = base64.b64encode(b"s" * 32 + b'{"x":' + b"[" * 3000).decode()
    for token in (
        "",
        "x",
        "é",
        deep,
        made.token[:-8],
        forged.token[:40] + made.token[40:],
        "A" * 5000,
    ):
        assert read_session(folder, token) is None
    folder.revoke("other")
    assert read_session(folder, made.token) is None
