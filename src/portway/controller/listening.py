"""What an instance really listens on, seen from outside: /proc of its process, in its own network namespace.

Explains a health check that finds nobody; decides nothing. Empty where it cannot be read (another machine, no
permission, other systems than Linux).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from portway.controller.kernel_sockets import (
    KernelSocket,
    processes_with_sockets,
    read_sockets,
    with_port,
)
from portway.core.app import Protocol

PROC = Path("/proc")
_DOCKER_RESOLVER = "127.0.0.11"  # Docker's own name server, in every container


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Where a check looks for an instance. `is_container`: it has a loopback address of its own.

    `host_ports` are its leases, which it is told as $PORT and may mistake for what to listen on.
    """

    name: str
    address: str
    port_number: int
    is_container: bool
    host_ports: tuple[int, ...] = ()


def why_unreachable(details: Mapping[str, str], wanted: Wanted, *, proc: Path = PROC) -> str:
    """What the instance listens on instead and what to do, as a phrase; "" when it is not to be seen, or as it should."""
    listeners = _listeners(details, proc)
    return "" if listeners is None else explain(listeners, wanted)


def explain(listeners: Sequence[tuple[str, int]], wanted: Wanted) -> str:
    """Compare what listens (address, port) with what is wanted; "" when they agree."""
    if any(_reaches(address, wanted) and n == wanted.port_number for address, n in listeners):
        return ""
    inside = " inside its container" if wanted.is_container else ""
    mend = _mend(listeners, wanted)
    if not listeners:
        return f"{wanted.name} listens on no TCP port{inside}: {mend}"
    shown = " and ".join(with_port(address, number) for address, number in listeners[:4])
    return f"{wanted.name} listens on {shown}{inside}: {mend}"


def _mend(listeners: Sequence[tuple[str, int]], wanted: Wanted) -> str:
    if not wanted.is_container:
        return f"make it listen on $PORT ({wanted.port_number} here)"
    if any(number in wanted.host_ports for _, number in listeners):
        return (
            "that is its port on the host, which $PORT and $HOST tell it; set "
            f"PORT: {wanted.port_number} and HOST: 0.0.0.0 in its environment"
        )
    bind = f"make it listen on 0.0.0.0:{wanted.port_number}"
    others = sorted({n for _, n in listeners if n != wanted.port_number})
    if any(number == wanted.port_number for _, number in listeners):
        return f"{bind}, for 127.0.0.1 is its own and nobody else's"
    if not others:
        return bind
    open_ones = sorted({n for address, n in listeners if _reaches(address, wanted)})
    number = (open_ones or others)[0]
    also = "" if open_ones else " and make it listen there on 0.0.0.0"
    return f"{bind}, or map {number} (the right number of its port in the manifest){also}"


def _reaches(address: str, wanted: Wanted) -> bool:
    parsed = ip_address(address)
    if wanted.is_container:
        return not parsed.is_loopback
    return parsed.is_unspecified or address == wanted.address


def _listeners(details: Mapping[str, str], proc: Path) -> list[tuple[str, int]] | None:
    """Addresses and ports, by number; None when they are not to be seen."""
    pid, container = details.get("pid", ""), details.get("container", "")
    if not pid.isdecimal() or (container and not _is_inside(proc, pid, container)):
        return None
    try:
        shares_network = _network(proc, pid) == _network(proc, "self")
    except OSError:
        return None
    sockets = list(read_sockets(proc / pid, listeners_only=True, by_netlink=False))
    if shares_network:
        sockets = _of_session(proc, pid, sockets)
    found = {
        (s.address, s.port_number)
        for s in sockets
        if s.protocol is Protocol.TCP and s.address != _DOCKER_RESOLVER
    }
    return sorted(found, key=lambda one: (one[1], one[0]))


def _is_inside(proc: Path, pid: str, container: str) -> bool:
    """Whether the process is that container's: a daemon elsewhere has other processes under its numbers."""
    with suppress(OSError):
        return container in (proc / pid / "cgroup").read_text()
    return False


def _network(proc: Path, pid: str) -> str:
    return str((proc / pid / "ns" / "net").readlink())


def _of_session(proc: Path, pid: str, sockets: Sequence[KernelSocket]) -> list[KernelSocket]:
    """Those of the process and what it started: they share its session."""
    session = _session(proc, pid)
    owners = processes_with_sockets(proc, [s.inode for s in sockets])
    return [
        s
        for s in sockets
        if s.inode in owners and session and _session(proc, str(owners[s.inode].pid)) == session
    ]


def _session(proc: Path, pid: str) -> str:
    with suppress(OSError, IndexError):
        # The name in brackets may hold anything, brackets and spaces too.
        return (proc / pid / "stat").read_text().rpartition(")")[2].split()[3]
    return ""
