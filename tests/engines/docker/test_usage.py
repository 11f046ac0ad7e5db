"""What containers use, out of control groups and out of the daemon's answer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from portway.engines.base import Usage
from portway.engines.docker.api import ContainerStats
from portway.engines.docker.usage import as_usage, read_groups

ID = "c0ffee"
UNIFIED = {
    "proc/7/cgroup": f"0::/system.slice/docker-{ID}.scope\n",
    "groups/cgroup.controllers": "cpu memory",
    f"groups/system.slice/docker-{ID}.scope/cpu.stat": "usage_usec 5000\nuser_usec 1\n",
    f"groups/system.slice/docker-{ID}.scope/memory.current": "4096\n",
    f"groups/system.slice/docker-{ID}.scope/memory.stat": "anon 1\ninactive_file 96\n",
}
SEPARATE = {
    "proc/7/cgroup": f"4:memory:/docker/{ID}\n2:cpu,cpuacct:/docker/{ID}\n0::/\n",
    f"groups/cpuacct/docker/{ID}/cpuacct.usage": "5000999\n",
    f"groups/memory/docker/{ID}/memory.usage_in_bytes": "4096\n",
    f"groups/memory/docker/{ID}/memory.stat": "cache 1\ntotal_inactive_file 96\n",
}
FOUND = Usage(cpu_us=5000, memory_bytes=4000)


def written(directory: Path, files: Mapping[str, str]) -> Usage | None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return read_groups(ID, 7, proc=directory / "proc", root=directory / "groups")


@pytest.mark.parametrize("files", [UNIFIED, SEPARATE], ids=["v2", "v1"])
def test_control_groups_of_both_versions_are_read(tmp_path: Path, files: dict[str, str]) -> None:
    assert written(tmp_path, files) == FOUND


@pytest.mark.parametrize("files", [UNIFIED, SEPARATE], ids=["v2", "v1"])
def test_the_groups_of_another_process_are_not_believed(
    tmp_path: Path, files: dict[str, str]
) -> None:
    other = {key: value.replace(ID, "other") for key, value in files.items()}
    assert written(tmp_path, {key.replace(ID, "other"): v for key, v in other.items()}) is None


def test_without_readable_groups_nothing_is_found(tmp_path: Path) -> None:
    assert written(tmp_path, {}) is None
    assert written(tmp_path, {"proc/7/cgroup": "nonsense"}) is None


def test_what_the_daemon_says_is_read_less_what_could_be_given_back() -> None:
    text = b'{"cpu_stats":{"cpu_usage":{"total_usage":5000999}},"memory_stats":{"usage":4096,"stats":{"inactive_file":96}}}'
    assert as_usage(msgspec.json.decode(text, type=ContainerStats)) == FOUND
    assert as_usage(ContainerStats()) is None
