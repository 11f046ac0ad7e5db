"""The kernel's list of TCP and UDP sockets, and which process has one. Reads only; decides nothing.

By sock_diag where the kernel offers it, else from /proc/net; empty on systems without either. The network
namespace is that of this process.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from portway.controller.ports.socket_diag import EVERY_STATE, dump_sockets
from portway.core.app import Protocol
from portway.core.ports import PortRange

EVERY_PORT = PortRange(first=1, last=65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """One of the kernel's four lists."""

    name: str  # in /proc/net
    protocol: Protocol
    family: int
    transport: int


_TABLES = tuple(
    _Table(name=f"{protocol}{suffix}", protocol=protocol, family=family, transport=transport)
    for protocol, transport in (
        (Protocol.TCP, socket.IPPROTO_TCP),
        (Protocol.UDP, socket.IPPROTO_UDP),
    )
    for family, suffix in ((socket.AF_INET, ""), (socket.AF_INET6, "6"))
)
_TCP_LISTEN = 0x0A
_SOCKET = re.compile(
    rb"^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]{2})"
    rb" \S+ \S+ \S+ +(\d+) +\d+ (\d+)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSocket:
    """One socket with a local port. `inode` 0: no process has it any more (TIME_WAIT and the like)."""

    protocol: Protocol
    address: str
    port_number: int
    remote_address: str
    remote_port_number: int
    listening: bool  # a TCP listener, or any UDP socket that is not connected
    uid: int
    inode: int

    @property
    def local(self) -> str:
        """ "0.0.0.0:31004", "[::]:31004"."""
        return with_port(self.address, self.port_number)

    @property
    def remote(self) -> str:
        """The other end, written like `local`."""
        return with_port(self.remote_address, self.remote_port_number)


def with_port(address: str, number: int) -> str:
    """Address and number as people write them, IPv6 in brackets."""
    return f"[{address}]:{number}" if ":" in address else f"{address}:{number}"


def read_sockets(
    proc: Path,
    within: PortRange = EVERY_PORT,
    *,
    listeners_only: bool = False,
    by_netlink: bool = True,
) -> Iterator[KernelSocket]:
    """Every TCP and UDP socket whose local port is `within`; connections too unless `listeners_only`."""
    for table in _TABLES:
        for entry in _read_table(proc, table, within, listeners_only, by_netlink):
            if entry.listening or not listeners_only:
                yield entry


def _read_table(
    proc: Path, table: _Table, within: PortRange, listeners_only: bool, by_netlink: bool
) -> list[KernelSocket]:
    if by_netlink:
        with suppress(OSError):
            return list(_from_netlink(table, within, listeners_only))
    with suppress(OSError):
        return list(_from_proc(proc, table, within))
    return []


def _from_netlink(table: _Table, within: PortRange, listeners_only: bool) -> Iterator[KernelSocket]:
    only = listeners_only and table.protocol is Protocol.TCP
    states = 1 << _TCP_LISTEN if only else EVERY_STATE
    for entry in dump_sockets(table.family, table.transport, within, states=states):
        yield KernelSocket(
            protocol=table.protocol,
            address=entry.address,
            port_number=entry.port_number,
            remote_address=entry.remote_address,
            remote_port_number=entry.remote_port_number,
            listening=_listens(table.protocol, entry.state, entry.remote_port_number),
            uid=entry.uid,
            inode=entry.inode,
        )


def _from_proc(proc: Path, table: _Table, within: PortRange) -> Iterator[KernelSocket]:
    text = (proc / "net" / table.name).read_bytes()
    for match in _SOCKET.finditer(text):
        number = int(match[2], 16)
        remote_port_number = int(match[4], 16)
        if number in within:
            yield KernelSocket(
                protocol=table.protocol,
                address=_address(match[1]),
                port_number=number,
                remote_address=_address(match[3]),
                remote_port_number=remote_port_number,
                listening=_listens(table.protocol, int(match[5], 16), remote_port_number),
                uid=int(match[6]),
                inode=int(match[7]),
            )


def _listens(protocol: Protocol, state: int, remote_port_number: int) -> bool:
    return state == _TCP_LISTEN if protocol is Protocol.TCP else not remote_port_number


def _address(text: bytes) -> str:
    # The kernel prints each 32-bit word in the byte order of the machine (proc(5)); ours are all little-endian.
    words = [bytes.fromhex(text[at : at + 8].decode())[::-1] for at in range(0, len(text), 8)]
    raw = b"".join(words)
    if len(raw) == 4:
        return str(IPv4Address(raw))
    parsed = IPv6Address(raw)
    return str(parsed.ipv4_mapped or parsed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process and the short name the kernel shows for it."""

    pid: int
    name: str


def processes_with_sockets(proc: Path, inodes: Collection[int]) -> dict[int, Process]:
    """The oldest process that has each of the sockets open, as far as this user may look; one pass."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes if inode}
    found: dict[int, Process] = {}
    for pid in _pids(proc) if wanted else ():
        opened = [wanted.pop(link) for link in _open_files(f"{proc}/{pid}/fd") if link in wanted]
        if opened:
            process = Process(pid=pid, name=process_name(proc, pid))
            found.update(dict.fromkeys(opened, process))
        if not wanted:
            break
    return found


def _pids(proc: Path) -> list[int]:
    with suppress(OSError), os.scandir(proc) as entries:
        return sorted(int(entry.name) for entry in entries if entry.name.isdecimal())
    return []


def _open_files(directory: str) -> list[str]:
    links: list[str] = []
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(OSError):
                links.append(os.readlink(entry.path))  # noqa: PTH115  (a Path for each costs more than the call)
    return links


def process_name(proc: Path, pid: int) -> str:
    """What `ps -o comm` shows; "a process" when it has just ended."""
    try:
        return (proc / str(pid) / "comm").read_text(errors="replace").strip()
    except OSError:
        return "a process"
