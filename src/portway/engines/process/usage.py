"""What the processes of an instance use of the machine, from /proc: one line of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from portway.core.instance import EngineState
from portway.engines.base import Usage
from portway.engines.process import kernel
from portway.engines.process.cgroups import Cgroups
from portway.engines.process.handle import InstanceHandle

_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Of /proc/PID/stat, counted from the state: processor time of the process and of the children it has waited for.
_TIMES = slice(11, 15)
_PAGES = 21


def usage_of_all(handles: Iterable[InstanceHandle], cgroups: Cgroups) -> Mapping[str, Usage]:
    """By instance, of those that run: what is in their control groups, else in the groups their commands lead."""
    running = [each for each in handles if each.refresh() is EngineState.RUNNING]
    pids = {each.id: cgroups.members(each.record.cgroups) for each in running}
    groups: Mapping[int, Sequence[int]] = {} if all(pids.values()) else by_group()
    found: dict[str, Usage] = {}
    for handle in running:
        child = handle.directory.child()
        # At its very beginning it is in no group of its own.
        own = pids[handle.id] or (groups.get(child.pid, [child.pid]) if child else ())
        if (usage := usage_of(own)) is not None:
            found[handle.id] = usage
    return found


def usage_of(pids: Iterable[int], *, proc: Path = kernel.PROC) -> Usage | None:
    """Of all of them together; None when not one of them runs."""
    found: list[Usage] = []
    for pid in pids:
        with suppress(OSError):  # it has ended since
            text = (proc / str(pid) / "stat").read_text(errors="replace")
            if (one := parse(text)) is not None:
                found.append(one)
    if not found:
        return None
    return Usage(
        cpu_us=sum(one.cpu_us for one in found), memory_bytes=sum(one.memory_bytes for one in found)
    )


def parse(text: str) -> Usage | None:
    """Of one process, from its line; None when it is not whole, or the process has ended."""
    fields = text.rpartition(")")[2].split()
    if len(fields) <= _PAGES or fields[0] in "ZX":
        return None
    ticks = sum(map(int, fields[_TIMES]))
    return Usage(cpu_us=ticks * _TICK_US, memory_bytes=int(fields[_PAGES]) * _PAGE_BYTES)


def by_group() -> dict[int, list[int]]:
    """Every process of this machine, by the leader of its group."""
    groups: dict[int, list[int]] = {}
    for entry in os.scandir(kernel.PROC):
        if entry.name.isdecimal() and (status := kernel.observe_process(int(entry.name))):
            groups.setdefault(status.group, []).append(status.stamp.pid)
    return groups
