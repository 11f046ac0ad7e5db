"""The store is read-only, damaged or lost (a full disk is in test_bad_input.py): nothing new is decided, everything is served, and it says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.chaos.support import Site, kill, length, report
from tests.e2e.machine import ROOT, get, until

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(length(120, 600))]


@pytest.fixture
def frozen(site: Site) -> Iterator[list[Path]]:
    """Files that cannot be written any more, whoever has them open."""
    files: list[Path] = []
    yield files
    _thaw(files)


def _freeze(path: Path) -> None:
    if subprocess.run(["chattr", "+i", str(path)], check=False, capture_output=True).returncode:
        pytest.skip("this machine's file system cannot make a file immutable")


def _thaw(files: list[Path]) -> None:
    for path in files:
        subprocess.run(["chattr", "-i", str(path)], check=True)
    files.clear()


@pytest.mark.root
def test_a_store_that_turns_read_only_refuses_changes_and_takes_them_again_when_mended(
    site: Site, frozen: list[Path]
):
    """C6."""
    site.deploy("v0", count=1)
    site.write("v1", count=1)
    with Prober(site.url, rate_per_s=50) as prober:
        for name in ("portway.db", "portway.db-wal"):
            _freeze(site.machine.home / name)
            frozen.append(site.machine.home / name)
        said = site.machine.refused("deploy", code=1)
        assert "portway.db" in said
        assert "portway tries again by itself" in said
        assert site.machine.json("ps")[0]["health"] == "healthy"
        _thaw(frozen)
        site.machine.ok("deploy")
    assert prober.result.failures == []
    assert get(site.url) == "v1"


def test_a_truncated_store_is_refused_untouched_and_mended_by_its_backup(site: Site):
    """C6: the server does not start on it; instances and HAProxy go on."""
    site.deploy("v0")
    before = site.pids()
    with Prober(site.url, rate_per_s=50) as prober:
        site.machine.ok("server", "stop")
        store, backup = site.machine.home / "portway.db", site.machine.directory / "backup"
        shutil.copy(store, backup)
        os.truncate(store, store.stat().st_size // 2)
        damaged = store.read_bytes()
        said = site.machine.refused("server", "start", code=1)
        assert "is damaged" in said
        assert "Restore the file from a backup" in said
        assert store.read_bytes() == damaged, "nothing is written over it"
        shutil.copy(backup, store)
        site.machine.start_server()
        assert set(site.pids()) == set(before)
        site.deploy("v1")
    assert prober.result.failures == []


def test_what_runs_without_its_store_is_taken_over_by_the_next_deploy(site: Site):
    """C6: the store is lost for good, as the refusal advises."""
    site.deploy("v0")
    with Prober(site.url, rate_per_s=50) as prober:
        kill(site.machine.server_pid())
        for path in site.machine.home.glob("portway.db*"):
            path.unlink()
        site.machine.start_server()
        until(lambda: "deploy shop again to take it over" in _problems(site))
        assert get(site.url) == "v0"
        assert prober.result.failures == []
        site.deploy("v1")
    report(f"C6: store lost: {prober.result}")
    assert get(site.url) == "v1"
    until(lambda: len(site.pids()) == len(site.instances()) == 2, why="nothing is orphaned")


def _problems(site: Site) -> str:
    return "; ".join(site.ask("GET", "/server")["problems"])
