"""Who is behind which listener, computed from what runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import App, CheckKind, Exposure, HealthCheck, ListenerSpec, PortSpec, Protocol
from portway.core.health import Health, HealthStatus
from portway.core.instance import (
    EngineState,
    InstanceIdentity,
    InstanceRecord,
    ObservedInstance,
    Phase,
)
from portway.core.observed import Observed
from portway.core.ports import Lease
from portway.core.routes import EndpointState, Route, RouteKey
from portway.core.routing import is_routed, kept_out_ids, project_routes, route_keys, wants_listener
from portway.core.state import AppState, Revision

WEB = PortSpec(name="80", container_port=8080, service_ports=(80,))
INTERNAL = PortSpec(name="5432", container_port=5432, exposure=Exposure.INTERNAL)


def revision(name: str, *ports: PortSpec) -> Revision:
    return Revision(id=name, release=name, app=App(id="shop/web", ports=ports))


def record(
    serial: int, *, slot: int = 1, of: str = "R1", phase: Phase = Phase.READY, leased: bool = True
) -> InstanceRecord:
    lease = Lease(
        port_name="80",
        node="local",
        protocol=Protocol.TCP,
        host_port=31000 + serial,
        container_port=8080,
    )
    identity = InstanceIdentity(
        id=f"shop/web.{slot}.{serial}",
        app_id="shop/web",
        slot=slot,
        serial=serial,
        revision=of,
        release=of,
        node="local",
        leases=(lease,) if leased else (),
    )
    ready = 1 if phase >= Phase.READY else None
    return InstanceRecord(identity=identity, phase=phase, planned_at_ms=0, ready_at_ms=ready)


def state(*records: InstanceRecord, target: Revision | None = None, **fields: object) -> AppState:
    target = target or revision("R1", WEB)
    revisions = {target.id: target, **fields.pop("revisions", {})}  # type: ignore[dict-item]
    return AppState(
        app_id="shop/web",
        target=target,
        revisions=revisions,
        instances=records,
        **fields,  # type: ignore[arg-type]
    )


def observed(*records: InstanceRecord, failing: tuple[int, ...] = (), **fields: object) -> Observed:
    seen = {
        r.id: ObservedInstance(
            identity=r.identity,
            state=EngineState.RUNNING,
            address="172.18.0.2",
            **fields,  # type: ignore[arg-type]
        )
        for r in records
    }
    health = {
        r.id: Health(status=HealthStatus.FAILING) for r in records if r.identity.serial in failing
    }
    return Observed(instances=seen, served={}, health=health)


def behind(routes: tuple[Route, ...]) -> dict[int, list[tuple[str, int]]]:
    return {
        r.key.service_port: [(e.instance_id, e.port_number) for e in r.endpoints] for r in routes
    }


@pytest.mark.parametrize(
    ("spec", "routed"),
    [
        (WEB, True),
        (INTERNAL, True),
        (replace(WEB, protocol=Protocol.UDP), False),
        (replace(WEB, exposure=Exposure.HOST), False),
    ],
    ids=["public", "internal", "UDP", "published by the engine"],
)
def test_tcp_ports_are_routed_unless_the_engine_publishes_them(
    spec: PortSpec, routed: bool
) -> None:
    assert is_routed(spec) is routed


def test_a_listener_is_where_the_port_says() -> None:
    def at(address: str, number: int) -> RouteKey:
        return RouteKey(address=address, service_port=number)

    assert route_keys(WEB, {}) == ((at("", 80), None),)
    assert route_keys(replace(WEB, address="10.0.0.1"), {}) == ((at("10.0.0.1", 80), None),)
    assert route_keys(INTERNAL, {"5432": 10000}) == ((at("127.0.0.1", 10000), None),)
    assert route_keys(INTERNAL, {}) == ()
    pool = route_keys(replace(WEB, service_ports=(80, 81)), {})
    assert pool == ((at("", 80), 1), (at("", 81), 2))


def test_an_app_waits_for_a_listener_until_every_routed_port_has_one() -> None:
    assert not wants_listener(state())
    waiting = state(target=revision("R1", WEB, INTERNAL))
    assert wants_listener(waiting)
    assert not wants_listener(replace(waiting, service_ports={"5432": 10000}))
    assert not wants_listener(AppState(app_id="shop/web", target=None))


def test_a_ready_instance_is_behind_its_listener_at_its_container_port() -> None:
    one = record(1)
    assert behind(project_routes(state(one), observed(one))) == {80: [("shop/web.1.1", 8080)]}


def test_across_machines_the_host_port_is_the_target() -> None:
    one = record(1)
    routes = project_routes(state(one), observed(one, reaches_container=False))
    assert behind(routes) == {80: [("shop/web.1.1", 31001)]}


@pytest.mark.parametrize("reaches", [True, False])
def test_without_a_lease_only_the_container_port_can_answer(reaches: bool) -> None:
    one = record(1, leased=False)
    routes = project_routes(state(one), observed(one, reaches_container=reaches))
    assert behind(routes) == {80: [("shop/web.1.1", 8080)] if reaches else []}


@pytest.mark.parametrize("phase", [Phase.PLANNED, Phase.STARTED, Phase.STOPPING])
def test_only_what_is_ready_or_draining_is_routed(phase: Phase) -> None:
    one = record(1, phase=phase)
    assert behind(project_routes(state(one), observed(one))) == {80: []}


def test_what_drains_stays_behind_its_listener_as_draining() -> None:
    one = record(1, phase=Phase.DRAINING)
    (route,) = project_routes(state(one), observed(one))
    assert [e.state for e in route.endpoints] == [EndpointState.DRAINING]


def test_what_drains_without_ever_having_been_healthy_is_not_routed() -> None:
    one = replace(record(1, phase=Phase.DRAINING), ready_at_ms=None)
    assert behind(project_routes(state(one), observed(one))) == {80: []}


def test_what_is_not_seen_or_has_no_address_is_not_routed() -> None:
    one, two = record(1), record(2, slot=2)
    assert behind(project_routes(state(one, two), observed(two, failing=()))) == {
        80: [("shop/web.2.2", 8080)]
    }
    unseen = Observed(instances=None, served={})
    assert behind(project_routes(state(one), unseen)) == {80: []}
    nowhere = observed(one)
    assert nowhere.instances is not None
    lost = {k: replace(v, address="") for k, v in nowhere.instances.items()}
    assert behind(project_routes(state(one), replace(nowhere, instances=lost))) == {80: []}


def test_a_failing_instance_gets_no_traffic_unless_all_fail() -> None:
    one, two = record(1), record(2, slot=2)
    both = state(one, two)
    assert kept_out_ids(both, observed(one, two, failing=(1,))) == {one.id}
    (route,) = project_routes(both, observed(one, two, failing=(1,)))
    assert {e.instance_id: e.state for e in route.endpoints} == {
        one.id: EndpointState.DRAINING,  # what it has been asked it may answer
        two.id: EndpointState.READY,
    }
    assert kept_out_ids(both, observed(one, two, failing=(1, 2))) == frozenset()


READY_CHECK = HealthCheck(kind=CheckKind.HTTP, path="/ready")


def asked_ready(*records: InstanceRecord) -> AppState:
    target = revision("R1", WEB)
    target = replace(target, app=replace(target.app, readiness=READY_CHECK))
    return state(*records, target=target)


def unready(seen: Observed, *records: InstanceRecord, failures: int = 2) -> Observed:
    said = Health(status=HealthStatus.FAILING, failures=failures)
    return replace(seen, readiness={r.id: said for r in records})


def test_an_instance_that_is_not_ready_gets_no_traffic_unless_all_are_not() -> None:
    one, two = record(1), record(2, slot=2)
    both = asked_ready(one, two)
    assert kept_out_ids(both, unready(observed(one, two), one)) == {one.id}
    assert kept_out_ids(both, unready(observed(one, two), one, two)) == frozenset()


def test_one_that_was_not_asked_yet_whether_it_is_ready_keeps_its_traffic() -> None:
    one, two = record(1), record(2, slot=2)
    seen = replace(observed(one, two), readiness={one.id: Health()})
    assert kept_out_ids(asked_ready(one, two), seen) == frozenset()


def test_one_that_is_only_not_ready_is_better_than_one_that_fails() -> None:
    one, two = record(1), record(2, slot=2)
    seen = unready(observed(one, two, failing=(1,)), two)
    assert kept_out_ids(asked_ready(one, two), seen) == {one.id}


@pytest.mark.parametrize(("failures", "out"), [(2, [1, 2]), (4, [1, 2, 3, 4])])
def test_more_than_half_leave_only_once_a_second_round_of_checks_agrees(
    failures: int, out: list[int]
) -> None:
    records = [record(serial, slot=serial) for serial in range(1, 6)]
    health = {
        r.id: Health(status=HealthStatus.FAILING, failures=failures, since_ms=r.identity.serial)
        for r in records[:4]
    }
    seen = replace(observed(*records), health=health)
    kept_out = kept_out_ids(state(*records), seen)
    assert sorted(r.identity.serial for r in records if r.id in kept_out) == out


def test_half_may_leave_at_once_the_failing_before_those_not_ready() -> None:
    records = [record(serial, slot=serial) for serial in range(1, 5)]
    seen = unready(observed(*records, failing=(3,)), *records[:2])
    kept_out = kept_out_ids(asked_ready(*records), seen)
    assert len(kept_out) == 2
    assert records[2].id in kept_out


def test_each_instance_of_a_pool_has_its_own_listener() -> None:
    pool = revision("R1", replace(WEB, service_ports=(80, 81)))
    one, two = record(1), record(2, slot=2)
    assert behind(project_routes(state(one, two, target=pool), observed(one, two))) == {
        80: [("shop/web.1.1", 8080)],
        81: [("shop/web.2.2", 8080)],
    }


def test_a_listener_a_release_drops_stays_while_an_older_instance_runs() -> None:
    old = revision("R1", WEB, replace(WEB, name="81", service_ports=(81,)))
    new = revision("R2", WEB)
    one = record(1, of="R1")
    both = state(one, target=new, revisions={"R1": old})
    assert sorted(behind(project_routes(both, observed(one)))) == [80, 81]
    gone = replace(one, phase=Phase.GONE)
    assert sorted(behind(project_routes(replace(both, instances=(gone,)), observed()))) == [80]


def test_a_listener_is_treated_as_the_newest_release_says() -> None:
    new = revision("R2", replace(WEB, listener=ListenerSpec(sticky=True)))
    one = record(1, of="R1")
    both = state(one, target=new, revisions={"R1": revision("R1", WEB)})
    (route,) = project_routes(both, observed(one))
    assert (route.listener.sticky, len(route.endpoints)) == (True, 1)


def test_an_instance_whose_spec_does_not_know_a_listener_is_not_behind_it() -> None:
    old = revision("R1", replace(WEB, name="81", service_ports=(81,)))
    one, stray = record(1, of="R1"), record(2, of="R0", slot=2)
    both = state(one, stray, target=revision("R2", WEB), revisions={"R1": old})
    routes = behind(project_routes(both, observed(one, stray)))
    assert routes == {80: [], 81: [("shop/web.1.1", 8080)]}


def test_a_deleted_app_keeps_its_listener_until_its_last_instance_is_gone() -> None:
    one = record(1)
    deleted = replace(state(one), target=None)
    assert sorted(behind(project_routes(deleted, observed(one)))) == [80]
    assert project_routes(replace(deleted, instances=()), observed()) == ()


def test_a_route_names_the_certificates_of_its_listener() -> None:
    one = record(1)
    (route,) = project_routes(state(one), replace(observed(one), certificates={80: ("c1",)}))
    assert route.certificates == ("c1",)
