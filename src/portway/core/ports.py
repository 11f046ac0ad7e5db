"""Ports as leases: which are free on a node, who has the others, which one is next.

PortPool decides; the kernel's view (`occupied`) and the time are arguments. It never looks at a socket, a
file or a clock, and it never moves a port that was asked for by number.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from portway.core import port_words
from portway.core.app import Protocol
from portway.core.lease import (
    ANY_ADDRESS,
    LOOPBACK,
    CoolingPort,
    Holder,
    Lease,
    PortCounts,
    PortRange,
    PortRefusal,
    PortRequest,
    addresses_conflict,
    first_row,
    normal_address,
)
from portway.core.port_words import PortKind

__all__ = [
    "ANY_ADDRESS", "LOOPBACK", "CoolingPort", "Holder", "Lease", "PortCounts", "PortPool", "PortRange",
    "PortRefusal", "PortRequest", "addresses_conflict", "normal_address",
]  # fmt: skip

# Where the kernel does not say which ports it gives to outgoing connections (ECS agent, spec 1.2).
EPHEMERAL = PortRange(first=49153, last=65535)
# SSH, Docker's API and the agent's own; nobody gets these without asking for them by number.
RESERVED_BY_ECS = frozenset((22, 2375, 2376, 51678, 51679))

_LEASED, _COOLING, _RESERVED = 1, 2, 4
_NOBODY: Mapping[tuple[Protocol, int], Holder] = MappingProxyType({})


class _Shelf:
    """The ports of one protocol on one node. `marks` has a byte for each port of the range, 0 = free.

    bytearray.find is what makes next-fit cheap: a range of 1,001 ports with one free takes 30 ns.
    """

    __slots__ = ("cooling", "cursor", "held", "marks", "queue", "range")

    def __init__(self, range_: PortRange, reserved: Collection[int]) -> None:
        self.range = range_
        self.marks = bytearray(range_.last - range_.first + 1)
        self.cursor = 0
        self.held: dict[int, tuple[tuple[Lease, str], ...]] = {}
        self.cooling: dict[int, tuple[CoolingPort, ...]] = {}
        self.queue: list[tuple[int, int]] = []  # heap of (free_at_ms, host_port)
        for number in reserved:
            self._mark(number, _RESERVED)

    def take(self, lease: Lease, owner: str) -> None:
        number = lease.host_port
        held = self.held.get(number, ())
        if (lease, owner) in held:
            return
        for other, other_owner in held:
            assert not addresses_conflict(lease.address, other.address), (
                f"{lease} of {owner} and {other} of {other_owner} share a port"
            )
        self.held[number] = (*held, (lease, owner))
        if number in self.cooling:
            self._set_cooling(number, _without_conflicts(self.cooling[number], lease.address))
        self._mark(number, _LEASED)
        if not lease.fixed:
            self._move_cursor(number)

    def free(self, lease: Lease, owner: str | None, free_at_ms: int | None) -> None:
        number = lease.host_port
        for entry in self.held.get(number, ()):
            same = entry[0] is lease or entry[0] == lease
            if same and owner in (None, entry[1]):
                break
        else:
            return
        left = tuple(other for other in self.held[number] if other is not entry)
        if left:
            self.held[number] = left
        else:
            del self.held[number]
            self._unmark(number, _LEASED)
        if free_at_ms is not None:
            self.cool(CoolingPort(lease=lease, owner=entry[1], free_at_ms=free_at_ms))

    def cool(self, entry: CoolingPort) -> None:
        number = entry.lease.host_port
        self._set_cooling(number, (*self.cooling.get(number, ()), entry))
        heapq.heappush(self.queue, (entry.free_at_ms, number))

    def expire(self, now_ms: int) -> None:
        while self.queue and self.queue[0][0] <= now_ms:
            _, number = heapq.heappop(self.queue)
            entries = self.cooling.get(number, ())
            self._set_cooling(number, tuple(e for e in entries if e.free_at_ms > now_ms))

    def is_free(self, number: int) -> bool:
        """Whether a port of the range may be given out to whoever does not care which."""
        return number in self.range and not self.marks[number - self.range.first]

    def free_from(self, start: int) -> Iterator[int]:
        """The free ports of the range, once round, beginning with the start-th."""
        first, marks = self.range.first, self.marks
        for low, high in ((start, len(marks)), (0, start)):
            index = marks.find(0, low, high)
            while index >= 0:
                yield first + index
                index = marks.find(0, index + 1, high)

    def _move_cursor(self, number: int) -> None:
        # A sticky lease lies behind the cursor as a rule. It must not pull the cursor back to
        # ports that were given back lately, so only a step forward (less than half round) counts.
        size = len(self.marks)
        index = number - self.range.first
        if 0 <= index < size and (index - self.cursor) % size <= size // 2:
            self.cursor = (index + 1) % size

    def _set_cooling(self, number: int, entries: tuple[CoolingPort, ...]) -> None:
        if entries:
            self.cooling[number] = entries
            self._mark(number, _COOLING)
        elif self.cooling.pop(number, None):
            self._unmark(number, _COOLING)

    def _mark(self, number: int, bit: int) -> None:
        if number in self.range:
            self.marks[number - self.range.first] |= bit

    def _unmark(self, number: int, bit: int) -> None:
        if number in self.range:
            self.marks[number - self.range.first] &= ~bit


def _without_conflicts(entries: Sequence[CoolingPort], address: str) -> tuple[CoolingPort, ...]:
    return tuple(e for e in entries if not addresses_conflict(e.lease.address, address))


class PortPool:
    """The leases of every node and the one place that decides which port comes next.

    Fixed ports come first, then those an instance had before (sticky), then next-fit from a cursor
    for each node and protocol: the port that was given back longest ago is the one reused. Ephemeral
    ports come from a range of their own, one after the other, TCP and UDP in one sequence; those of
    `kept` ranges never do. A list of requests gets all of its ports or none.
    """

    def __init__(
        self,
        range_: PortRange,
        *,
        hold_down_ms: int,
        node_ranges: Mapping[str, PortRange] = MappingProxyType({}),
        reserved: Collection[int] = (),
        kind: PortKind = PortKind.HOST,
        ephemeral: PortRange = EPHEMERAL,
        kept: Sequence[PortRange] = (),
    ) -> None:
        self.kind = kind
        self.reserved = frozenset(reserved)
        self.ephemeral = ephemeral
        self.kept = tuple(kept)
        self.next_ephemeral: dict[str, int] = {}  # by node
        self._range = range_
        self._node_ranges = dict(node_ranges)
        self._hold_down_ms = hold_down_ms
        self._shelves: dict[tuple[str, Protocol], _Shelf] = {}

    def propose(
        self,
        node: str,
        requests: Sequence[PortRequest],
        *,
        now_ms: int,
        occupied: Mapping[tuple[Protocol, int], Holder] = _NOBODY,
        pending: Collection[Lease] = (),
    ) -> tuple[Lease, ...] | PortRefusal:
        """One lease for each request, in order, or why not; nothing is taken, so asking twice answers the same.

        `occupied` are ports of the node that others have; `pending` are leases proposed earlier in the
        same plan and not taken yet.
        """
        draft = _Draft(self, node, now_ms, occupied, pending)
        for choose in (draft.fixed, draft.sticky, draft.in_a_row, draft.from_start, draft.next_fit):
            for index in range(len(requests)):
                if index not in draft.leases:
                    refusal = choose(index, requests)
                    if refusal:
                        return refusal
        return tuple(draft.leases[index] for index in range(len(requests)))

    def take(self, leases: Iterable[Lease], owner: str) -> None:
        """Make the leases live; the same lease of the same owner twice is one lease."""
        for lease in leases:
            shelf = self.shelf(lease.node, lease.protocol)
            shelf.take(lease, owner)
            if self.is_ephemeral(lease):
                self.next_ephemeral[lease.node] = lease.host_port + 1

    def free(
        self,
        leases: Iterable[Lease],
        *,
        now_ms: int,
        hold_down_ms: int | None = None,
        owner: str | None = None,
    ) -> None:
        """Give leases back; nobody gets their ports before the hold-down is over.

        What is not leased (or, with `owner`, not leased by that owner) stays as it is.
        """
        hold_ms = self._hold_down_ms if hold_down_ms is None else hold_down_ms
        free_at_ms = now_ms + hold_ms if hold_ms > 0 else None
        for lease in leases:
            self.shelf(lease.node, lease.protocol).free(lease, owner, free_at_ms)

    def restore(
        self, leases: Iterable[tuple[Lease, str]], cooling: Iterable[CoolingPort] = ()
    ) -> None:
        """Forget everything and begin with these leases (with their owners) and ports still held down."""
        self._shelves.clear()
        for lease, owner in leases:
            self.take((lease,), owner)
        for entry in cooling:
            self.shelf(entry.lease.node, entry.lease.protocol).cool(entry)

    def leases(self) -> tuple[tuple[Lease, str], ...]:
        """Every live lease and its owner, by node, protocol and port."""
        entries = [
            e for shelf in self._shelves.values() for held in shelf.held.values() for e in held
        ]
        return tuple(sorted(entries, key=lambda entry: _lease_order(entry[0])))

    def cooling(self, now_ms: int) -> tuple[CoolingPort, ...]:
        """Every port that is held down at `now_ms`, by node, protocol and port."""
        shelves = self._shelves.values()
        entries = (e for shelf in shelves for cooling in shelf.cooling.values() for e in cooling)
        live = [entry for entry in entries if entry.free_at_ms > now_ms]
        return tuple(sorted(live, key=lambda entry: _lease_order(entry.lease)))

    def owner_of(
        self, node: str, protocol: Protocol, host_port: int, *, address: str = ANY_ADDRESS
    ) -> str | None:
        """Who leases the port where it conflicts with `address`; None when nobody does."""
        for lease, owner in self.shelf(node, protocol).held.get(host_port, ()):
            if addresses_conflict(lease.address, address):
                return owner
        return None

    def counts(self, node: str, protocol: Protocol, *, now_ms: int) -> PortCounts:
        """How the node's range is used; ports leased outside the range are not part of it."""
        shelf = self.shelf(node, protocol)
        shelf.expire(now_ms)
        return PortCounts(
            total=len(shelf.marks),
            leased=sum(1 for mark in shelf.marks if mark & _LEASED),
            cooling=sum(1 for mark in shelf.marks if mark & _COOLING and not mark & _LEASED),
            reserved=sum(1 for mark in shelf.marks if mark == _RESERVED),
        )

    def __len__(self) -> int:
        """The number of live leases."""
        return sum(len(held) for shelf in self._shelves.values() for held in shelf.held.values())

    def is_ephemeral(self, lease: Lease) -> bool:
        """Whether it can only have come from the ephemeral range (for this module only)."""
        number = lease.host_port
        in_range = number in self.shelf(lease.node, lease.protocol).range
        return number in self.ephemeral and not lease.fixed and not in_range

    def shelf(self, node: str, protocol: Protocol) -> _Shelf:
        """The ports of one protocol on one node (for this module only)."""
        key = (node, protocol)
        shelf = self._shelves.get(key)
        if shelf is None:
            shelf = _Shelf(self._node_ranges.get(node, self._range), self.reserved)
            self._shelves[key] = shelf
        return shelf


def _lease_order(lease: Lease) -> tuple[str, str, int, str]:
    return (lease.node, lease.protocol, lease.host_port, lease.address)


class _Draft:
    """The leases chosen so far for one list of requests."""

    __slots__ = (
        "ahead",
        "cursors",
        "kind",
        "leases",
        "next_ephemeral",
        "node",
        "now_ms",
        "occupied",
        "place",
        "pool",
    )

    def __init__(
        self,
        pool: PortPool,
        node: str,
        now_ms: int,
        occupied: Mapping[tuple[Protocol, int], Holder],
        pending: Collection[Lease],
    ) -> None:
        self.pool = pool
        self.kind = pool.kind
        self.place: int | None = None  # where those that begin somewhere of their own go on
        self.node = node
        self.now_ms = now_ms
        self.occupied = occupied
        self.leases: dict[int, Lease] = {}
        self.cursors: dict[Protocol, int] = {}
        self.ahead: dict[tuple[Protocol, int], tuple[tuple[Lease, bool], ...]] = {}
        self.next_ephemeral = pool.next_ephemeral.get(node, pool.ephemeral.first)
        for lease in pending:
            if lease.node == node:
                self._add(lease, is_pending=True)

    def fixed(self, index: int, requests: Sequence[PortRequest]) -> PortRefusal | None:
        """The port asked for by number, or who has it."""
        request = requests[index]
        if request.host_port is None:
            return None
        shelf = self._shelf(request.protocol)
        refusal = self._refuse(shelf, request, request.host_port)
        if refusal is None:
            self._choose(index, request, request.host_port)
        return refusal

    def sticky(self, index: int, requests: Sequence[PortRequest]) -> None:
        """The preferred port, if it can be had."""
        request = requests[index]
        number = request.preferred
        if number is None or request.ephemeral or request.run:
            return
        if self._is_free(request.protocol, number):
            self._choose(index, request, number)

    def in_a_row(self, index: int, requests: Sequence[PortRequest]) -> PortRefusal | None:
        """The first free ports in a row for all of the request's run; for an ephemeral one without, a row of one."""
        request = requests[index]
        if not (request.ephemeral or request.run):
            return None
        row = [index]
        if request.run:
            row = [n for n, one in enumerate(requests) if one.run == request.run]
        shelf = self._shelf(request.protocol)
        within = self.pool.ephemeral if request.ephemeral else shelf.range
        start = self.next_ephemeral
        if not request.ephemeral:
            start = within.first + self.cursors.get(request.protocol, shelf.cursor)

        def is_free(number: int) -> bool:
            key = (request.protocol, number)
            open_ = self._is_open if request.ephemeral else _Shelf.is_free
            return open_(shelf, number) and key not in self.ahead and key not in self.occupied

        first = first_row(within, len(row), start=start, is_free=is_free)
        if first is None:
            return PortRefusal(
                reason=port_words.no_row(
                    node=self.node, span=str(within), count=len(row), ephemeral=request.ephemeral
                )
            )
        for nth, member in enumerate(row):
            self._choose(member, requests[member], first + nth)
        return None

    def from_start(self, index: int, requests: Sequence[PortRequest]) -> PortRefusal | None:
        """The first port after the request's place, or after the last one found so, that is free for all who share it."""
        request = requests[index]
        if request.start is None or request.same_as:
            return None
        names = [None if other.start is None else other.same_as for other in requests]
        group = [index, *(n for n, name in enumerate(names) if name == request.port_name)]
        shelf = self._shelf(request.protocol)
        place = request.start % len(shelf.marks) if self.place is None else self.place
        for number in shelf.free_from(place):
            if all(self._is_free(requests[n].protocol, number) for n in group):
                for n in group:
                    self._choose(n, requests[n], number)
                self.place = (number - shelf.range.first + 1) % len(shelf.marks)
                return None
        return self._exhausted(shelf, request.protocol)

    def _is_free(self, protocol: Protocol, number: int) -> bool:
        key = (protocol, number)
        is_free = self._shelf(protocol).is_free(number)
        return is_free and key not in self.ahead and key not in self.occupied

    def _is_open(self, shelf: _Shelf, number: int) -> bool:
        """Whether an ephemeral port is neither leased, nor cooling, nor kept for somebody."""
        pool = self.pool
        kept = number in pool.reserved or number in RESERVED_BY_ECS
        kept = kept or any(number in range_ for range_ in pool.kept)
        return not kept and number not in shelf.held and number not in shelf.cooling

    def next_fit(self, index: int, requests: Sequence[PortRequest]) -> PortRefusal | None:
        """The first free port at or after the cursor, once round."""
        request = requests[index]
        protocol = request.protocol
        shelf = self._shelf(protocol)
        start = self.cursors.get(protocol, shelf.cursor)
        for number in shelf.free_from(start):
            key = (protocol, number)
            if key not in self.ahead and key not in self.occupied:
                self._choose(index, request, number)
                return None
        return self._exhausted(shelf, protocol)

    def _shelf(self, protocol: Protocol) -> _Shelf:
        shelf = self.pool.shelf(self.node, protocol)
        shelf.expire(self.now_ms)
        return shelf

    def _choose(self, index: int, request: PortRequest, number: int) -> None:
        lease = Lease(
            port_name=request.port_name,
            node=self.node,
            protocol=request.protocol,
            host_port=number,
            container_port=request.container_port or number,
            address=request.address,
            fixed=request.host_port is not None,
        )
        self.leases[index] = lease
        self._add(lease, is_pending=False)

    def _add(self, lease: Lease, *, is_pending: bool) -> None:
        key = (lease.protocol, lease.host_port)
        self.ahead[key] = (*self.ahead.get(key, ()), (lease, is_pending))
        shelf = self.pool.shelf(self.node, lease.protocol)
        if not lease.fixed and lease.host_port in shelf.range:
            self.cursors[lease.protocol] = lease.host_port - shelf.range.first + 1
        elif self.pool.is_ephemeral(lease):
            self.next_ephemeral = lease.host_port + 1

    def _refuse(self, shelf: _Shelf, request: PortRequest, number: int) -> PortRefusal | None:
        """Why a fixed port cannot be had now; None when it can."""
        kind = self.kind
        where = port_words.place(kind, node=self.node, protocol=request.protocol, number=number)
        if number in self.pool.reserved:
            return PortRefusal(reason=port_words.reserved(kind, where))
        for lease, owner in shelf.held.get(number, ()):
            if addresses_conflict(lease.address, request.address):
                return PortRefusal(reason=port_words.leased(kind, where, owner))
        for lease, is_pending in self.ahead.get((request.protocol, number), ()):
            if addresses_conflict(lease.address, request.address):
                twice = port_words.asked_twice(kind, where, lease.port_name, request.port_name)
                return PortRefusal(reason=port_words.planned(kind, where) if is_pending else twice)
        for entry in shelf.cooling.get(number, ()):
            if addresses_conflict(entry.lease.address, request.address):
                left_ms = entry.free_at_ms - self.now_ms
                reason = port_words.cooling(where, entry.owner, left_ms=left_ms)
                return PortRefusal(reason=reason, retry_at_ms=entry.free_at_ms)
        holder = self.occupied.get((request.protocol, number))
        if holder and any(
            addresses_conflict(a, request.address) for a in holder.addresses or (ANY_ADDRESS,)
        ):
            return PortRefusal(reason=port_words.foreign(kind, where, holder.description))
        return None

    def _exhausted(self, shelf: _Shelf, protocol: Protocol) -> PortRefusal:
        """The refusal when the whole range is in use; each port is counted once."""
        counts = self.pool.counts(self.node, protocol, now_ms=self.now_ms)
        open_ = [(protocol, number) for number in shelf.free_from(0)]
        planned = sum(1 for key in open_ if key in self.ahead)
        ends = (e.free_at_ms for n in shelf.cooling if n in shelf.range for e in shelf.cooling[n])
        retry_at_ms = min(ends, default=None)
        reason = port_words.exhausted(
            self.kind,
            node=self.node,
            span=f"{shelf.range} ({counts.total} ports)",
            counts={
                "leased": counts.leased,
                "given out in this plan": planned,
                "cooling down": counts.cooling,
                "held by other programs": len(open_) - planned,
                "kept for portway itself": counts.reserved,
            },
            next_free_ms=None if retry_at_ms is None else retry_at_ms - self.now_ms,
        )
        return PortRefusal(reason=reason, retry_at_ms=retry_at_ms)
