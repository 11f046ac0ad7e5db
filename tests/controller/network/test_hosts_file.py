"""The block of names in a hosts file."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from portway.controller.network.hosts_file import HostsFile

NAMES = {"web-1.r.elb.amazonaws.com": "127.64.0.1"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "hosts"
    made.write_bytes(b"127.0.0.1 localhost \xff\n")
    made.chmod(0o640)
    return made


def test_names_come_and_go_and_every_other_byte_stays(path: Path):
    before = path.read_bytes()
    hosts = HostsFile(path, "h1")
    hosts.write(NAMES)
    assert b"127.64.0.1 web-1.r.elb.amazonaws.com\n" in path.read_bytes()
    assert hosts.addresses() == {"127.0.0.1", "127.64.0.1"}
    hosts.write({})
    assert path.read_bytes() == before
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == ["hosts"]


def test_a_block_that_is_right_is_not_written_again(path: Path):
    hosts = HostsFile(path, "h1")
    hosts.write(NAMES)
    inode = path.stat().st_ino
    hosts.write(NAMES)
    assert path.stat().st_ino == inode


def test_a_link_stays_a_link(path: Path):
    link = path.with_name("link")
    link.symlink_to(path)
    HostsFile(link, "h1").write(NAMES)
    assert link.is_symlink()
    assert b"web-1" in path.read_bytes()


def test_a_file_that_cannot_be_replaced_is_written_in_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    def is_mount(_: Path) -> bool:
        return True

    monkeypatch.setattr("pathlib.Path.replace", busy)
    with pytest.raises(OSError, match="busy"):
        HostsFile(path, "h1").write(NAMES)
    monkeypatch.setattr("pathlib.Path.is_mount", is_mount)
    HostsFile(path, "h1").write(NAMES)
    assert b"web-1" in path.read_bytes()
    assert [entry.name for entry in path.parent.iterdir()] == ["hosts"]


def test_where_there_is_no_file_none_is_made(tmp_path: Path):
    hosts = HostsFile(tmp_path / "none", "h1")
    assert not hosts.is_writable
    assert hosts.addresses() == frozenset()
    assert not HostsFile(tmp_path, "h1").is_writable
