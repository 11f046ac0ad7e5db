"""How many to start, which to let go; the rest of the rules is in test_reconcile.py and the simulation."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import CheckKind, Exposure, HealthCheck, PortSpec, Rollout
from portway.core.health import Health, HealthStatus
from portway.core.instance import Phase
from portway.core.placement import NodeView
from portway.core.plan import ApplyRoutes, StartInstance
from portway.core.ports import Holder, PortPool, PortRange, Protocol
from portway.core.reconcile import reconcile
from portway.core.state import DeploymentStatus
from tests.simulation.world import World, app, revision


def deployed(*, count: int = 2, **fields: object) -> World:
    world = World()
    world.deploy(revision("R1", **fields), count=count)
    world.run()
    return world


def redeploying(*, count: int, **fields: object) -> World:
    world = deployed(count=count, **fields)
    world.deploy(revision("R2", **fields), count=count)
    return world


def new_ones(world: World) -> list[str]:
    return [r.id for r in world.state.live if r.identity.revision == "R2"]


def blocked(world: World) -> list[str]:
    return [b.reason for b in world.plan().blocked]


def test_parallelism_caps_how_many_are_on_their_way() -> None:
    world = redeploying(count=4, rollout=Rollout(parallelism=1))
    world.step()
    assert len(new_ones(world)) == 1
    world.step()
    assert len(new_ones(world)) == 1
    world.check_health()
    world.step()
    assert len(new_ones(world)) == 2


def test_a_pause_is_kept_between_one_batch_and_the_next() -> None:
    world = redeploying(count=2, rollout=Rollout(parallelism=1, delay_s=30))
    world.step()
    world.check_health()
    ready_ms = world.now_ms
    plan = world.step()
    assert len(new_ones(world)) == 1
    while len(new_ones(world)) == 1:
        assert plan.wake_at_ms is not None
        world.now_ms = max(plan.wake_at_ms, world.now_ms + 1)
        plan = world.step()
    assert world.now_ms - ready_ms >= 30_000
    world.run()
    assert world.state.deployment.status is DeploymentStatus.DONE


def test_the_first_batch_of_a_first_deployment_waits_for_nobody() -> None:
    world = World()
    world.deploy(revision("R1", rollout=Rollout(parallelism=1, delay_s=30)), count=2)
    began_ms = world.now_ms
    world.run()
    assert len(world.serving()) == 2
    assert world.now_ms - began_ms < 20_000


def test_without_a_node_nothing_starts_and_it_is_said() -> None:
    world = World()
    world.nodes = (NodeView(name="local", address="127.0.0.1", available=False),)
    world.deploy(revision("R1"), count=1)
    assert blocked(world) == ["no node is available to run on"]
    assert world.plan().state.live == ()


def test_an_app_that_waits_says_for_what() -> None:
    world = World()
    world.deploy(revision("R1"), count=1)
    observed = replace(world.observed(), waiting_for="it waits for db to be healthy")
    plan = reconcile(
        world.state,
        observed,
        host_pool=world.host_pool,
        service_pool=world.service_pool,
        now_ms=world.now_ms,
    )
    assert [b.reason for b in plan.blocked] == ["it waits for db to be healthy"]
    assert plan.state.live == ()


def test_a_halted_app_starts_nothing_and_says_why() -> None:
    world = World()
    world.deploy(revision("R1"), count=1)
    world.state = replace(world.state, halted="the first deployment failed: why")
    assert blocked(world) == ["the first deployment failed: why"]


def test_instances_that_fail_are_replaced_more_and_more_slowly_up_to_a_minute() -> None:
    world = deployed(count=1)
    gaps: list[int] = []
    for _ in range(9):
        world.exit(world.state.live[-1].id, 1)
        died_ms = world.now_ms
        world.step()
        while not world.state.live:
            plan = world.step()
            world.now_ms = max(plan.wake_at_ms or 0, world.now_ms + 1)
        gaps.append(round((world.state.live[-1].planned_at_ms - died_ms) / 1000))
        world.check_health()
        world.run(until_ms=200)
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_failure_long_ago_slows_nothing_down() -> None:
    world = deployed(count=1)
    world.exit("shop/web.1.1", 1)
    world.run()
    world.now_ms += 700_000
    world.exit("shop/web.1.2", 1)
    world.step()
    world.now_ms += 1000
    world.step()
    assert [r.id for r in world.state.live] == ["shop/web.1.3"]


def test_a_range_that_is_used_up_is_said_and_tried_again() -> None:
    world = World()
    world.host_pool = PortPool(PortRange(first=31000, last=31000), hold_down_ms=0)
    world.deploy(revision("R1"), count=2)
    plan = world.step()
    assert len(world.state.live) == 1
    assert "no host port is free" in plan.blocked[0].reason
    assert plan.wake_at_ms is not None
    assert plan.wake_at_ms <= world.now_ms + 1000


def test_a_range_of_listeners_that_is_used_up_is_said_and_the_app_runs_without() -> None:
    world = World()
    world.service_pool = PortPool(PortRange(first=10000, last=10000), hold_down_ms=0)
    taken = {(Protocol.TCP, 10000): Holder(description="nginx (pid 7)")}
    port = PortSpec(name="5000", container_port=5000, exposure=Exposure.INTERNAL)
    world.deploy(revision("R1", ports=(port,)), count=1)
    plan = reconcile(
        world.state,
        replace(world.observed(), occupied=taken),
        host_pool=world.host_pool,
        service_pool=world.service_pool,
        now_ms=world.now_ms,
    )
    assert plan.state.service_ports == {}
    assert any(isinstance(action, StartInstance) for action in plan.actions)
    assert len(plan.blocked) == 1


def test_an_unhealthy_surplus_leaves_before_a_healthy_one() -> None:
    world = deployed(count=3)
    world.set_health("shop/web.1.1", HealthStatus.FAILING)
    world.disturbed = True
    world.state = replace(world.state, count=2)
    world.run()
    assert world.serving() == {"shop/web.2.2", "shop/web.3.3"}


def test_where_the_maximum_leaves_no_room_a_failing_one_goes_first() -> None:
    world = deployed(count=2, rollout=Rollout(minimum_percent=50, maximum_percent=100))
    world.set_health("shop/web.1.1", HealthStatus.FAILING)
    world.disturbed = True
    world.step()
    phases = {r.id: r.phase for r in world.state.instances}
    assert phases["shop/web.1.1"] >= Phase.DRAINING
    assert phases["shop/web.2.2"] is Phase.READY
    assert len(world.state.live) <= 2
    world.run()
    assert len(world.serving()) == 2


def test_only_as_many_failing_ones_leave_as_there_is_no_room_for() -> None:
    world = deployed(count=4, rollout=Rollout(minimum_percent=50, maximum_percent=125))
    for serial in (1, 2):
        world.set_health(f"shop/web.{serial}.{serial}", HealthStatus.FAILING)
    world.disturbed = True
    world.step()
    draining = [r.id for r in world.state.live if r.phase >= Phase.DRAINING]
    assert draining == ["shop/web.1.1"]


def test_a_new_instance_fills_the_lowest_free_slot() -> None:
    world = deployed(count=3)
    world.exit("shop/web.2.2", 1)
    world.run()
    assert sorted(r.identity.slot for r in world.state.live) == [1, 2, 3]
    assert world.state.live[-1].identity.slot == 2


def test_instances_go_to_the_node_with_the_fewest() -> None:
    world = World()
    world.nodes = tuple(NodeView(name=n, address="10.0.0.1") for n in ("a", "b", "c"))
    world.deploy(revision("R1"), count=6)
    world.run()
    nodes = [r.identity.node for r in world.state.live]
    assert {n: nodes.count(n) for n in "abc"} == {"a": 2, "b": 2, "c": 2}


def test_a_listener_the_balancer_refuses_is_said_and_looked_at_again() -> None:
    world = deployed(count=1)
    refused = replace(world.observed(), route_error="80 is held by nginx (pid 7)")
    plan = reconcile(
        world.state,
        refused,
        host_pool=world.host_pool,
        service_pool=world.service_pool,
        now_ms=world.now_ms,
    )
    assert [b.reason for b in plan.blocked] == ["80 is held by nginx (pid 7)"]
    assert plan.wake_at_ms == world.now_ms + 2000


def test_what_the_balancer_forgot_is_told_to_it_again() -> None:
    world = deployed(count=1)
    world.routes = ()
    (action,) = world.plan().actions
    assert isinstance(action, ApplyRoutes)
    world.run()
    assert len(world.serving()) == 1


def test_a_start_is_not_tried_before_its_time() -> None:
    from portway.core.observed import StartFailure

    world = World()
    world.deploy(revision("R1"), count=1)
    world.save(world.plan())
    (record,) = world.state.live
    later = StartFailure(at_ms=world.now_ms, reason="busy", retry_at_ms=world.now_ms + 1000)
    world.start_failures[record.id] = later
    plan = world.plan()
    assert plan.actions[1:] == ()
    assert not any(isinstance(a, StartInstance) for a in plan.actions)
    assert plan.wake_at_ms == world.now_ms + 1000
    world.now_ms += 1000
    plan = world.plan()
    assert any(isinstance(a, StartInstance) for a in plan.actions)
    # It is being tried at this moment: there is nothing to wake up for but the deadline.
    assert plan.wake_at_ms is None or plan.wake_at_ms > world.now_ms + 10_000


def test_an_app_without_ports_serves_as_soon_as_it_is_healthy() -> None:
    world = World()
    world.deploy(replace(revision("R1"), app=app(ports=())), count=2)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.DONE
    assert world.routes == ()


def test_nobody_is_let_go_while_the_balancer_cannot_say_who_serves() -> None:
    world = redeploying(count=3, rollout=Rollout(minimum_percent=50, maximum_percent=100))
    world.balancer_answers = False
    plan = world.plan()
    assert not [r for r in plan.state.live if r.phase is Phase.DRAINING]
    assert plan.wake_at_ms is not None
    world.balancer_answers = True
    assert [r for r in world.plan().state.live if r.phase is Phase.DRAINING]


def test_who_serves_on_one_of_two_listeners_serves() -> None:
    """A listener that cannot be bound must not make those idle that the other one sends requests to."""
    ports = tuple(
        PortSpec(name=str(n), container_port=8000 + n, service_ports=(n,)) for n in (80, 81)
    )
    rollout = Rollout(minimum_percent=50, maximum_percent=100)
    world = deployed(count=4, ports=ports, rollout=rollout)
    world.deploy(revision("R2", ports=ports, rollout=rollout), count=4)
    world.routes = world.routes[:1]
    draining = [r for r in world.plan().state.live if r.phase is Phase.DRAINING]
    assert len(draining) == 2


def failing_all(world: World) -> None:
    for record in world.state.live:
        world.set_health(record.id, HealthStatus.FAILING)
    world.disturbed = True


def test_where_all_fail_in_place_half_are_replaced_and_the_others_go_on_answering() -> None:
    world = deployed(count=5, rollout=Rollout(minimum_percent=0, maximum_percent=100))
    failing_all(world)
    world.step()
    assert sum(r.phase >= Phase.DRAINING for r in world.state.live) == 2
    for _ in range(20):
        world.step()
        old = [r for r in world.state.live if r.identity.serial <= 5 and r.phase is Phase.READY]
        assert len(old) == 3, "the others wait until the first ones are replaced"
    world.run()
    assert len(world.serving()) == 5
    assert all(r.identity.serial > 5 for r in world.state.live)


def test_where_all_fail_half_get_a_replacement_beside_them_first() -> None:
    world = deployed(count=4, rollout=Rollout(minimum_percent=100, maximum_percent=200))
    failing_all(world)
    world.step()
    assert len(world.state.live) == 6
    assert all(r.phase is Phase.READY for r in world.state.live if r.identity.serial <= 4)
    world.run()
    assert len(world.serving()) == 4


def test_an_only_instance_that_fails_is_replaced_in_place_where_there_is_no_room() -> None:
    world = deployed(count=1, rollout=Rollout(minimum_percent=0, maximum_percent=100))
    failing_all(world)
    world.run()
    assert [r.id for r in world.state.live] == ["shop/web.1.2"]


READY_CHECK = HealthCheck(kind=CheckKind.HTTP, path="/ready")
NOT_READY = Health(status=HealthStatus.FAILING, failures=2, detail="HTTP 503 from /ready")
IS_READY = Health(status=HealthStatus.PASSING, passes=1)


def say(world: World, verdict: Health, *ids: str) -> None:
    for instance_id in ids or tuple(world.instances):
        world.readiness[instance_id] = verdict
    world.disturbed = True


def ready_ones(*, count: int) -> World:
    world = World()
    world.deploy(revision("R1", readiness=READY_CHECK), count=count)
    for _ in range(3):
        world.step()
        world.check_health()
    assert world.serving() == set(), "healthy is not enough"
    say(world, IS_READY)
    world.run()
    assert len(world.serving()) == count
    return world


def test_nothing_is_routed_to_a_new_instance_until_it_is_ready() -> None:
    world = ready_ones(count=2)
    assert world.state.deployment is not None
    assert world.state.deployment.status is DeploymentStatus.DONE


def test_an_instance_that_is_not_ready_loses_its_traffic_and_is_not_replaced() -> None:
    world = ready_ones(count=2)
    say(world, NOT_READY, "shop/web.1.1")
    world.run()
    assert world.serving() == {"shop/web.2.2"}
    assert [r.id for r in world.state.live] == ["shop/web.1.1", "shop/web.2.2"]
    say(world, IS_READY, "shop/web.1.1")
    world.run()
    assert len(world.serving()) == 2


def test_a_deployment_that_is_never_ready_fails_by_its_deadline_and_says_why() -> None:
    world = ready_ones(count=1)
    world.deploy(revision("R2", readiness=READY_CHECK), count=1)
    world.step()
    world.check_health()
    say(world, NOT_READY, "shop/web.1.2")
    world.step()
    world.now_ms += 300_000
    world.step()
    assert world.state.deployment is not None
    assert world.state.deployment.status is DeploymentStatus.FAILED
    assert "not ready: HTTP 503 from /ready" in world.state.deployment.reason
    assert world.serving() == {"shop/web.1.1"}


def test_scaling_down_takes_those_that_are_not_ready() -> None:
    world = ready_ones(count=4)
    say(world, NOT_READY, "shop/web.2.2", "shop/web.3.3", "shop/web.4.4")
    world.state = replace(world.state, count=2)
    world.run()
    assert len(world.state.live) == 2
    assert "shop/web.1.1" in {r.id for r in world.state.live}


def test_of_a_slot_filled_twice_the_second_goes_before_another_slot_is_emptied() -> None:
    world = deployed(count=2)
    twice = next(r.id for r in world.state.live if r.identity.slot == 1)
    world.set_health(twice, HealthStatus.FAILING)
    for _ in range(3):
        world.step()
    world.check_health()
    world.set_health(twice, HealthStatus.PASSING)
    world.run()
    assert sorted(r.identity.slot for r in world.state.live) == [1, 2]


def test_a_failing_instance_makes_room_where_no_old_one_may_go() -> None:
    """One current that fails, one old that serves, no room for more, and none to spare."""
    rollout = Rollout(minimum_percent=100, maximum_percent=100)
    world = redeploying(count=3, rollout=rollout)
    while len([r for r in world.state.live if r.identity.revision == "R1"]) > 1:
        world.step()
        world.check_health()
        world.now_ms += 50
    while len(new_ones(world)) < 3:
        world.step()
        world.now_ms += 50
    ill = next(r for r in new_ones(world) if r in world.ever_healthy)
    world.set_health(ill, HealthStatus.FAILING)
    world.run()
    assert ill not in new_ones(world)
    assert len(new_ones(world)) == len(world.state.live) == 3


def test_what_a_superseded_revision_has_not_started_is_called_off_at_once() -> None:
    """Also where the maximum has room for it: its image may not exist."""
    world = redeploying(count=2)
    world.save(world.plan())
    planned = new_ones(world)
    assert len(planned) == 2
    world.deploy(revision("R3"), count=3)
    world.save(world.plan())
    assert not [r for r in world.state.live if r.id in planned and r.phase < Phase.DRAINING]
    world.run()
    assert {r.identity.revision for r in world.state.live} == {"R3"}


def redeployed(**rollout: object) -> World:
    """R2 serves alone at this very moment, its predecessor is gone."""
    world = World()
    world.deploy(revision("R1"), count=2)
    world.run()
    world.deploy(revision("R2", image="web:2", rollout=Rollout(**rollout)), count=2)
    for _ in range(40):
        world.check_health()
        world.step()
        world.now_ms += 10
    assert {r.identity.revision for r in world.state.live} == {"R2"}
    return world


def test_a_deployment_is_done_once_its_last_instance_was_watched_for_long_enough() -> None:
    world = redeployed(monitor_s=20)
    assert world.state.deployment.status is DeploymentStatus.RUNNING
    wake_at_ms = world.plan().wake_at_ms
    assert wake_at_ms == max(r.ready_at_ms for r in world.state.live) + 20_000
    world.now_ms = wake_at_ms
    world.step()
    assert world.state.deployment.status is DeploymentStatus.DONE


def test_what_fails_while_it_is_watched_counts_and_takes_the_deployment_back() -> None:
    world = redeployed(monitor_s=20, failure_ratio=0.0)
    world.exit(min(r.id for r in world.state.live), 1)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.FAILED
    assert {r.identity.revision for r in world.state.live} == {"R1"}


def test_what_replaces_nothing_is_not_watched() -> None:
    world = World()
    world.deploy(revision("R1", rollout=Rollout(monitor_s=3600)), count=2)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.DONE
