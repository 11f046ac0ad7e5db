"""The verdict on a deployment, and the way back from one that failed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import App, PortSpec, Protocol, Rollout
from portway.core.deployment import (
    count_before,
    deployment_failures,
    go_back,
    judge_deployment,
    revision_before,
)
from portway.core.draft import Draft
from portway.core.health import Health, HealthStatus
from portway.core.instance import (
    EngineState,
    InstanceIdentity,
    InstanceRecord,
    ObservedInstance,
    Phase,
)
from portway.core.observed import Observed, StartFailure
from portway.core.ports import PortPool, PortRange
from portway.core.routes import EndpointState, RouteKey, ServedEndpoint, ServedRoute
from portway.core.state import AppState, Deployment, DeploymentStatus, Failure, Revision

NOW_MS = 1_000_000
OLD = Revision(id="R1", release="R1", app=App(id="shop/web", image="old"))
NEW = Revision(
    id="R2",
    release="R2",
    app=App(id="shop/web", image="new", rollout=Rollout(progress_deadline_s=300)),
)


def record(serial: int, *, of: str = "R2", phase: Phase = Phase.READY) -> InstanceRecord:
    identity = InstanceIdentity(
        id=f"shop/web.{serial}.{serial}", app_id="shop/web", slot=serial, serial=serial,
        revision=of, release=of, node="local",
    )  # fmt: skip
    return InstanceRecord(identity=identity, phase=phase, planned_at_ms=0, ready_at_ms=1)


def failure(serial: int, *, of: str = "R2", at_ms: int = NOW_MS, never: bool = False) -> Failure:
    return Failure(
        at_ms=at_ms,
        instance_id=f"shop/web.1.{serial}",
        revision=of,
        reason=f"reason {serial}",
        never_healthy=never,
    )


def deploying(*records: InstanceRecord, count: int = 1, **fields: object) -> AppState:
    deployment = Deployment(
        id="D",
        release="R2",
        to_revision="R2",
        from_revision="R1",
        from_count=2,
        started_at_ms=NOW_MS - 1000,
        progressed_at_ms=NOW_MS - 1000,
    )
    known = {"R1": OLD, "R2": NEW}
    fields = {"target": NEW, "deployment": deployment, "revisions": known, **fields}
    return AppState(app_id="shop/web", count=count, instances=records, **fields)  # type: ignore[arg-type]


def judged(state: AppState, *, now_ms: int = NOW_MS, **observed: object) -> Draft:
    pool = PortPool(PortRange(first=1, last=2), hold_down_ms=0)
    seen = {
        r.id: ObservedInstance(identity=r.identity, state=EngineState.RUNNING) for r in state.live
    }
    world = Observed(**{"instances": seen, "served": {}, **observed})  # type: ignore[arg-type]
    draft = Draft(state, world, host_pool=pool, service_pool=pool, now_ms=now_ms)
    judge_deployment(draft)
    return draft


def status(draft: Draft) -> DeploymentStatus:
    assert draft.state.deployment is not None
    return draft.state.deployment.status


def reason(draft: Draft) -> str:
    assert draft.state.deployment is not None
    return draft.state.deployment.reason


RUNNING, DONE, FAILED = DeploymentStatus.RUNNING, DeploymentStatus.DONE, DeploymentStatus.FAILED


def test_without_a_deployment_there_is_nothing_to_judge() -> None:
    idle = deploying(deployment=None)
    assert judged(idle).state == idle


def test_a_deployment_that_ended_is_not_judged_again() -> None:
    ended = deploying(record(1))
    assert ended.deployment is not None
    ended = replace(ended, deployment=replace(ended.deployment, status=FAILED))
    assert judged(ended).state == ended


def test_a_deployment_is_done_once_all_of_it_serves() -> None:
    draft = judged(deploying(record(1)))
    assert status(draft) is DONE
    assert [e.message for e in draft.events] == ["deployed: 1/1 healthy"]


@pytest.mark.parametrize(
    "records",
    [
        (record(1, phase=Phase.STARTED),),
        (record(1), record(2, of="R1")),
        (record(1), record(2, of="R1", phase=Phase.STOPPING)),
        (record(1), record(2)),
        (),
    ],
    ids=["not ready", "old one left", "old one stopping", "too many", "none"],
)
def test_a_deployment_runs_while_something_is_missing_or_left(
    records: tuple[InstanceRecord, ...],
) -> None:
    assert status(judged(deploying(*records))) is RUNNING


BEHIND_A_LISTENER = App(id="shop/web", image="old", ports=(PortSpec(name="80", container_port=80),))
DIRECT = PortSpec(name="53", container_port=53, protocol=Protocol.UDP)
KEY = RouteKey(address="", service_port=80)


def served_by(instance_id: str) -> ServedRoute:
    endpoint = ServedEndpoint(
        instance_id=instance_id, address="10.0.0.2", port_number=80, state=EndpointState.DRAINING, connections=0,
    )  # fmt: skip
    return ServedRoute(key=KEY, owner="shop/web", port_name="80", endpoints=(endpoint,))


def old_one_stopping(app: App, phase: Phase = Phase.STOPPING) -> AppState:
    known = {"R1": replace(OLD, app=app), "R2": NEW}
    return deploying(record(1), record(2, of="R1", phase=phase), revisions=known)


def test_a_deployment_is_done_when_the_old_ones_only_have_to_end() -> None:
    assert status(judged(old_one_stopping(BEHIND_A_LISTENER))) is DONE


@pytest.mark.parametrize(
    ("app", "phase", "served"),
    [
        (BEHIND_A_LISTENER, Phase.DRAINING, {}),
        (BEHIND_A_LISTENER, Phase.STOPPING, None),
        (BEHIND_A_LISTENER, Phase.STOPPING, {KEY: served_by("shop/web.2.2")}),
        (OLD.app, Phase.STOPPING, {}),
        (replace(BEHIND_A_LISTENER, ports=(*BEHIND_A_LISTENER.ports, DIRECT)), Phase.STOPPING, {}),
    ],
    ids=[
        "draining",
        "unread balancer",
        "still served",
        "no listener",
        "a port beside the balancer",
    ],
)
def test_a_deployment_runs_while_an_old_one_may_still_be_used(
    app: App, phase: Phase, served: dict[RouteKey, ServedRoute] | None
) -> None:
    assert status(judged(old_one_stopping(app, phase), served=served)) is RUNNING


def test_of_a_smaller_count_each_one_too_many_has_ended_before_it_is_done() -> None:
    known = {"R2": replace(NEW, app=BEHIND_A_LISTENER)}
    state = deploying(record(1), record(2, phase=Phase.STOPPING), revisions=known)
    assert status(judged(state)) is RUNNING


def test_a_deployment_is_looked_at_when_its_time_to_become_healthy_is_over() -> None:
    draft = judged(deploying(record(1, phase=Phase.STARTED)))
    assert draft.plan().wake_at_ms == NOW_MS - 1000 + 300_000


@pytest.mark.parametrize("phase", [Phase.READY, Phase.DRAINING, Phase.STOPPING])
def test_what_is_healthy_does_not_fail_because_the_old_ones_take_long_to_go(phase: Phase) -> None:
    draft = judged(deploying(record(1), record(2, of="R1", phase=phase)), now_ms=NOW_MS + 3_600_000)
    assert status(draft) is RUNNING


@pytest.mark.parametrize(("phase", "allowed_s"), [(Phase.DRAINING, 600 + 10), (Phase.STOPPING, 10)])
def test_while_an_old_one_makes_room_the_time_to_become_healthy_has_not_begun(
    phase: Phase, allowed_s: int
) -> None:
    old = replace(record(1, of="R1", phase=phase), draining_at_ms=NOW_MS)
    app = replace(OLD.app, rollout=Rollout(drain_timeout_s=600))
    state = deploying(old, revisions={"R1": replace(OLD, app=app), "R2": NEW})
    over_ms = NOW_MS + (allowed_s + 300) * 1000
    assert status(judged(state, now_ms=over_ms - 1)) is RUNNING
    assert status(judged(state, now_ms=over_ms)) is FAILED


def test_a_removal_is_done_when_nothing_is_left() -> None:
    leaving = deploying(record(1, phase=Phase.DRAINING), target=None)
    draft = judged(leaving)
    assert (status(draft), draft.plan().wake_at_ms) == (RUNNING, NOW_MS + 3_600_000)
    draft = judged(replace(leaving, instances=()))
    assert status(draft) is DONE
    assert [e.message for e in draft.events] == ["removed"]


def test_a_start_that_cannot_succeed_fails_the_deployment_at_once() -> None:
    hopeless = {"shop/web.1.1": StartFailure(at_ms=NOW_MS, reason="no such image")}
    state = deploying(failures=(failure(1),), count=9)
    assert reason(judged(state, start_failures=hopeless)) == "reason 1"
    port = {"shop/web.1.1": StartFailure(at_ms=NOW_MS, reason="taken", port_taken=True)}
    assert status(judged(state, start_failures=port)) is RUNNING
    later = {"shop/web.1.1": StartFailure(at_ms=NOW_MS, reason="busy", retry_at_ms=NOW_MS + 1)}
    assert status(judged(state, start_failures=later)) is RUNNING


def test_a_deployment_fails_when_each_instance_had_its_whole_start_up_time() -> None:
    never = failure(1, never=True)
    assert status(judged(deploying(failures=(never,), count=2))) is RUNNING
    draft = judged(deploying(failures=(never, failure(2, never=True)), count=2))
    assert reason(draft) == "reason 2"
    assert status(judged(deploying(failures=(never,), count=0))) is FAILED


def test_a_deployment_fails_after_its_threshold_of_failures() -> None:
    failures = tuple(failure(n) for n in range(1, 4))
    assert status(judged(deploying(failures=failures[:2], count=6))) is RUNNING
    assert reason(judged(deploying(failures=failures, count=6))) == (
        "3 instances failed; the last one: reason 3"
    )


def test_failures_of_another_revision_or_an_earlier_deployment_do_not_count() -> None:
    earlier = failure(1, at_ms=NOW_MS - 5000)
    state = deploying(failures=(earlier, failure(2, of="R1"), failure(3)))
    assert state.deployment is not None
    assert deployment_failures(state, state.deployment) == (failure(3),)


@pytest.mark.parametrize(
    ("fields", "observed", "why"),
    [
        ({}, {}, ""),
        ({"failures": (failure(1),), "count": 9}, {}, ": reason 1"),
        ({}, {"waiting_for": "it waits for db"}, ": it waits for db"),
    ],
    ids=["nobody knows", "the last failure", "a dependency"],
)
def test_a_deployment_without_progress_fails_and_says_what_it_waited_for(
    fields: dict[str, object], observed: dict[str, object], why: str
) -> None:
    draft = judged(deploying(**fields), now_ms=NOW_MS + 299_000, **observed)  # type: ignore[arg-type]
    assert reason(draft) == f"nothing became healthy for 300 s{why}"


def test_a_deployment_without_progress_says_what_the_check_says() -> None:
    waiting = deploying(record(1, phase=Phase.STARTED), record(2, phase=Phase.STARTED))
    health = {"shop/web.2.2": Health(status=HealthStatus.UNKNOWN, detail="HTTP 503")}
    draft = judged(waiting, now_ms=NOW_MS + 299_000, health=health)
    assert reason(draft).endswith("s: HTTP 503")


def test_a_failed_deployment_goes_back_to_what_ran() -> None:
    draft = judged(deploying(failures=tuple(map(failure, range(3)))))
    assert (draft.state.target, draft.state.count) == (OLD, 2)
    assert [e.kind for e in draft.events] == ["deployment.failed", "deployment.reverted"]


def test_an_app_that_had_no_instances_goes_back_to_none() -> None:
    state = deploying(count=3)
    assert state.deployment is not None
    assert count_before(state, replace(state.deployment, from_count=0)) == 0
    assert count_before(state, replace(state.deployment, from_count=None)) == 3


def test_a_failed_first_deployment_starts_nothing_more() -> None:
    state = deploying(revisions={"R2": NEW})
    draft = judged(replace(state, failures=tuple(map(failure, range(3)))))
    assert draft.state.target == NEW
    assert draft.state.halted.startswith("the first deployment failed")


def test_a_failed_scaling_stays_at_its_count_and_keeps_trying() -> None:
    state = deploying(count=5)
    assert state.deployment is not None
    scaling = replace(state.deployment, release="", from_revision="R2")
    pool = PortPool(PortRange(first=1, last=2), hold_down_ms=0)
    world = Observed(instances={}, served={})
    draft = Draft(state, world, host_pool=pool, service_pool=pool, now_ms=NOW_MS)
    go_back(draft, scaling, "no ports")
    assert draft.state == state


def test_a_spec_changed_in_place_goes_back_too() -> None:
    before = replace(NEW.app, ports=(PortSpec(name="80", container_port=80),))
    state = deploying()
    assert state.deployment is not None
    in_place = replace(state.deployment, from_revision="R2", from_app=before)
    assert revision_before(state, in_place) == replace(NEW, app=before)
