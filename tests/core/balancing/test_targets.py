"""Who the targets of a group are, and what is said of each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import Exposure, PortSpec, TargetBinding
from portway.core.balancing import targets
from portway.core.balancing.model import Target, TargetCheck, TargetType
from portway.core.balancing.targets import (
    CHECKING,
    CODES,
    DISABLED,
    DRAINING,
    HEALTHY,
    NOT_IN_USE,
    REGISTERING,
    TERMINATED,
    TIMED_OUT,
    Member,
    TargetState,
    check_number,
    deregistered,
    members_by_hand,
    members_of_app,
    overall,
    registered,
    state_of,
    unhealthy,
)
from portway.core.health import Health, HealthStatus
from portway.core.instance import (
    EngineState,
    InstanceIdentity,
    InstanceRecord,
    ObservedContainer,
    ObservedInstance,
    Phase,
)
from portway.core.lease import Lease
from portway.core.placement import NodeView
from portway.core.state import AppState
from tests.core.balancing.values import GROUP, group, member
from tests.simulation.world import revision

NODES = (NodeView(name="n", address="127.0.0.1", available=True),)
PORT = PortSpec(name="http", container_port=8080, exposure=Exposure.HOST)
BOUND = TargetBinding(group=GROUP.arn, container="", container_port=8080)


def app_state(**record: object) -> AppState:
    wanted = revision("R1", targets=(BOUND,), ports=(PORT,))
    lease = Lease(node="n", address="", protocol="tcp", host_port=32768, port_name="http", container_port=8080)  # fmt: skip
    identity = InstanceIdentity(
        id="s/w.1.1", app_id="s/w", slot=1, serial=1, revision="R1", release="R1", node="n", leases=(lease,)
    )  # fmt: skip
    one = InstanceRecord(identity=identity, planned_at_ms=1, **{"phase": Phase.STARTED, **record})
    return AppState(
        app_id="s/w", target=wanted, revisions={"R1": wanted}, instances=(one,), count=1
    )


def seen(state: AppState) -> dict[str, ObservedInstance]:
    return {
        r.id: ObservedInstance(identity=r.identity, state=EngineState.RUNNING, address="172.17.0.2")
        for r in state.instances
    }


def of_app(state: AppState, at_ms: int = 10, **fields: object) -> list[Member]:
    found = members_of_app(
        group(**fields), state, seen(state), NODES, lambda node: f"i-{node}", now_ms=at_ms
    )
    return list(found)


def test_an_instance_that_runs_is_a_target_by_its_node_and_host_port():
    [found] = of_app(app_state())
    assert (found.id, found.number, found.address) == ("i-n", 32768, "127.0.0.1")
    assert found.endpoint_id == found.instance_id == "s/w.1.1"
    assert not found.is_draining


def test_a_group_of_addresses_has_the_instance_by_its_own():
    [found] = of_app(app_state(), target_type=TargetType.IP)
    assert (found.id, found.number) == ("172.17.0.2", 8080)


def test_on_the_node_itself_an_instance_is_reached_without_the_engines_proxy():
    [found] = of_app(app_state())
    assert found.reached_at(32768) == ("172.17.0.2", 8080)
    assert found.reached_at(9999) == ("127.0.0.1", 9999)
    assert found.addresses == {"127.0.0.1", "172.17.0.2"}
    [found] = of_app(app_state(), target_type=TargetType.IP)
    assert found.reached_at(8080) == ("172.17.0.2", 8080)


def test_of_containers_with_addresses_of_their_own_each_is_reached_at_its_own():
    state = app_state()
    bound, spec = replace(BOUND, container="side"), replace(PORT, container="side")
    wanted = replace(state.target.app, ports=(spec,), targets=(bound,))
    state = replace(state, revisions={"R1": replace(state.target, app=wanted)})
    apart = {"web": "172.17.0.3", "side": "172.17.0.4"}
    instance = replace(
        seen(state)["s/w.1.1"],
        address="127.0.0.1",
        reaches_container=False,
        containers=tuple(
            ObservedContainer(name=name, state=EngineState.RUNNING, address=address)
            for name, address in apart.items()
        ),
    )
    [found] = members_of_app(
        group(), state, {"s/w.1.1": instance}, NODES, lambda node: f"i-{node}", now_ms=10
    )
    assert found.reached_at(32768) == ("172.17.0.4", 8080)


def test_an_instance_that_nobody_sees_is_reached_by_its_node():
    [found] = members_of_app(
        group(), app_state(phase=Phase.DRAINING, draining_at_ms=0), {}, NODES, str, now_ms=10
    )
    assert found.reached_at(32768) == ("127.0.0.1", 32768)


def test_an_instance_bound_twice_is_two_targets():
    state = app_state()
    twice = replace(state.target, app=replace(state.target.app, targets=(BOUND, BOUND)))
    found = of_app(replace(state, revisions={"R1": twice}))
    assert [each.endpoint_id for each in found] == ["s/w.1.1", "s/w.1.1#1"]


def test_one_that_is_let_go_is_shown_as_draining_for_the_whole_delay():
    leaving = app_state(phase=Phase.DRAINING, draining_at_ms=0)
    [found] = of_app(leaving)
    assert (found.is_draining, found.is_routable) == (True, True)
    gone = app_state(phase=Phase.GONE, draining_at_ms=0)
    [found] = of_app(gone, at_ms=299_999)
    assert not found.is_routable
    assert of_app(gone, at_ms=300_000) == []


def test_one_that_ended_by_itself_is_no_target():
    assert of_app(app_state(phase=Phase.GONE)) == []


def test_registering_again_changes_nothing_and_ends_a_deregistration():
    known = Target(id="i-1", number=1, registered_at_ms=5)
    leaving = Target(id="i-1", number=2, draining_until_ms=99)
    both = group(targets=(known, leaving))
    found = registered(both, [("i-1", 1), ("i-1", 2), ("i-1", 3)], now_ms=7)
    assert found[0] is known
    assert found[1:] == tuple(Target(id="i-1", number=n, registered_at_ms=7) for n in (2, 3))


def test_deregistering_takes_the_one_port_and_leaves_the_other():
    both = group(targets=(Target(id="i-1", number=32768), Target(id="i-1", number=32769)))
    one, other = deregistered(both, [("i-1", 32768), ("i-9", 1)], in_use=True, now_ms=0)
    assert (one.draining_until_ms, other.draining_until_ms) == (300_000, None)
    [left] = deregistered(both, [("i-1", 32768)], in_use=False, now_ms=0)
    assert left.number == 32769
    shown = members_by_hand(replace(both, targets=(one, other)), lambda _: "", now_ms=300_000)
    assert [each.number for each in shown] == [32769]


PASSING = Health(status=HealthStatus.PASSING)
FAILING = Health(status=HealthStatus.FAILING, failures=2, detail=TIMED_OUT)


@pytest.mark.parametrize(
    ("health", "fields", "expected"),
    [
        (None, {}, REGISTERING),
        (None, {"was_well": True}, HEALTHY),
        (Health(), {}, REGISTERING),
        (Health(failures=1), {}, CHECKING),
        (PASSING, {}, HEALTHY),
        (PASSING, {"draining_until_ms": 9}, DRAINING),
        (PASSING, {"address": ""}, TERMINATED),
        (FAILING, {}, unhealthy(TIMED_OUT)),
    ],
)
def test_the_state_of_a_target_has_awss_words(health, fields, expected):
    assert state_of(GROUP, member(**fields), health, in_use=True) == expected


def test_a_group_that_no_listener_uses_checks_nobody():
    assert state_of(GROUP, member(), PASSING, in_use=False) == NOT_IN_USE
    off = group(check=TargetCheck(enabled=False))
    assert state_of(off, member(), None, in_use=True) == DISABLED
    broken = state_of(GROUP, member(), Health(unchecked="no memory"), in_use=True)
    assert (broken.state, broken.reason) == (TargetState.UNAVAILABLE, "Elb.InternalError")


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        (TIMED_OUT, "Target.Timeout"),
        (f"{CODES}[503]", "Target.ResponseCodeMismatch"),
        (targets.FAILED, "Target.FailedHealthChecks"),
    ],
)
def test_the_reason_goes_with_what_the_check_found(detail: str, reason: str):
    assert (unhealthy(detail).reason, unhealthy(detail).description) == (reason, detail)


def test_the_traffic_port_is_each_targets_own():
    assert check_number(GROUP, member()) == 32768
    assert check_number(group(check=TargetCheck(number_text="8081")), member()) == 8081


def test_one_that_fails_speaks_for_all_and_one_unknown_for_those_that_pass():
    assert overall([PASSING, Health(), FAILING]) is FAILING
    assert overall([PASSING, Health()]).status is HealthStatus.UNKNOWN
    assert overall([PASSING]) is PASSING
