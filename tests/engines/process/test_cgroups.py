"""What is written into control groups, in a directory that only looks like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from portway.core.app import Resources
from portway.engines.process.cgroups import Cgroups

ALL = Resources(
    memory_bytes=64 << 20,
    memory_reservation_bytes=32 << 20,
    cpus=1.5,
    cpu_shares=1024,
    pids=50,
)


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    for controller in ("memory", "cpu", "pids"):
        (tmp_path / controller).mkdir()
    return tmp_path


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    return tmp_path


def contents(directory: str) -> dict[str, str]:
    return {path.name: path.read_text() for path in Path(directory).iterdir() if path.is_file()}


def test_version_1_has_a_group_under_each_controller(version_1: Path) -> None:
    placement = Cgroups("home", root=version_1).place("app", ALL)
    assert placement.warnings == ()
    assert {name: contents(name) for name in placement.directories} == {
        f"{version_1}/memory/portway/home/app": {
            "memory.limit_in_bytes": "67108864",
            "memory.soft_limit_in_bytes": "33554432",
        },
        f"{version_1}/cpu/portway/home/app": {"cpu.cfs_quota_us": "150000", "cpu.shares": "1024"},
        f"{version_1}/pids/portway/home/app": {"pids.max": "50"},
    }


def test_version_2_has_one_group_for_everything(version_2: Path) -> None:
    placement = Cgroups("home", root=version_2).place("app", ALL)
    assert placement.warnings == ()
    assert placement.directories == (f"{version_2}/portway/home/app",)
    assert contents(placement.directories[0]) == {
        "memory.max": "67108864",
        "memory.low": "33554432",
        "cpu.max": "150000 100000",
        "cpu.weight": "39",
        "pids.max": "50",
    }
    for level in (version_2, version_2 / "portway", version_2 / "portway/home"):
        assert (level / "cgroup.subtree_control").exists()


def test_without_limits_one_group_is_made_to_find_what_is_left_behind(version_1: Path) -> None:
    placement = Cgroups("home", root=version_1).place("app", Resources())
    assert placement.directories == (f"{version_1}/pids/portway/home/app",)


def test_a_controller_that_is_missing_is_a_warning_and_the_others_still_hold(
    version_1: Path,
) -> None:
    (version_1 / "memory").rmdir()
    placement = Cgroups("home", root=version_1).place("app", ALL)
    assert [warning.partition(":")[0] for warning in placement.warnings] == [
        "The memory limit is not enforced",
        "The memory reservation is not enforced",
    ]
    assert len(placement.directories) == 2


def test_without_control_groups_nothing_is_made_and_only_limits_warn(tmp_path: Path) -> None:
    cgroups = Cgroups("home", root=tmp_path / "none")
    assert cgroups.place("app", Resources()).warnings == ()
    limited = cgroups.place("app", Resources(cpus=1))
    assert limited.directories == ()
    assert len(limited.warnings) == 1


def test_removed_groups_take_the_empty_ones_above_them_along(version_1: Path) -> None:
    cgroups = Cgroups("home", root=version_1)
    first, second = (cgroups.place(name, Resources()) for name in ("one", "two"))
    assert cgroups.remove(first.directories)
    assert Path(second.directories[0]).exists()
    assert cgroups.remove(second.directories)
    assert list((version_1 / "pids").iterdir()) == []
    assert cgroups.remove(second.directories)


def test_a_group_in_use_is_not_removed(version_1: Path) -> None:
    cgroups = Cgroups("home", root=version_1)
    placement = cgroups.place("app", Resources(pids=5))
    assert not cgroups.remove(placement.directories)


def test_a_home_cannot_leave_its_place_by_its_name(version_1: Path) -> None:
    placement = Cgroups("../../etc", root=version_1).place("app", Resources())
    assert Path(placement.directories[0]).parent.name == "..%2F..%2Fetc"
