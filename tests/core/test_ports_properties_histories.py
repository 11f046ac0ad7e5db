"""P1 to P10 over seeded histories, safety and liveness apart: quick enough for a hundred thousand.

test_ports_properties.py goes further in each history and makes a failing one short; this one goes through many.
P8 (two portways on one host) is the kernel's to keep: tests/controller/ports/test_claims.py. P9 with a real store:
tests/store/test_sqlite.py and the simulation.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from portway.core.app import Protocol
from portway.core.ports import Holder, Lease, PortPool, PortRange, PortRefusal, PortRequest

HISTORIES = int(os.environ.get("PORTWAY_PORT_HISTORIES") or "1500")
CHUNKS = 4
STEPS = 24
HOLD_MS = 50
RANGES = {"a": PortRange(first=100, last=105), "b": PortRange(first=100, last=101)}
RESERVED = 103
EVERYWHERE = ("0.0.0.0", "::")
ADDRESSES = ("127.0.0.1", "10.0.0.1", "::1", *EVERYWHERE)


def meet(one: str, other: str) -> bool:
    """P10: every address meets each of them; two that differ do not."""
    return one == other or one in EVERYWHERE or other in EVERYWHERE


@dataclass
class History:
    """One pool, what it has given out, and who else has ports; all that happens follows from the seed."""

    seed: int
    now_ms: int = 0
    live: dict[str, tuple[Lease, ...]] = field(default_factory=dict)
    rests: list[tuple[Lease, int]] = field(default_factory=list)
    foreign: dict[tuple[str, Protocol, int], str] = field(default_factory=dict)
    serial: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.pool = self.fresh_pool()

    def fresh_pool(self) -> PortPool:
        range_ = PortRange(first=1, last=1)
        return PortPool(range_, hold_down_ms=HOLD_MS, node_ranges=RANGES, reserved={RESERVED})

    def step(self) -> None:
        """An instance comes or goes, a program takes or leaves a port, time passes, the controller restarts."""
        happens: list[tuple[float, Callable[[], None]]] = [
            (0.45, self.start),
            (0.65, self.end),
            (0.75, self.take_foreign),
            (0.82, self.leave_foreign),
            (0.92, self.wait),
            (1.0, self.restart),
        ]
        at = self.dice.random()
        next(act for limit, act in happens if at < limit)()

    def requests(self) -> tuple[PortRequest, ...]:
        dice = self.dice
        return tuple(
            PortRequest(
                port_name=f"p{nth}",
                protocol=dice.choice((Protocol.TCP, Protocol.TCP, Protocol.UDP)),
                container_port=dice.choice((0, 80)),
                host_port=dice.randrange(99, 107) if dice.random() < 0.3 else None,
                preferred=dice.randrange(99, 107) if dice.random() < 0.3 else None,
                address=dice.choice(ADDRESSES),
            )
            for nth in range(dice.randint(1, 3))
        )

    def occupied(self, node: str) -> dict[tuple[Protocol, int], Holder]:
        return {
            (protocol, number): Holder(description="nginx", addresses=(address,))
            for (where, protocol, number), address in self.foreign.items()
            if where == node
        }

    def ask(self, node: str, wanted: tuple[PortRequest, ...]) -> tuple[Lease, ...] | PortRefusal:
        return self.pool.propose(node, wanted, now_ms=self.now_ms, occupied=self.occupied(node))

    def start(self) -> None:
        node, wanted = self.dice.choice(sorted(RANGES)), self.requests()
        before = self.pool.leases()
        answer = self.ask(node, wanted)
        assert self.pool.leases() == before, "P5: proposing takes nothing, neither all nor half"
        if isinstance(answer, PortRefusal):
            assert answer.reason, "P5: a refusal says why"
            return
        self.check(node, wanted, answer)
        self.serial += 1
        self.pool.take(answer, f"web.{self.serial}")
        self.live[f"web.{self.serial}"] = answer

    def check(self, node: str, wanted: tuple[PortRequest, ...], got: tuple[Lease, ...]) -> None:
        """Safety of one answer."""
        assert len(got) == len(wanted)
        for nth, (request, lease) in enumerate(zip(wanted, got, strict=True)):
            others = [x for i, x in enumerate(got) if i != nth]
            assert (lease.node, lease.protocol) == (node, request.protocol)
            assert lease.container_port == (request.container_port or lease.host_port)
            if request.host_port is not None:
                assert lease.host_port == request.host_port, "P2: static is never moved"
                assert lease.host_port != RESERVED
            else:
                assert lease.host_port in RANGES[node], "P5: from the range"
                assert lease.host_port != RESERVED
                assert not self.same_number(lease, others), "P4: zeros never equal a fixed one"
            fixed = request.host_port is not None
            assert not self.in_the_way(lease, others, by_address=fixed), f"P1 P3 P6 P7 P10: {lease}"

    def same_number(self, lease: Lease, others: list[Lease]) -> bool:
        key = (lease.protocol, lease.host_port)
        return any((x.protocol, x.host_port) == key for x in others)

    def in_the_way(self, lease: Lease, others: list[Lease], *, by_address: bool) -> list[str]:
        """Addresses at which somebody has that port: live, resting, foreign, or of the same instance."""
        held = [x for leases in self.live.values() for x in leases] + others
        held += [x for x, until_ms in self.rests if until_ms > self.now_ms]
        key = (lease.node, lease.protocol, lease.host_port)
        at = [x.address for x in held if (x.node, x.protocol, x.host_port) == key]
        at += [self.foreign[key]] if key in self.foreign else []
        return [a for a in at if not by_address or meet(a, lease.address)]

    def end(self) -> None:
        if self.live:
            owner = self.dice.choice(sorted(self.live))
            leases = self.live.pop(owner)
            self.pool.free(leases, now_ms=self.now_ms, owner=owner)
            self.rests += [(lease, self.now_ms + HOLD_MS) for lease in leases]

    def take_foreign(self) -> None:
        key = (
            self.dice.choice(sorted(RANGES)),
            self.dice.choice(list(Protocol)),
            self.dice.randrange(99, 107),
        )
        mine = {(x.node, x.protocol, x.host_port) for ls in self.live.values() for x in ls}
        if key not in mine:
            self.foreign[key] = self.dice.choice(ADDRESSES)

    def leave_foreign(self) -> None:
        if self.foreign:
            del self.foreign[self.dice.choice(sorted(self.foreign))]

    def wait(self) -> None:
        self.now_ms += self.dice.choice((1, HOLD_MS // 2, HOLD_MS, 5 * HOLD_MS))

    def restart(self) -> None:
        leases, cooling = self.pool.leases(), self.pool.cooling(self.now_ms)
        self.pool = self.fresh_pool()
        self.pool.restore(leases, cooling)
        assert self.pool.leases() == leases, "P9: after a restart the leases equal what was stored"

    def agree(self) -> None:
        """P1 and P9: the pool knows exactly what was given out, and none of it clashes."""
        known = sorted(
            (x.node, x.protocol, x.host_port, x.address) for ls in self.live.values() for x in ls
        )
        pooled = sorted((x.node, x.protocol, x.host_port, x.address) for x, _ in self.pool.leases())
        assert known == pooled
        for one, other in zip(known, known[1:], strict=False):
            assert one[:3] != other[:3] or not meet(one[3], other[3]), f"P1: {one} {other}"


def seeds(chunk: int) -> Iterator[int]:
    return iter(range(chunk, HISTORIES, CHUNKS))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_answer_ever_breaks_a_promise(chunk: int) -> None:
    """Safety."""
    for seed in seeds(chunk):
        history = History(seed)
        try:
            for _ in range(STEPS):
                history.step()
            history.agree()
        except AssertionError as error:
            pytest.fail(f"history {seed}: {error}", pytrace=False)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_once_others_let_go_every_port_can_be_had_again(chunk: int) -> None:
    """Liveness: nothing leaks. When all have gone and rested, the whole range is given out, and then no more."""
    for seed in seeds(chunk):
        history = History(seed)
        for _ in range(STEPS):
            history.step()
        try:
            _drains_and_fills(history)
        except AssertionError as error:
            pytest.fail(f"history {seed}: {error}", pytrace=False)


def _drains_and_fills(history: History) -> None:
    history.foreign.clear()
    while history.live:
        history.end()
    one = PortRequest(port_name="p", protocol=Protocol.TCP, container_port=80, address="127.0.0.1")
    for node, range_ in RANGES.items():
        first = history.ask(node, (one,) * _size(range_))
        if isinstance(first, PortRefusal):
            assert first.retry_at_ms is not None, f"it says when to ask again: {first}"
    history.now_ms += HOLD_MS
    for node, range_ in RANGES.items():
        got = history.ask(node, (one,) * _size(range_))
        assert not isinstance(got, PortRefusal), got
        assert {x.host_port for x in got} == {n for n in _numbers(range_) if n != RESERVED}
        more = history.ask(node, (one,) * (_size(range_) + 1))
        assert isinstance(more, PortRefusal), "P5: no more than there are"


def _numbers(range_: PortRange) -> range:
    return range(range_.first, range_.last + 1)


def _size(range_: PortRange) -> int:
    return sum(1 for number in _numbers(range_) if number != RESERVED)
