"""Canary, blue-green and pause: who starts, who stays, who has traffic, step by step."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.core.app import PortSpec, Rollout, Strategy, StrategyKind
from portway.core.capacity import capacity, two_sets
from portway.core.health import Health, HealthStatus
from portway.core.instance import EngineState, Phase
from portway.core.plan import ApplyRoutes
from portway.core.routes import EndpointState
from portway.core.state import DeploymentStatus
from portway.core.strategy import resumed, stepped
from portway.core.trial import LOOK_AGAIN_MS
from tests.simulation.world import ROLLOUTS, World, revision

CANARY = Strategy(kind=StrategyKind.CANARY, canary_percents=(10,), bake_s=30)
STEPS = Strategy(kind=StrategyKind.CANARY, canary_percents=(25, 50), bake_s=30)
BLUE_GREEN = Strategy(kind=StrategyKind.BLUE_GREEN, bake_s=30)


def redeploying(strategy: Strategy, *, count: int, image: str = "web", **fields: object) -> World:
    """R1 serves, R2 is being deployed."""
    world = World()
    world.deploy(revision("R1", **fields), count=count)
    world.run()
    world.deploy(revision("R2", image=image, **fields), count=count)
    world.state = replace(
        world.state, deployment=replace(world.state.deployment, strategy=strategy)
    )
    # The invariant of the world knows the manifest's maximum only; what is allowed is checked here.
    world.disturbed = True
    return world


def settle(world: World) -> None:
    """As far as it goes without time passing."""
    for _ in range(20):
        world.check_health()
        world.step()


def of(world: World, release: str) -> set[str]:
    return {i for i in world.serving() if revision_of(world, i) == release}


def revision_of(world: World, instance_id: str) -> str:
    return world.instances[instance_id].identity.revision


def live(world: World, release: str) -> int:
    return sum(1 for r in world.state.live if r.identity.revision == release)


def after(world: World, seconds: float) -> None:
    world.now_ms += int(seconds * 1000)
    settle(world)


def test_a_canary_gets_its_share_of_the_traffic_and_the_old_ones_all_stay() -> None:
    world = redeploying(CANARY, count=10)
    settle(world)
    assert (len(of(world, "R1")), len(of(world, "R2"))) == (9, 1)
    assert live(world, "R1") == 10


def test_a_canary_of_one_is_one_beside_the_one_that_runs() -> None:
    world = redeploying(CANARY, count=1)
    settle(world)
    assert (len(of(world, "R1")), len(of(world, "R2"))) == (1, 1)


def test_the_steps_of_a_canary_follow_each_other_when_each_was_observed() -> None:
    world = redeploying(STEPS, count=4)
    seen = []
    for _ in range(3):
        settle(world)
        seen.append((len(of(world, "R1")), len(of(world, "R2"))))
        world.now_ms += 30_000
    assert seen[:2] == [(3, 1), (2, 2)]
    world.run()
    assert len(of(world, "R2")) == 4
    assert live(world, "R1") == 0
    assert world.state.deployment.status is DeploymentStatus.DONE


def test_a_step_is_not_over_before_its_time() -> None:
    world = redeploying(CANARY, count=2)
    settle(world)
    after(world, 29)
    assert len(of(world, "R2")) == 1
    after(world, 1)
    assert len(of(world, "R2")) == 2


def flapping(*, hold: bool) -> DeploymentStatus:
    """What becomes of a canary that says every 20 s that it is not ready, for 15 minutes."""
    world = redeploying(replace(CANARY, hold=hold), count=2)
    settle(world)
    (canary,) = of(world, "R2")
    for _ in range(45):
        world.readiness[canary] = Health(status=HealthStatus.FAILING, detail="it is loading")
        after(world, 10)
        world.readiness.pop(canary)
        after(world, 10)
    return world.state.deployment.status


def test_a_step_that_is_interrupted_again_and_again_ends_the_deployment() -> None:
    assert flapping(hold=False) is DeploymentStatus.FAILED


def test_a_step_that_waits_for_a_word_is_not_ended_by_being_interrupted() -> None:
    assert flapping(hold=True) is DeploymentStatus.RUNNING


def test_an_old_instance_that_is_replaced_is_no_progress() -> None:
    world = redeploying(replace(CANARY, hold=True), count=2)
    settle(world)
    progressed_ms = world.state.deployment.progressed_at_ms
    world.exit(min(of(world, "R1")), 1)
    settle(world)
    after(world, 5)
    assert live(world, "R1") == 2
    assert world.state.deployment.progressed_at_ms == progressed_ms


def test_the_planner_asks_to_be_woken_when_the_step_is_over() -> None:
    world = redeploying(CANARY, count=2)
    settle(world)
    since_ms = world.state.deployment.baking_since_ms
    world.now_ms = since_ms + 30_000 - LOOK_AGAIN_MS // 2
    assert world.plan().wake_at_ms == since_ms + 30_000


def test_one_canary_that_dies_takes_the_deployment_back_at_once() -> None:
    world = redeploying(CANARY, count=10)
    settle(world)
    (canary,) = of(world, "R2")
    world.exit(canary, 1)
    world.step()
    assert world.state.deployment.status is DeploymentStatus.FAILED
    assert len(of(world, "R1")) == 10
    settle(world)
    assert live(world, "R2") == 0
    assert live(world, "R1") == 10


def test_a_canary_that_becomes_unhealthy_gets_no_traffic_from_the_same_moment() -> None:
    world = redeploying(STEPS, count=4)
    settle(world)
    after(world, 30)
    one, other = sorted(of(world, "R2"))
    world.set_health(one, HealthStatus.FAILING)
    world.step()
    assert world.state.deployment.status is DeploymentStatus.FAILED
    assert "became unhealthy: it is failing" in world.state.deployment.reason
    assert world.serving() == {r.id for r in world.state.live if r.identity.revision == "R1"}
    assert other not in world.serving()


def test_a_canary_that_never_starts_leaves_the_old_ones_as_they_were() -> None:
    world = redeploying(CANARY, count=4, image="crash")
    settle(world)
    assert world.state.deployment.status is DeploymentStatus.FAILED
    assert len(of(world, "R1")) == 4


def test_a_step_that_lost_an_instance_to_nobodys_fault_is_observed_from_the_beginning() -> None:
    world = redeploying(CANARY, count=2)
    settle(world)
    world.now_ms += 20_000
    stopped = replace(
        next(r for r in world.state.live if r.identity.revision == "R2"),
        phase=Phase.DRAINING,
        draining_at_ms=world.now_ms,
    )
    world.state = replace(
        world.state,
        instances=tuple(stopped if r.id == stopped.id else r for r in world.state.instances),
    )
    settle(world)
    assert world.state.deployment.baking_since_ms >= world.now_ms - 1000
    assert len(of(world, "R2")) == 1
    assert world.state.deployment.status is DeploymentStatus.RUNNING


def test_a_held_step_waits_for_a_resume_however_long_that_takes() -> None:
    world = redeploying(replace(CANARY, hold=True), count=4)
    settle(world)
    after(world, 86_400)
    assert world.state.deployment.status is DeploymentStatus.RUNNING
    assert len(of(world, "R2")) == 1
    assert world.plan().wake_at_ms == world.now_ms + LOOK_AGAIN_MS  # its requests are judged
    world.state = replace(
        world.state, deployment=stepped(world.state.deployment, now_ms=world.now_ms)
    )
    world.run()
    assert len(of(world, "R2")) == 4


@pytest.mark.parametrize("strategy", [CANARY, BLUE_GREEN], ids=["canary", "blue-green"])
def test_an_old_instance_that_dies_while_a_step_is_observed_is_replaced_by_an_old_one(
    strategy: Strategy,
) -> None:
    world = redeploying(replace(strategy, hold=True), count=4)
    settle(world)
    world.exit(min(r.id for r in world.state.live if r.identity.revision == "R1"), 137)
    settle(world)
    after(world, 5)
    assert live(world, "R1") == 4
    assert world.state.deployment.status is DeploymentStatus.RUNNING


def test_an_old_instance_that_fails_its_check_is_replaced_first() -> None:
    world = redeploying(replace(CANARY, hold=True), count=3)
    settle(world)
    sick = min(of(world, "R1"))
    world.set_health(sick, HealthStatus.FAILING)
    settle(world)
    after(world, 5)
    assert sick not in world.instances
    assert live(world, "R1") == 3
    assert world.state.deployment.status is DeploymentStatus.RUNNING


def test_a_canary_without_room_replaces_one_old_instance() -> None:
    world = redeploying(CANARY, count=2, rollout=Rollout(minimum_percent=50, maximum_percent=100))
    settle(world)
    assert (live(world, "R1"), live(world, "R2")) == (1, 1)
    world.exit(next(iter(of(world, "R2"))), 1)
    world.run()
    assert len(of(world, "R1")) == 2


def test_a_green_set_gets_no_traffic_until_all_of_it_is_healthy() -> None:
    world = redeploying(BLUE_GREEN, count=3)
    world.step()
    greens = [r.id for r in world.state.live if r.identity.revision == "R2"]
    assert len(greens) == 3
    for green in greens[:2]:
        world.set_health(green, HealthStatus.PASSING)
    for _ in range(5):
        world.step()
    assert len(of(world, "R1")) == 3
    assert not of(world, "R2")


def test_all_listeners_switch_in_one_action() -> None:
    ports = (
        PortSpec(name="80", container_port=8080, service_ports=(80,)),
        PortSpec(name="81", container_port=8081, service_ports=(81,)),
    )
    world = redeploying(BLUE_GREEN, count=2, ports=ports)
    world.step()
    switches = []
    for _ in range(10):
        world.check_health()
        plan = world.step()
        switches += [
            action
            for action in plan.actions
            if isinstance(action, ApplyRoutes) and _readies(world, action) == {"R2"}
        ]
    assert len(switches) == 1
    assert [r.key.service_port for r in switches[0].routes] == [80, 81]
    assert any(
        event == "2/2 healthy: all listeners switch; the old instances stay until it has "
        "proved itself"
        for event in world.log
    )


def _readies(world: World, action: ApplyRoutes) -> set[str]:
    return {
        revision_of(world, e.instance_id)
        for route in action.routes
        for e in route.endpoints
        if e.state is EndpointState.READY
    }


def test_the_old_set_runs_on_without_traffic_while_the_new_one_proves_itself() -> None:
    world = redeploying(BLUE_GREEN, count=3)
    settle(world)
    assert len(of(world, "R2")) == 3
    assert not of(world, "R1")
    assert live(world, "R1") == 3
    after(world, 29)
    assert live(world, "R1") == 3
    world.run()
    assert live(world, "R1") == 0
    assert world.state.deployment.status is DeploymentStatus.DONE


def test_a_green_set_that_fails_after_the_switch_is_switched_back_in_one_action() -> None:
    world = redeploying(BLUE_GREEN, count=3)
    settle(world)
    world.exit(min(of(world, "R2")), 1)
    plan = world.step()
    assert world.state.deployment.status is DeploymentStatus.FAILED
    (apply,) = [a for a in plan.actions if isinstance(a, ApplyRoutes)]
    assert _readies(world, apply) == {"R1"}
    settle(world)
    assert live(world, "R2") == 0
    assert len(of(world, "R1")) == 3


def test_a_green_set_may_stumble_before_the_switch_as_a_rolling_one_may() -> None:
    world = redeploying(BLUE_GREEN, count=2)
    world.step()
    green = min(r.id for r in world.state.live if r.identity.revision == "R2")
    world.exit(green, 1)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.DONE
    assert len(of(world, "R2")) == 2


@pytest.mark.parametrize("rollout", ROLLOUTS.values(), ids=ROLLOUTS.keys())
@pytest.mark.parametrize("strategy", [CANARY, STEPS, BLUE_GREEN], ids=["10%", "25,50", "bg"])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_strategy_ends_with_the_new_release_alone(
    rollout: Rollout, strategy: Strategy, count: int
) -> None:
    world = redeploying(strategy, count=count, rollout=rollout)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.DONE
    assert {r.identity.revision for r in world.state.live} == {"R2"}
    assert len(world.serving()) == count


def test_where_nothing_old_runs_a_strategy_has_no_steps() -> None:
    world = World()
    world.deploy(revision("R1"), count=2)
    world.state = replace(
        world.state, deployment=replace(world.state.deployment, strategy=BLUE_GREEN)
    )
    settle(world)
    assert len(world.serving()) == 2
    assert world.state.deployment.status is DeploymentStatus.DONE


def paused(world: World) -> None:
    deployment = replace(world.state.deployment, paused_at_ms=world.now_ms)
    world.state = replace(world.state, deployment=deployment)


def unpaused(world: World) -> None:
    deployment = resumed(world.state.deployment, now_ms=world.now_ms)
    world.state = replace(world.state, deployment=deployment)


def test_a_paused_deployment_starts_nothing_more() -> None:
    world = redeploying(Strategy(), count=4, rollout=Rollout(parallelism=1))
    world.step()
    paused(world)
    after(world, 60)
    assert (live(world, "R1"), live(world, "R2")) == (4, 1)


def test_a_paused_deployment_lets_nothing_old_leave() -> None:
    world = redeploying(Strategy(), count=3)
    world.step()
    paused(world)
    after(world, 60)
    assert len(of(world, "R1")) == 3
    assert len(of(world, "R2")) == 3


def test_the_progress_deadline_stands_still_while_paused() -> None:
    world = redeploying(Strategy(), count=2, rollout=Rollout(parallelism=1))
    world.step()
    paused(world)
    after(world, 10_000)
    assert world.state.deployment.status is DeploymentStatus.RUNNING
    unpaused(world)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.DONE
    assert {r.identity.revision for r in world.state.live} == {"R2"}


def test_a_bake_that_was_paused_goes_on_with_what_was_left_of_it() -> None:
    world = redeploying(CANARY, count=2)
    settle(world)
    world.now_ms += 20_000
    paused(world)
    after(world, 1000)
    assert len(of(world, "R2")) == 1
    unpaused(world)
    after(world, 9)
    assert len(of(world, "R2")) == 1
    after(world, 1)
    assert len(of(world, "R2")) == 2


def test_while_paused_too_few_are_filled_up_with_what_has_proved_itself() -> None:
    world = redeploying(CANARY, count=3)
    settle(world)
    paused(world)
    for instance_id in sorted(of(world, "R1")):
        world.exit(instance_id, 1)
    settle(world)
    after(world, 5)
    after(world, 5)
    assert live(world, "R1") + live(world, "R2") == 3
    assert live(world, "R2") == 1


def test_while_paused_an_unhealthy_instance_is_replaced_first() -> None:
    world = redeploying(Strategy(), count=2, rollout=Rollout(parallelism=1))
    paused(world)
    settle(world)
    sick = min(of(world, "R1"))
    world.set_health(sick, HealthStatus.FAILING)
    settle(world)
    assert sick not in world.instances
    assert len(world.serving()) == 2


def test_a_paused_deployment_still_fails_when_its_instances_do() -> None:
    world = redeploying(CANARY, count=3)
    settle(world)
    paused(world)
    world.exit(next(iter(of(world, "R2"))), 1)
    world.step()
    assert world.state.deployment.status is DeploymentStatus.FAILED


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(1, 7),
    percents=st.lists(st.integers(1, 99), min_size=1, max_size=3, unique=True).map(sorted),
    blue_green=st.booleans(),
    rollout=st.sampled_from(list(ROLLOUTS.values())),
    moments=st.lists(st.sampled_from(["pause", "resume", "wait", "sleep"]), max_size=12),
)
def test_no_strategy_leaves_its_bounds_whenever_it_is_paused(
    count: int, percents: list[int], blue_green: bool, rollout: Rollout, moments: list[str]
) -> None:
    kind = StrategyKind.BLUE_GREEN if blue_green else StrategyKind.CANARY
    strategy = Strategy(kind=kind, canary_percents=tuple(percents), bake_s=30)
    world = redeploying(strategy, count=count, rollout=rollout)
    bounds = capacity(count, rollout)
    most = two_sets(bounds, count, count).maximum_live if blue_green else bounds.maximum_live

    def look() -> None:
        world.check_health()
        world.step()
        assert len(world.state.live) <= most
        assert len(world.serving()) >= bounds.minimum_healthy

    for moment in moments:
        deployment = world.state.deployment
        is_paused = deployment.paused_at_ms is not None
        running = deployment.status is DeploymentStatus.RUNNING
        if moment == "pause" and running and not is_paused:
            paused(world)
        elif moment == "resume" and running and is_paused:
            unpaused(world)
        elif moment == "sleep":
            world.now_ms += 31_000
        look()
    if world.state.deployment.paused_at_ms is not None and running_now(world):
        unpaused(world)
    for _ in range(200):
        look()
        if not running_now(world) and len(world.state.live) == count:
            break
        world.now_ms += 5000
    assert world.state.deployment.status is DeploymentStatus.DONE
    assert {r.identity.revision for r in world.state.live} == {"R2"}
    assert all(i.state is EngineState.RUNNING for i in world.instances.values())


def running_now(world: World) -> bool:
    return world.state.deployment.status is DeploymentStatus.RUNNING
