"""What containers use of the machine: from the kernel's control groups, a few small files each; else from the daemon.

The groups are found by the process of a container, and believed only where they are named after it: with a daemon on
another machine the number means some other process here.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from portway.engines.base import Usage
from portway.engines.docker.api import ContainerStats
from portway.engines.docker.client import SLOW_S, DockerClient
from portway.engines.docker.errors import DockerRefusal

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")


async def usage_of(client: DockerClient, container_id: str, pid: int) -> Usage | None:
    """Of one running container; None once it has ended."""
    found = read_groups(container_id, pid)
    if found is not None:
        return found
    try:
        answer = await client.call(
            "GET",
            f"containers/{container_id}/stats",
            params={"stream": "false", "one-shot": "true"},
            timeout_s=SLOW_S,
        )
    except DockerRefusal as refusal:
        if refusal.status in (404, 409):
            return None
        raise
    return as_usage(msgspec.json.decode(answer, type=ContainerStats))


def read_groups(
    container_id: str, pid: int, *, proc: Path = PROC, root: Path = CGROUPS
) -> Usage | None:
    """By the container's control groups, of version 1 or 2; None where they cannot be read, or are not its own."""
    with suppress(OSError, ValueError, KeyError):
        paths = _paths((proc / str(pid) / "cgroup").read_text())
        if (root / "cgroup.controllers").exists():
            return _unified(root, paths[""], container_id)
        return _separate(root, paths, container_id)
    return None


def as_usage(stats: ContainerStats) -> Usage | None:
    """What the daemon says; a container that has ended used no memory and says nothing."""
    memory = stats.memory_stats
    if not memory.usage:
        return None
    cached = memory.stats.get("total_inactive_file", memory.stats.get("inactive_file", 0))
    return Usage(
        cpu_us=stats.cpu_stats.cpu_usage.total_usage // 1000,
        memory_bytes=max(0, memory.usage - cached),
    )


def _paths(text: str) -> dict[str, str]:
    """/proc/PID/cgroup: the group by controller; "" is the one of version 2."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path.lstrip("/"))
    return found


def _unified(root: Path, path: str, container_id: str) -> Usage | None:
    if container_id not in path:
        return None
    group = root / path
    cached = _fields(group / "memory.stat").get("inactive_file", 0)
    return Usage(
        cpu_us=_fields(group / "cpu.stat")["usage_usec"],
        memory_bytes=max(0, int((group / "memory.current").read_text()) - cached),
    )


def _separate(root: Path, paths: Mapping[str, str], container_id: str) -> Usage | None:
    if container_id not in paths["cpuacct"] or container_id not in paths["memory"]:
        return None
    cpu, memory = root / "cpuacct" / paths["cpuacct"], root / "memory" / paths["memory"]
    cached = _fields(memory / "memory.stat").get("total_inactive_file", 0)
    return Usage(
        cpu_us=int((cpu / "cpuacct.usage").read_text()) // 1000,
        memory_bytes=max(0, int((memory / "memory.usage_in_bytes").read_text()) - cached),
    )


def _fields(path: Path) -> dict[str, int]:
    words = (line.split() for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2}
