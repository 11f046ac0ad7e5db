"""Ownership: what an App holds, and how a moment is put together from a mark and the changes after it."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import App, ListenerSpec, PortSpec, Protocol
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase
from portway.core.ownership import (
    Change,
    Holding,
    HoldingKind,
    Mark,
    Past,
    by_app,
    differences,
    endpoints_of,
    held,
    ports_of,
)
from portway.core.ports import Lease
from portway.core.routes import Endpoint, EndpointState, Route, RouteKey
from portway.core.state import AppState, Revision

LEASE = Lease(
    port_name="http", node="n1", protocol=Protocol.TCP, host_port=31004, container_port=80
)


def holding(number: int, instance: str = "shop/web.1.1") -> Holding:
    return Holding(kind=HoldingKind.LEASE, number=number, app_id="shop/web", instance_id=instance)


def state(*phases: Phase) -> AppState:
    app = App(id="shop/web", ports=(PortSpec(name="http", container_port=80, service_ports=(8000,)),))  # fmt: skip
    revision = Revision(id="R1", release="R1", app=app)
    records = tuple(
        InstanceRecord(
            identity=InstanceIdentity(
                id=f"shop/web.1.{nth}", app_id="shop/web", slot=1, serial=nth, revision="R1",
                release="R1", node="n1", leases=(replace(LEASE, host_port=31003 + nth),),
            ),
            phase=phase,
            planned_at_ms=1,
        )
        for nth, phase in enumerate(phases, start=1)
    )  # fmt: skip
    return AppState(app_id="shop/web", target=revision, revisions={"R1": revision}, instances=records)  # fmt: skip


def test_an_app_holds_its_listeners_and_the_host_ports_of_its_live_instances():
    found = {(h.kind, h.number, h.instance_id) for h in ports_of(state(Phase.READY, Phase.GONE))}
    assert found == {
        (HoldingKind.LISTENER, 8000, ""),
        (HoldingKind.LEASE, 31004, "shop/web.1.1"),
    }


def test_an_app_that_is_let_go_keeps_its_listener_while_an_instance_lives():
    leaving = replace(state(Phase.DRAINING), target=None)
    assert 8000 in {h.number for h in ports_of(leaving)}
    assert ports_of(replace(state(Phase.GONE), target=None)) == frozenset()


def test_an_endpoint_is_what_the_balancer_was_told():
    route = Route(
        key=RouteKey(address="", service_port=8000),
        owner="shop/web",
        port_name="http",
        listener=ListenerSpec(),
        endpoints=(
            Endpoint(
                instance_id="shop/web.1.1", address="172.17.0.2", port_number=80,
                state=EndpointState.DRAINING,
            ),
        ),
    )  # fmt: skip
    (found,) = endpoints_of([route])
    assert (found.number, found.target_address, found.target_port) == (8000, "172.17.0.2", 80)
    assert found.state == "draining"


def test_what_ended_comes_before_what_began():
    one, other = holding(31004), holding(31005)
    changes = differences(frozenset({one}), frozenset({other}), at_ms=5)
    assert [(c.taken, c.holding.number) for c in changes] == [(False, 31004), (True, 31005)]
    assert differences(frozenset({one}), frozenset({one}), at_ms=5) == ()


def test_a_moment_is_the_mark_before_it_and_what_changed_since():
    one, other = holding(31004), holding(31005)
    past = Past(
        mark=Mark(at_ms=1, holdings=(one,)),
        changes=(
            Change(at_ms=2, taken=True, holding=other),
            Change(at_ms=3, taken=False, holding=one),
        ),
    )
    assert held(past) == {other}
    assert held(past, Change(at_ms=4, taken=True, holding=one)) == {one, other}


def test_a_change_told_twice_is_as_one():
    one = holding(31004)
    taken, ended = (Change(at_ms=1, taken=t, holding=one) for t in (True, False))
    assert held(Past(changes=(taken, taken, ended, ended))) == frozenset()


def test_holdings_are_found_by_their_app():
    other = replace(holding(1), app_id="shop/db")
    assert by_app([holding(31004), other]) == {
        "shop/web": {holding(31004)},
        "shop/db": {other},
    }
