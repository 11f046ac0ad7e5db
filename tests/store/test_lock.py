"""The lock of a home: one holder, named, and given back by the kernel."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from portway.core.errors import StoreError
from portway.store.lock import LOCK_NAME, HomeLock

HOLDER = """
import sys
from pathlib import Path
from portway.store.lock import HomeLock
lock = HomeLock(Path(sys.argv[1]))
lock.acquire()
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_home_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path / "a" / "home")
    lock.acquire()
    lock.release()
    assert stat.S_IMODE((tmp_path / "a" / "home").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "a" / "home" / LOCK_NAME).stat().st_mode) == 0o600


def test_a_home_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    lock = HomeLock(tmp_path)
    lock.acquire()
    lock.release()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_the_second_is_refused_naming_the_process_that_holds_it(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    lock.acquire()
    with pytest.raises(StoreError, match=rf"process {os.getpid()}\) already runs with the home"):
        HomeLock(tmp_path).acquire()
    lock.release()


def test_a_lock_let_go_can_be_taken_again(tmp_path: Path) -> None:
    for _ in range(3):
        lock = HomeLock(tmp_path)
        lock.acquire()
        lock.release()
        lock.release()


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(StoreError, match=f"process {holder.pid}"):
            HomeLock(tmp_path).acquire()
        holder.kill()
        holder.wait(20)
        lock = HomeLock(tmp_path)
        lock.acquire()
        lock.release()


def test_programs_started_by_the_holder_do_not_keep_the_lock(tmp_path: Path) -> None:
    lock = HomeLock(tmp_path)
    lock.acquire()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False):
        lock.release()
        again = HomeLock(tmp_path)
        again.acquire()
        again.release()


def test_a_home_that_cannot_be_made_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be used: ") as caught:
        HomeLock(tmp_path / "file" / "home").acquire()
    assert "--home" in caught.value.hint
    with pytest.raises(StoreError, match="cannot be used: it is not a directory"):
        HomeLock(tmp_path / "file").acquire()
