"""Host ports as the kernel of this machine sees them: who has which, whether one can be bound, whose claim it is.

It looks and claims; it never chooses (core.ports does) and keeps nothing but its claims. Where the kernel cannot be
read (other systems than Linux) it sees no holders, and the bind test and the claims still tell the truth.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import cast

from portway.controller.ports.claims import PortClaims, PortKey, claims_for_this_system
from portway.controller.ports.holders import Naming
from portway.controller.ports.kernel_sockets import EVERY_PORT, KernelSocket, read_sockets
from portway.core.app import Protocol
from portway.core.ports import Holder, PortRange

PROC = Path("/proc")
DOCKER_SOCKET = Path("/var/run/docker.sock")
_EVERY_ADDRESS = ("", "*", "::")
_UNKNOWN = Holder(description="a program that cannot be named")
_has_dualstack = cache(socket.has_dualstack_ipv6)


class HostPorts:
    """What the kernel and other portways say about ports of this machine, and our own claims on them."""

    def __init__(
        self,
        *,
        proc: Path = PROC,
        docker_socket: Path = DOCKER_SOCKET,
        claims: PortClaims | None = None,
    ) -> None:
        self._proc = proc
        self._docker_socket = docker_socket
        self._claims = claims or claims_for_this_system()

    def occupied(self, within: PortRange = EVERY_PORT) -> Mapping[PortKey, Holder]:
        """The ports others have now: listeners, whatever else would refuse a bind, other portways' claims.

        Asking whether one port is among them costs microseconds; going through all of them, or asking who
        a holder is, milliseconds and more.
        """
        claims = {key: inode for key, inode in self._claims.foreign().items() if key[1] in within}
        return OccupiedPorts(self._proc, self._docker_socket, within, claims)

    def holder(self, protocol: Protocol, number: int) -> Holder | None:
        """Who has the port; None when nobody does as far as the kernel tells. May take up to a second."""
        return self.occupied(PortRange(first=number, last=number)).get((protocol, number))

    def bind_test(self, protocol: Protocol, address: str, number: int) -> str | None:
        """Why `address`:`number` cannot be bound now, as a sentence; None when it can.

        TCP is tried with SO_REUSEADDR, as every server does it, so a connection that is only closing
        refuses nothing, a listener does.
        """
        try:
            try_bind(protocol, address, number)
        except OSError as error:
            return self._refusal(error, protocol, address, number)
        return None

    def claim(self, protocol: Protocol, number: int) -> bool:
        """Claim a port until it is released; False when another portway on this host has it. Twice is once."""
        return self._claims.claim(protocol, number)

    def release_claim(self, protocol: Protocol, number: int) -> None:
        """Let another portway have it; not claimed: nothing."""
        self._claims.release_claim(protocol, number)

    def foreign_claim(self, protocol: Protocol, number: int) -> Holder | None:
        """The other portway that has claimed the port, if one has."""
        claims = self._claims.foreign()
        if (protocol, number) not in claims:
            return None
        inode = claims[protocol, number]
        return Naming(self._proc, self._docker_socket, [inode]).other_portway(inode)

    def close(self) -> None:
        """Release every claim."""
        self._claims.close()

    def ephemeral_range(self) -> PortRange | None:
        """The ports the kernel gives to outgoing connections; None when it does not tell."""
        try:
            text = (self._proc / "sys/net/ipv4/ip_local_port_range").read_text()
            first, last = (int(word) for word in text.split())
        except (OSError, ValueError):
            return None
        return PortRange(first=first, last=last)

    def range_warnings(self, range_: PortRange, *, option: str = "--host-ports") -> tuple[str, ...]:
        """Sentences on what can go wrong with a range of leases on this machine."""
        ephemeral = self.ephemeral_range()
        if ephemeral is None:
            return ()
        first, last = max(range_.first, ephemeral.first), min(range_.last, ephemeral.last)
        kept = self._reserved()
        exposed = [n for n in range(first, last + 1) if not any(n in part for part in kept)]
        if not exposed:
            return ()
        overlap = PortRange(first=exposed[0], last=exposed[-1])
        reserve = ",".join([*map(_as_sysctl, kept), _as_sysctl(overlap)])
        return (
            f"{option} {range_} overlaps {ephemeral}, which this machine uses for outgoing connections: any "
            f"program can have one of {overlap} at any moment. Choose a range outside it, or keep these "
            f"ports free with: sysctl -w net.ipv4.ip_local_reserved_ports={reserve}",
        )

    def _reserved(self) -> tuple[PortRange, ...]:
        with suppress(OSError, ValueError):
            text = (self._proc / "sys/net/ipv4/ip_local_reserved_ports").read_text()
            return tuple(_parse_range(part) for part in text.strip().split(",") if part)
        return ()

    def _refusal(self, error: OSError, protocol: Protocol, address: str, number: int) -> str:
        match error.errno:
            case errno.EADDRINUSE:
                holder = self.holder(protocol, number) or _UNKNOWN
                return f"{number} is held by {holder.description}"
            case errno.EACCES | errno.EPERM:
                return (
                    f"there is no permission to bind {number}: ports below "
                    f"{self._first_unprivileged()} need root, CAP_NET_BIND_SERVICE, or "
                    f"sysctl -w net.ipv4.ip_unprivileged_port_start={number}"
                )
            case errno.EADDRNOTAVAIL:
                return f"{address} is not an address of this machine"
            case errno.EAFNOSUPPORT:
                return f"{address} cannot be used: this machine has no IPv6"
            case _:
                return f"{address or '*'}:{number} cannot be bound: {error.strerror or error}"

    def _first_unprivileged(self) -> int:
        with suppress(OSError, ValueError):
            return int((self._proc / "sys/net/ipv4/ip_unprivileged_port_start").read_text())
        return 1024


class OccupiedPorts(Mapping[PortKey, Holder]):
    """The ports `within` that others have, as a snapshot: each question is put to the kernel once, when it is asked."""

    def __init__(
        self, proc: Path, docker_socket: Path, within: PortRange, claims: Mapping[PortKey, int]
    ) -> None:
        self._proc = proc
        self._docker_socket = docker_socket
        self._within = within
        self._claims = claims
        self._listeners = {
            (found.protocol, found.port_number)
            for found in read_sockets(proc, within, listeners_only=True)
        }
        self._refusals: dict[PortKey, bool] = {}

    def __contains__(self, key: object) -> bool:
        return key in self._claims or self._is_used(cast("PortKey", key))

    def __getitem__(self, key: PortKey) -> Holder:
        if self._is_used(key):
            sockets = self._sockets.get(key)
            return self._naming.holder_of(sockets) if sockets else _UNKNOWN
        return self._naming.other_portway(self._claims[key])

    def __iter__(self) -> Iterator[PortKey]:
        return (key for key in {**self._sockets, **self._claims} if key in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @cached_property
    def _sockets(self) -> Mapping[PortKey, list[KernelSocket]]:
        found: dict[PortKey, list[KernelSocket]] = {}
        for entry in read_sockets(self._proc, self._within):
            found.setdefault((entry.protocol, entry.port_number), []).append(entry)
        return found

    @cached_property
    def _naming(self) -> Naming:
        inodes = [entry.inode for found in self._sockets.values() for entry in found]
        return Naming(self._proc, self._docker_socket, [*inodes, *self._claims.values()])

    def _is_used(self, key: PortKey) -> bool:
        # A connection refuses a new listener only when its socket was made without SO_REUSEADDR: an outgoing
        # one does, what remains of a server's own connections (TIME_WAIT above all) does not. Only a bind knows.
        if key in self._listeners:
            return True
        if key not in self._refusals:
            self._refusals[key] = key[1] in self._within and not can_be_bound(key)
        return self._refusals[key]


def can_be_bound(key: PortKey) -> bool:
    """Whether every address of the port can be bound; True as well where we lack the permission to try."""
    try:
        try_bind(key[0], "", key[1])
    except OSError as error:
        return error.errno != errno.EADDRINUSE
    return True


def try_bind(protocol: Protocol, address: str, number: int) -> None:
    """Bind and let go at once; the OSError says why it cannot be done. "" and "*" are every address of both families."""
    if address in _EVERY_ADDRESS and _has_dualstack():
        _bind(socket.AF_INET6, protocol, ("::", number))
        return
    numeric = {"": "0.0.0.0", "*": "0.0.0.0", "localhost": "127.0.0.1"}.get(address, address)  # noqa: S104
    try:
        found = socket.getaddrinfo(numeric, number, flags=socket.AI_NUMERICHOST)
    except socket.gaierror as error:
        raise OSError(errno.EINVAL, f"{address} is not an IP address") from error
    _bind(found[0][0], protocol, found[0][4])


def _bind(
    family: int,
    protocol: Protocol,
    target: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes],
) -> None:
    kind = socket.SOCK_STREAM if protocol is Protocol.TCP else socket.SOCK_DGRAM
    with closing(socket.socket(family, kind)) as probe:
        if protocol is Protocol.TCP:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, target[0] != "::")
        probe.bind(target)


def _parse_range(text: str) -> PortRange:
    first, _, last = text.partition("-")
    return PortRange(first=int(first), last=int(last or first))


def _as_sysctl(range_: PortRange) -> str:
    return str(range_) if range_.first != range_.last else str(range_.first)
