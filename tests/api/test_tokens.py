"""Tokens as files: only hashes, only for their owner, and never a crash for what is no token."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from portway.api.roles import Role
from portway.api.tokens import TokenFolder
from portway.core.errors import RequestError


@pytest.fixture
def folder(tmp_path: Path) -> TokenFolder:
    return TokenFolder(tmp_path / "tokens")


def test_a_token_has_the_role_it_was_made_with(folder: TokenFolder) -> None:
    made = {role: folder.create(role.value, role, now_ms=7) for role in Role}
    assert {role: folder.role_of(text.encode()) for role, text in made.items()} == {
        role: role for role in Role
    }
    assert [(name, token.role) for name, token in folder.names()] == [
        ("admin", Role.ADMIN),
        ("deploy", Role.DEPLOY),
        ("read", Role.READ),
    ]
    assert folder.role_of(b"") is None
    assert folder.role_of(made[Role.ADMIN].encode()[:-1]) is None


def test_a_token_is_kept_as_a_hash_and_for_its_owner_alone(
    folder: TokenFolder, tmp_path: Path
) -> None:
    text = folder.create("ci", Role.DEPLOY, now_ms=0)
    directory = tmp_path / "tokens"
    (path,) = directory.iterdir()
    assert text.rpartition("-")[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_no_token_is_made_twice_or_revoked_twice(folder: TokenFolder) -> None:
    folder.create("ci", Role.READ, now_ms=0)
    with pytest.raises(RequestError, match="already"):
        folder.create("ci", Role.ADMIN, now_ms=0)
    folder.revoke("ci")
    with pytest.raises(RequestError, match="no token called ci"):
        folder.revoke("ci")
    assert folder.is_used
    assert folder.names() == ()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", ".hidden", "a\n", "x" * 64])
def test_a_name_that_cannot_be_a_file_is_refused(folder: TokenFolder, name: str) -> None:
    with pytest.raises(RequestError, match="cannot be the name"):
        folder.create(name, Role.READ, now_ms=0)
    with pytest.raises(RequestError, match="cannot be the name"):
        folder.revoke(name)


@pytest.mark.parametrize("damage", [b"{", b'{"name": "\xff"}', b'{"x":' + b"[" * 3000])
def test_a_file_that_is_no_token_opens_nothing_and_is_named(
    folder: TokenFolder, tmp_path: Path, damage: bytes
) -> None:
    text = folder.create("ci", Role.READ, now_ms=0)
    (tmp_path / "tokens" / "broken.json").write_bytes(damage)
    assert folder.role_of(text.encode()) is Role.READ
    assert folder.role_of(b"{") is None
    with pytest.raises(RequestError, match=r"broken\.json is no token"):
        folder.names()
