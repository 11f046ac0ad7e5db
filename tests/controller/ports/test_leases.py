"""The two pools, and the claims that keep two portways apart."""

from __future__ import annotations

from dataclasses import replace

from portway.controller.ports.leases import REFUSED_FOR_MS, Leases, listener_leases
from portway.core.app import Protocol
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase
from portway.core.port_words import PortKind
from portway.core.ports import Lease, PortPool, PortRange
from portway.core.reconcile import BALANCER_NODE
from portway.core.state import AppState
from portway.store.base import CoolingLease
from tests.controller.inprocess import FakeGuard

HOLD_DOWN_MS = 5000


def made(guard: FakeGuard | None) -> Leases:
    return Leases(
        PortPool(PortRange(first=31000, last=31999), hold_down_ms=HOLD_DOWN_MS),
        PortPool(
            PortRange(first=10000, last=10999), hold_down_ms=HOLD_DOWN_MS, kind=PortKind.LISTENER
        ),
        guard,
        hold_down_ms=HOLD_DOWN_MS,
    )


def lease(number: int, *, node: str = "local", fixed: bool = False) -> Lease:
    return Lease(
        port_name="80",
        node=node,
        protocol=Protocol.TCP,
        host_port=number,
        container_port=80,
        fixed=fixed,
    )


def state(*leases: Lease, phase: Phase = Phase.READY) -> AppState:
    identity = InstanceIdentity(
        id="shop/web.1.1", app_id="shop/web", slot=1, serial=1, revision="R", release="R",
        node="local", leases=leases,
    )  # fmt: skip
    record = InstanceRecord(identity=identity, phase=phase, planned_at_ms=0)
    return AppState(
        app_id="shop/web", target=None, instances=(record,), service_ports={"80": 10000}
    )


def test_what_the_store_remembers_is_leased_and_claimed_again() -> None:
    guard = FakeGuard()
    guard.in_use.add(31000)  # by the very instance that has the lease
    leases = made(guard)
    cooling = [
        CoolingLease(lease=lease(31001), free_at_ms=900),
        CoolingLease(lease=lease(31002), free_at_ms=1100),
    ]
    leases.restore([state(lease(31000))], cooling, now_ms=1000)
    assert [x.host_port for x, _ in leases.host_pool.leases()] == [31000]
    assert [(x.host_port, o) for x, o in leases.service_pool.leases()] == [(10000, "shop/web")]
    assert [c.lease.host_port for c in leases.cooling(now_ms=1000)] == [31002]
    assert guard.claims == {31000}


def test_no_port_cools_for_longer_than_the_hold_down_when_the_clock_went_back() -> None:
    leases = made(None)
    leases.restore([], [CoolingLease(lease=lease(31001), free_at_ms=3_600_000)], now_ms=1000)
    assert [c.free_at_ms for c in leases.cooling(now_ms=1000)] == [1000 + HOLD_DOWN_MS]


def test_ports_of_instances_that_are_gone_are_not_leased_again() -> None:
    leases = made(None)
    leases.restore([state(lease(31000), phase=Phase.GONE)], (), now_ms=0)
    assert len(leases.host_pool) == 0


def test_every_new_host_port_is_claimed_and_bound_for_a_moment() -> None:
    guard = FakeGuard()
    assert made(guard).claim_all([lease(31000), lease(31001)], now_ms=0) == ""
    assert guard.claims == {31000, 31001}


def test_a_claim_is_for_all_or_for_none() -> None:
    guard = FakeGuard()
    guard.foreign[31001] = "nginx (pid 7)"
    leases = made(guard)
    assert leases.claim_all([lease(31000), lease(31001)], now_ms=0) == (
        "31001 is held by nginx (pid 7)"
    )
    assert guard.claims == set()


def test_a_listener_is_never_claimed() -> None:
    guard = FakeGuard()
    assert made(guard).claim_all([lease(10000, node=BALANCER_NODE)], now_ms=0) == ""
    assert guard.claims == set()


def test_a_port_of_another_portway_is_said_to_be_one() -> None:
    guard = FakeGuard()
    guard.claimed_elsewhere.add(31000)
    why = made(guard).claim_all([lease(31000)], now_ms=0)
    assert why == "31000 is held by another portway on this machine"


def test_a_port_that_cannot_be_bound_for_an_unknown_reason_says_what_the_kernel_said() -> None:
    guard = FakeGuard()
    guard.in_use.add(31000)
    assert made(guard).claim_all([lease(31000)], now_ms=0) == "31000 is in use"


def test_a_refused_port_is_kept_away_from_for_a_while() -> None:
    guard = FakeGuard()
    guard.foreign[31000] = "nginx (pid 7)"
    leases = made(guard)
    leases.claim_all([lease(31000)], now_ms=0)
    key = (Protocol.TCP, 31000)
    assert leases.occupied(now_ms=REFUSED_FOR_MS - 1)[key].description == "nginx (pid 7)"
    assert key not in leases.occupied(now_ms=REFUSED_FOR_MS)
    assert leases._refused == {}


def test_the_kernel_is_looked_at_once_a_second() -> None:
    class Counting(FakeGuard):
        looks = 0

        def occupied(self):  # noqa: ANN202
            self.looks += 1
            return {}

    guard = Counting()
    leases = made(guard)
    for now_ms in (0, 500, 1000, 1001, 1500):
        leases.occupied(now_ms=now_ms)
    assert guard.looks == 2
    leases.forget_kernel_view()
    leases.occupied(now_ms=1501)
    assert guard.looks == 3


def test_without_a_kernel_every_port_is_free() -> None:
    leases = made(None)
    assert leases.occupied(now_ms=0) == {}
    assert leases.claim_all([lease(31000)], now_ms=0) == ""
    assert leases.describe_holder("", 80) == ""


def test_a_port_given_back_cools_down_and_is_claimed_no_more() -> None:
    guard = FakeGuard()
    leases = made(guard)
    leases.claim_all([lease(31000)], now_ms=0)
    leases.take([lease(31000), lease(10000, node=BALANCER_NODE)], "shop/web")
    assert (len(leases.host_pool), len(leases.service_pool)) == (1, 1)
    leases.free([lease(31000), lease(10000, node=BALANCER_NODE)], "shop/web", now_ms=10)
    assert (len(leases.host_pool), len(leases.service_pool)) == (0, 0)
    assert guard.claims == set()
    assert leases.cooling(now_ms=10) == (
        CoolingLease(lease=lease(31000), free_at_ms=10 + HOLD_DOWN_MS),
    )


def test_what_the_store_is_told_of_cooling_ports_includes_those_about_to_be_freed() -> None:
    leases = made(None)
    leases.take([lease(31000)], "shop/web")
    leases.free([lease(31000)], "shop/web", now_ms=0)
    saved = leases.cooling_with([lease(31001)], now_ms=100)
    assert [(c.lease.host_port, c.free_at_ms) for c in saved] == [(31000, 5000), (31001, 5100)]


def test_a_claim_whose_decision_was_not_saved_is_given_back() -> None:
    guard = FakeGuard()
    leases = made(guard)
    leases.claim_all([lease(31000)], now_ms=0)
    leases.unclaim([lease(31000), lease(10000, node=BALANCER_NODE)])
    assert guard.claims == set()


def test_ports_of_what_runs_already_are_claimed_without_being_bound() -> None:
    guard = FakeGuard()
    guard.in_use.add(31000)
    made(guard).claim_running([lease(31000)])
    assert guard.claims == {31000}


def test_listeners_assigned_to_an_app_are_leases_of_the_balancer() -> None:
    (found,) = listener_leases(state())
    assert (found.node, found.host_port, found.port_name) == (BALANCER_NODE, 10000, "80")
    assert listener_leases(replace(state(), service_ports={})) == ()
