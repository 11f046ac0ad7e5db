"""Lease: a host port held by one instance, and the other values that ports are spoken of in. Decides nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from portway.core.app import Protocol

ANY_ADDRESS = "0.0.0.0"  # noqa: S104  (a value to compare with, nothing is bound here)
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRange:
    """Host ports first..last, both included."""

    first: int
    last: int

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


def node_ranges(text: str, refusal: Callable[[str, str], Exception]) -> dict[str, PortRange]:
    """The nodes with a range of their own: "n1=31000-31499,n2=32000-32499". What is no such text raises the refusal."""
    ranges: dict[str, PortRange] = {}
    for part in text.split(","):
        found = re.fullmatch(r"\s*([^\s=]+)\s*=\s*(\d{1,5})-(\d{1,5})\s*", part)
        if found is None or not 0 < int(found[2]) <= int(found[3]) <= 65535:
            raise refusal(
                f'does not say in "{part.strip()}" which node has which ports',
                "Write node-1=31000-31499,node-2=32000-32499.",
            )
        if found[1] in ranges:
            raise refusal(f"names {found[1]} twice", "Give each node one range.")
        ranges[found[1]] = PortRange(first=int(found[2]), last=int(found[3]))
    return ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A host port on one node, held by one instance for one port of its App.

    `address` is where the port is published. Two live leases never share (node, protocol, host_port)
    unless both name different specific addresses; 0.0.0.0 conflicts with every address.
    """

    port_name: str
    node: str
    protocol: Protocol
    host_port: int
    container_port: int
    address: str = LOOPBACK
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who has a port that portway did not lease. `pid` 0 and `process` "" when it cannot be read.

    `addresses` are the local addresses it has the port on; () = unknown, so every one.
    """

    description: str  # a phrase that completes "31004 is held by ..."
    pid: int = 0
    process: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRequest:
    """One host port wanted: `host_port` None = any of the node's range; `preferred` is tried first (sticky).

    `ephemeral`: of the node's ephemeral range, in sequence. Requests of one `run` get ports in a row.
    `start`: the first free port from that place of the range on (taken modulo its size), and for those that follow it
    the next ones. `same_as`: the same number as the request of that name gets.
    """

    port_name: str
    protocol: Protocol
    container_port: int
    host_port: int | None = None
    preferred: int | None = None
    address: str = LOOPBACK
    ephemeral: bool = False
    run: str = ""
    start: int | None = None
    same_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRefusal:
    """Why the ports could not be leased: a sentence with what to do. Nothing was taken.

    `retry_at_ms`: a hold-down is in the way and ends then; None when waiting alone cannot help.
    """

    reason: str
    retry_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingPort:
    """A lease that `owner` gave back and that nobody gets before `free_at_ms`."""

    lease: Lease
    free_at_ms: int
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PortCounts:
    """What has become of the ports of one node's range, each port counted once."""

    total: int
    leased: int
    cooling: int
    reserved: int


@lru_cache(maxsize=4096)
def normal_address(address: str) -> str:
    """One spelling for each address; every way to say "all of them" becomes ANY_ADDRESS."""
    try:
        parsed = ip_address(address.strip("[]") or ANY_ADDRESS)
    except ValueError:
        return {"*": ANY_ADDRESS, "localhost": LOOPBACK}.get(address, address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return ANY_ADDRESS if parsed.is_unspecified else str(parsed)


def addresses_conflict(one: str, other: str) -> bool:
    """Whether one port number cannot be bound on both: equal, or either stands for every address."""
    first, second = normal_address(one), normal_address(other)
    return first == second or ANY_ADDRESS in (first, second)


def first_row(
    within: PortRange, count: int, *, start: int, is_free: Callable[[int], bool]
) -> int | None:
    """The first of `count` free ports in a row at or after `start`, once round; None when there is no such row."""
    for low, high in ((start, within.last), (within.first, start + count - 2)):
        row = 0
        for number in range(max(low, within.first), min(high, within.last) + 1):
            row = row + 1 if is_free(number) else 0
            if row == count:
                return number - count + 1
    return None
