"""What Linux knows of processes: who a pid really is, whether it lives, which group it leads. Starts nothing.

A pid alone is never trusted: pids are reused. A ProcessStamp (pid and start time) names one process of one boot.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
MARKER = "PORTWAY_INSTANCE"  # in the environment of everything an instance runs
HOME_MARKER = "PORTWAY_HOME_ID"
GROUP_POLL_S = 0.02
_REALTIME_SIGNAL = re.compile(r"RTMIN\+(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStamp:
    """One process, never confused with a later one of the same pid (within one boot)."""

    pid: int
    started_ticks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """The fields of /proc/PID/stat that matter here."""

    stamp: ProcessStamp
    dead: bool  # a zombie: ended, not yet reaped
    group: int
    session: int


def parse_stat(text: str) -> ProcessStatus | None:
    """A line of /proc/PID/stat; None when it is not whole."""
    head, parenthesis, tail = text.rpartition(")")
    fields = tail.split()
    if not parenthesis or len(fields) < 20:
        return None
    pid = int(head.partition(" ")[0])
    return ProcessStatus(
        stamp=ProcessStamp(pid=pid, started_ticks=int(fields[19])),
        dead=fields[0] in "ZX",
        group=int(fields[2]),
        session=int(fields[3]),
    )


def observe_process(pid: int) -> ProcessStatus | None:
    """What runs under that pid now; None when nothing does."""
    try:
        return parse_stat((PROC / str(pid) / "stat").read_text(errors="replace"))
    except OSError:
        return None


def alive(stamp: ProcessStamp) -> bool:
    """Whether that very process still runs."""
    status = observe_process(stamp.pid)
    return status is not None and status.stamp == stamp and not status.dead


def boot_id() -> str:
    """Names this boot of the machine; "" when the kernel does not say."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def open_pidfd(stamp: ProcessStamp) -> int | None:
    """A descriptor that becomes readable when that very process ends; None when it has, or none can be had."""
    try:
        pidfd = os.pidfd_open(stamp.pid)
    except OSError:
        return None
    status = observe_process(stamp.pid)
    if status is not None and status.stamp == stamp:
        return pidfd
    os.close(pidfd)
    return None


def reap(pid: int) -> None:
    """Take the exit status of an ended child of ours, so that no zombie stays; nothing when it is not ours."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def signal_group(leader: ProcessStamp, number: int) -> None:
    """Signal the whole group of a living leader; only the leader before it has made its group."""
    if not alive(leader):
        return
    with suppress(ProcessLookupError, PermissionError):
        try:
            os.killpg(leader.pid, number)
        except ProcessLookupError:
            os.kill(leader.pid, number)


def kill_all(pids: Iterable[int]) -> None:
    """SIGKILL each; those that are gone already, or belong to somebody else, are left out."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def group_exists(leader_pid: int) -> bool:
    """Whether any process is in the group that pid led (perhaps a later group of the same number)."""
    try:
        os.killpg(leader_pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def wait_group_ended(leader_pid: int, timeout_s: float) -> None:
    """Return when nothing lives in the group that pid led, or that time is over."""
    ends = asyncio.get_running_loop().time() + timeout_s
    while _group_lives(leader_pid):
        left_s = ends - asyncio.get_running_loop().time()
        if left_s <= 0:
            return
        await asyncio.sleep(min(left_s, GROUP_POLL_S))


def _group_lives(leader_pid: int) -> bool:
    """Zombies are not alive: where pid 1 does not reap, they stay for ever."""
    if not group_exists(leader_pid):
        return False
    pids = (int(entry.name) for entry in os.scandir(PROC) if entry.name.isdecimal())
    statuses = (observe_process(pid) for pid in pids)
    return any(each and each.group == leader_pid and not each.dead for each in statuses)


def marked(instance_id: str, home_id: str, *, but: int) -> Iterator[int]:
    """Every process whose environment says it belongs to that instance, save the pid `but`."""
    wanted = f"\0{MARKER}={instance_id}\0".encode()
    home = f"\0{HOME_MARKER}={home_id}\0".encode()
    for entry in os.scandir(PROC):
        if not entry.name.isdecimal() or int(entry.name) == but:
            continue
        with suppress(OSError):
            environment = b"\0" + (PROC / entry.name / "environ").read_bytes()
            if wanted in environment and home in environment:
                yield int(entry.name)


def parse_signal(name: str) -> int | None:
    """The number of "SIGTERM", "term", "15" or "SIGRTMIN+3"; None when there is no such signal."""
    bare = name.strip().upper().removeprefix("SIG")
    if bare.isdecimal():
        return int(bare) if int(bare) in signal.valid_signals() else None
    if realtime := _REALTIME_SIGNAL.fullmatch(bare):
        number = signal.SIGRTMIN + int(realtime[1])
        return number if number <= signal.SIGRTMAX else None
    found = signal.Signals.__members__.get(f"SIG{bare}")
    return None if found is None else int(found)
