"""The promises of the port pool (P1-P10), kept over random histories against a model that is plainly right.

PORTWAY_PORT_HISTORIES=100000 runs that many histories; without it a number that takes a few seconds.
P8 (two portways on one host) needs the kernel: tests/controller/ports/test_host_ports.py.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from portway.core.app import Protocol
from portway.core.ports import (
    CoolingPort,
    Holder,
    Lease,
    PortPool,
    PortRange,
    PortRefusal,
    PortRequest,
)
from tests.features import examples

HISTORIES = int(os.environ.get("PORTWAY_PORT_HISTORIES", examples(500)))
HOLD_MS = 50
RANGES = {"a": PortRange(first=100, last=104), "b": PortRange(first=100, last=101)}
RESERVED = {103}
NUMBERS = [*range(99, 106)]
EVERYWHERE = {"0.0.0.0", "::"}
ADDRESSES = ["127.0.0.1", "10.0.0.1", "::1", *sorted(EVERYWHERE)]

nodes = st.sampled_from(sorted(RANGES))
numbers = st.sampled_from(NUMBERS)
addresses = st.sampled_from(ADDRESSES)
protocols = st.sampled_from(list(Protocol))
requests = st.builds(
    PortRequest,
    port_name=st.sampled_from(["web", "admin"]),
    protocol=protocols,
    container_port=st.sampled_from([0, 80]),
    host_port=st.none() | numbers,
    preferred=st.none() | numbers,
    address=addresses,
)


def clash(one: str, other: str) -> bool:
    """The rule of the kernel, written differently from the pool's."""
    return one == other or one in EVERYWHERE or other in EVERYWHERE


@dataclass
class Model:
    """Everything a pool ought to know, as plain lists that are searched from end to end."""

    now_ms: int = 0
    live: list[tuple[Lease, str]] = field(default_factory=list)
    resting: list[tuple[Lease, int]] = field(default_factory=list)
    foreign: dict[tuple[str, Protocol, int], tuple[str, ...]] = field(default_factory=dict)

    def on(self, node: str, protocol: Protocol, number: int, extra: Sequence[Lease]) -> list[str]:
        """The addresses on which the port is leased, resting, foreign or promised (`extra`)."""
        ours = [lease for lease, _ in self.live]
        ours += [lease for lease, until in self.resting if until > self.now_ms]
        found = [
            lease.address
            for lease in [*ours, *extra]
            if (lease.node, lease.protocol, lease.host_port) == (node, protocol, number)
        ]
        return found + list(self.foreign.get((node, protocol, number), ()))

    def allows_fixed(self, node: str, request: PortRequest, extra: Sequence[Lease]) -> bool:
        assert request.host_port is not None
        used = self.on(node, request.protocol, request.host_port, extra)
        return request.host_port not in RESERVED and not any(
            clash(request.address, address) for address in used
        )

    def open_numbers(self, node: str, protocol: Protocol, extra: Sequence[Lease]) -> set[int]:
        span = range(RANGES[node].first, RANGES[node].last + 1)
        return {n for n in span if n not in RESERVED and not self.on(node, protocol, n, extra)}

    def occupied(self, node: str) -> dict[tuple[Protocol, int], Holder]:
        return {
            (protocol, number): Holder(description="nginx (pid 812)", addresses=found)
            for (where, protocol, number), found in self.foreign.items()
            if where == node
        }

    def can_be_met(
        self, node: str, wanted: Sequence[PortRequest], pending: Sequence[Lease]
    ) -> bool:
        """Whether all of the requests can be met at once, by counting alone."""
        promised = list(pending)
        for request in wanted:
            if request.host_port is not None:
                if not self.allows_fixed(node, request, promised):
                    return False
                promised.append(as_lease(node, request, request.host_port))
        return all(
            sum(1 for r in wanted if r.host_port is None and r.protocol is protocol)
            <= len(self.open_numbers(node, protocol, promised))
            for protocol in Protocol
        )


def as_lease(node: str, request: PortRequest, number: int) -> Lease:
    return Lease(
        port_name=request.port_name,
        node=node,
        protocol=request.protocol,
        host_port=number,
        container_port=request.container_port or number,
        address=request.address,
        fixed=request.host_port is not None,
    )


class PortHistories(RuleBasedStateMachine):
    """Instances come and go, programs take ports, time passes, the controller restarts."""

    @initialize()
    def begin(self) -> None:
        self.pool = self.new_pool()
        self.model = Model()
        self.serial = 0

    def new_pool(self) -> PortPool:
        return PortPool(
            PortRange(first=1, last=1), hold_down_ms=HOLD_MS, node_ranges=RANGES, reserved=RESERVED
        )

    def ask(
        self, node: str, wanted: Sequence[PortRequest], pending: Sequence[Lease]
    ) -> tuple[Lease, ...] | PortRefusal:
        """Propose, and check the answer whatever it is."""
        model = self.model
        occupied = model.occupied(node)

        def once() -> tuple[Lease, ...] | PortRefusal:
            return self.pool.propose(
                node, wanted, now_ms=model.now_ms, occupied=occupied, pending=pending
            )

        before = self.pool.leases()
        answer = once()
        assert once() == answer, "proposing changed the pool"
        assert self.pool.leases() == before
        assert isinstance(answer, PortRefusal) != model.can_be_met(node, wanted, pending), answer
        if isinstance(answer, PortRefusal):
            assert answer.reason
            assert answer.retry_at_ms is None or answer.retry_at_ms > model.now_ms
        else:
            self.check_leases(node, wanted, answer, pending)
        return answer

    def check_leases(
        self,
        node: str,
        wanted: Sequence[PortRequest],
        answer: Sequence[Lease],
        pending: Sequence[Lease],
    ) -> None:
        assert len(answer) == len(wanted)
        fixed = [lease for lease in answer if lease.fixed]
        for index, (request, lease) in enumerate(zip(wanted, answer, strict=True)):
            assert lease == as_lease(node, request, lease.host_port)
            others = [*pending, *answer[:index], *answer[index + 1 :]]
            used = self.model.on(node, lease.protocol, lease.host_port, others)
            if request.host_port is not None:
                assert lease.host_port == request.host_port
                assert not any(clash(lease.address, address) for address in used)
                continue
            assert not used, "a dynamic port shares its number with nothing"
            assert lease.host_port in RANGES[node]
            assert lease.host_port not in RESERVED
            rivals = {r.preferred for i, r in enumerate(wanted) if i != index}
            could = self.model.open_numbers(node, lease.protocol, [*pending, *fixed])
            if request.preferred in could and request.preferred not in rivals:
                assert lease.host_port == request.preferred, "sticky"

    @rule(
        node=nodes,
        plan=st.lists(st.lists(requests, max_size=4), min_size=1, max_size=3),
        crash=st.booleans(),
    )
    def plan_some_instances(self, node: str, plan: list[list[PortRequest]], crash: bool) -> None:
        """Several instances in one plan; with `crash` the plan is lost before its leases are taken."""
        pending: list[Lease] = []
        owners: list[tuple[Lease, str]] = []
        for wanted in plan:
            answer = self.ask(node, wanted, pending)
            if isinstance(answer, tuple):
                self.serial += 1
                owners += [(lease, f"stack/web.1.{self.serial}") for lease in answer]
                pending += answer
        if not crash:
            for lease, owner in owners:
                self.pool.take((lease,), owner)
                self.model.live.append((lease, owner))

    @rule(data=st.data(), at_once=st.booleans())
    def an_instance_ends(self, data: st.DataObject, at_once: bool) -> None:
        owners = sorted({owner for _, owner in self.model.live})
        if not owners:
            return
        owner = data.draw(st.sampled_from(owners))
        gone = [lease for lease, whose in self.model.live if whose == owner]
        hold_ms = 0 if at_once else HOLD_MS
        self.pool.free(gone, now_ms=self.model.now_ms, hold_down_ms=hold_ms, owner=owner)
        self.model.live = [entry for entry in self.model.live if entry[1] != owner]
        self.model.resting += [(lease, self.model.now_ms + hold_ms) for lease in gone]

    @rule(duration_ms=st.sampled_from([1, HOLD_MS // 2, HOLD_MS - 1, HOLD_MS, 10 * HOLD_MS]))
    def time_passes(self, duration_ms: int) -> None:
        self.model.now_ms += duration_ms

    @rule(node=nodes, protocol=protocols, number=numbers, where=st.sets(addresses, min_size=1))
    def a_program_takes_a_port(
        self, node: str, protocol: Protocol, number: int, where: set[str]
    ) -> None:
        if all(
            (lease.node, lease.protocol, lease.host_port) != (node, protocol, number)
            for lease, _ in self.model.live
        ):
            self.model.foreign[node, protocol, number] = tuple(sorted(where))

    @rule(data=st.data())
    def a_program_ends(self, data: st.DataObject) -> None:
        if self.model.foreign:
            del self.model.foreign[data.draw(st.sampled_from(sorted(self.model.foreign)))]

    @rule()
    def the_controller_restarts(self) -> None:
        leases, cooling = self.pool.leases(), self.pool.cooling(self.model.now_ms)
        self.pool = self.new_pool()
        self.pool.restore(leases, cooling)
        assert self.pool.leases() == leases
        assert self.pool.cooling(self.model.now_ms) == cooling

    @invariant()
    def the_pool_knows_what_the_model_knows(self) -> None:
        assert dict.fromkeys(self.pool.leases()) == dict.fromkeys(
            sorted(self.model.live, key=lambda e: (e[0].node, e[0].protocol, e[0].host_port))
        )
        assert len(self.pool) == len(self.model.live)
        rest = {(e.lease, e.free_at_ms) for e in self.pool.cooling(self.model.now_ms)}
        assert rest == {e for e in self.model.resting if e[1] > self.model.now_ms}
        for node, range_ in RANGES.items():
            for protocol in Protocol:
                self.counts_add_up(node, protocol, range_)

    def counts_add_up(self, node: str, protocol: Protocol, range_: PortRange) -> None:
        counts = self.pool.counts(node, protocol, now_ms=self.model.now_ms)
        mine = [
            lease
            for lease, _ in self.model.live
            if (lease.node, lease.protocol) == (node, protocol)
        ]
        assert counts.leased == len(
            {lease.host_port for lease in mine if lease.host_port in range_}
        )
        assert counts.leased + counts.cooling + counts.reserved <= counts.total

    @invariant()
    def no_two_live_leases_share_a_port(self) -> None:
        leases = [lease for lease, _ in self.pool.leases()]
        for index, one in enumerate(leases):
            for other in leases[index + 1 :]:
                same = (one.node, one.protocol, one.host_port) == (other.node, other.protocol, other.host_port)  # fmt: skip
                assert not (same and clash(one.address, other.address)), (one, other)


TestPortHistories = PortHistories.TestCase
TestPortHistories.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_a_port_rests_as_the_store_remembers_it() -> None:
    lease = Lease(port_name="w", node="a", protocol=Protocol.TCP, host_port=100, container_port=80)
    pool = PortPool(RANGES["a"], hold_down_ms=HOLD_MS)
    pool.restore([], [CoolingPort(lease=lease, free_at_ms=70)])
    answers = [
        pool.propose("a", [PortRequest(port_name="w", protocol=Protocol.TCP, container_port=80, preferred=100)], now_ms=now_ms)
        for now_ms in (69, 70)
    ]  # fmt: skip
    assert [answer[0].host_port for answer in answers if isinstance(answer, tuple)] == [101, 100]
