"""What an instance really listens on, seen from outside: /proc of its process, in its own network namespace.

Looks; core.inside concludes. None where it cannot be read (another machine, no permission, other systems than Linux).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from portway.controller.ports.kernel_sockets import (
    KernelSocket,
    processes_with_sockets,
    read_sockets,
)
from portway.core.facts import Listening

PROC = Path("/proc")
_DOCKER_RESOLVER = "127.0.0.11"  # Docker's own name server, in every container
_FROZEN = ("T", "t")  # of /proc/PID/stat: stopped by a signal, stopped by a debugger


def look_inside(details: Mapping[str, str], *, proc: Path = PROC) -> tuple[Listening, ...] | None:
    """What the instance listens on, by number; None when that is not to be seen."""
    pid = process_of(details, proc=proc)
    if not pid:
        return None
    try:
        shares_network = _network(proc, pid) == _network(proc, "self")
    except OSError:
        return None
    sockets = list(read_sockets(proc / pid, listeners_only=True, by_netlink=False))
    if shares_network:
        sockets = _of_session(proc, pid, sockets)
    found = {
        Listening(port_number=s.port_number, address=s.address, protocol=s.protocol)
        for s in sockets
        if s.address != _DOCKER_RESOLVER
    }
    return tuple(sorted(found))


def is_frozen(details: Mapping[str, str], *, proc: Path = PROC) -> bool:
    """Whether the instance's first process is stopped, or its container paused."""
    pid = process_of(details, proc=proc)
    return bool(pid) and (_stat(proc, pid)[:1] in [[s] for s in _FROZEN] or _is_paused(proc, pid))


def process_of(details: Mapping[str, str], *, proc: Path = PROC) -> str:
    """The pid of the instance's first process, "" when it is none of this machine."""
    pid, container = details.get("pid", ""), details.get("container", "")
    if not pid.isdecimal() or (container and not _is_inside(proc, pid, container)):
        return ""
    return pid


def _is_inside(proc: Path, pid: str, container: str) -> bool:
    """Whether the process is that container's: a daemon elsewhere has other processes under its numbers."""
    with suppress(OSError):
        return container in (proc / pid / "cgroup").read_text()
    return False


def _is_paused(proc: Path, pid: str) -> bool:
    """Whether its control group is frozen (`docker pause`), in either version of them."""
    with suppress(OSError):
        for line in (proc / pid / "cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            root = _CGROUPS / controllers if controllers else _CGROUPS
            for name, word in (("freezer.state", "FROZEN"), ("cgroup.freeze", "1")):
                with suppress(OSError):
                    if (root / group.lstrip("/") / name).read_text().strip() == word:
                        return True
    return False


_CGROUPS = Path("/sys/fs/cgroup")


def _network(proc: Path, pid: str) -> str:
    return str((proc / pid / "ns" / "net").readlink())


def _of_session(proc: Path, pid: str, sockets: Sequence[KernelSocket]) -> list[KernelSocket]:
    """Those of the process and what it started: they share its session."""
    session = _stat(proc, pid)[3:4]
    owners = processes_with_sockets(proc, [s.inode for s in sockets])
    return [
        s
        for s in sockets
        if s.inode in owners and session and _stat(proc, str(owners[s.inode].pid))[3:4] == session
    ]


def _stat(proc: Path, pid: str) -> list[str]:
    """The words of /proc/PID/stat after the name: its state first, its session fourth."""
    with suppress(OSError):
        # The name in brackets may hold anything, brackets and spaces too.
        return (proc / pid / "stat").read_text().rpartition(")")[2].split()
    return []
