"""Rules of the planner, one look at one App at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import Exposure, PortSpec, Protocol, Restart, Rollout
from portway.core.health import HealthStatus
from portway.core.instance import EngineState, Phase
from portway.core.observed import StartFailure
from portway.core.plan import StartInstance, StopInstance
from portway.core.routes import EndpointState
from portway.core.state import DeploymentStatus
from tests.simulation.world import APP_ID, ROLLOUTS, World, revision


def deployed(count: int = 2, **fields: object) -> World:
    world = World()
    world.deploy(revision("R1", **fields), count=count)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.DONE
    return world


def test_a_first_deployment_starts_every_instance_and_routes_it_once_healthy():
    world = World()
    world.deploy(revision("R1"), count=2)
    plan = world.step()
    assert [a.identity.id for a in plan.actions if isinstance(a, StartInstance)] == [
        "shop/web.1.1",
        "shop/web.2.2",
    ]
    assert not world.serving()
    world.run()
    assert world.serving() == {"shop/web.1.1", "shop/web.2.2"}


def test_every_instance_has_a_host_port_of_its_own_before_it_starts():
    world = deployed(count=5)
    ports = {lease.host_port for r in world.state.live for lease in r.identity.leases}
    assert len(ports) == 5


def test_a_converged_world_gives_an_empty_plan():
    world = deployed()
    plan = world.plan()
    assert plan.state == world.state
    assert plan.actions == plan.events == plan.blocked == ()


@pytest.mark.parametrize("rollout", ROLLOUTS.values(), ids=ROLLOUTS.keys())
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_new_release_replaces_the_old_one_within_its_bounds(rollout: Rollout, count: int):
    world = deployed(count=count, rollout=rollout)
    world.deploy(revision("R2", rollout=rollout), count=count)
    world.run()
    assert {r.identity.revision for r in world.state.live} == {"R2"}
    assert len(world.serving()) == count
    assert world.state.deployment.status is DeploymentStatus.DONE


def test_an_old_instance_drains_only_when_its_successor_is_routed():
    world = deployed(count=1)
    world.deploy(revision("R2"), count=1)
    world.step()
    assert world.serving() == {"shop/web.1.1"}
    world.check_health()
    world.step()
    assert world.serving() == {"shop/web.1.1", "shop/web.1.2"}
    world.step()
    assert world.serving() == {"shop/web.1.2"}
    states = {e.instance_id: e.state for e in world.routes[0].endpoints}
    assert states.get("shop/web.1.1", EndpointState.DRAINING) is EndpointState.DRAINING


def test_nothing_is_stopped_while_connections_are_open_until_the_drain_timeout():
    world = deployed(count=1, rollout=Rollout(drain_timeout_s=60))
    world.connections["shop/web.1.1"] = 3
    world.deploy(revision("R2"), count=1)
    for _ in range(6):
        world.step()
        world.check_health()
    began_ms = world.now_ms
    assert world.instances["shop/web.1.1"].state is EngineState.RUNNING
    world.run()
    assert "shop/web.1.1" not in world.instances
    assert world.now_ms - began_ms >= 60_000


def test_a_crashing_release_stops_after_its_threshold_and_the_old_one_keeps_serving():
    world = deployed(count=2)
    world.deploy(revision("R2", image="crash"), count=2)
    world.run()
    deployment = world.state.deployment
    assert deployment.status is DeploymentStatus.FAILED
    assert "exited with code 1" in deployment.reason
    assert world.state.target.id == "R1"
    assert world.serving() == {"shop/web.1.1", "shop/web.2.2"}
    assert {r.identity.revision for r in world.state.live} == {"R1"}


def test_a_release_that_never_gets_healthy_fails_and_says_what_the_check_said():
    world = deployed(count=1)
    world.deploy(revision("R2", image="bad"), count=1)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.FAILED
    assert "it is failing" in world.state.deployment.reason
    assert world.serving() == {"shop/web.1.1"}


def test_a_failed_first_deployment_starts_nothing_more_until_the_next():
    world = World()
    world.deploy(revision("R1", image="crash"), count=1)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.FAILED
    assert world.state.halted
    assert not world.state.live
    assert not any(isinstance(a, StartInstance) for a in world.plan().actions)
    world.deploy(revision("R2"), count=1)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.DONE
    assert len(world.serving()) == 1


def test_an_instance_that_dies_is_replaced_with_growing_pauses():
    world = deployed(count=1)
    starts: list[int] = []
    for _ in range(4):
        newest = world.state.live[-1].id
        world.exit(newest, 1)
        world.run()
        starts.append(world.state.live[-1].planned_at_ms)
    gaps = [later - earlier for earlier, later in zip(starts, starts[1:], strict=False)]
    assert gaps == [2000, 4000, 8000]


def test_an_unhealthy_instance_is_replaced_before_it_leaves():
    world = deployed(count=2)
    world.set_health("shop/web.1.1", HealthStatus.FAILING)
    world.disturbed = True
    world.run()
    assert world.serving() == {"shop/web.2.2", "shop/web.1.3"}


def test_when_every_instance_fails_its_check_traffic_still_flows():
    world = deployed(count=2)
    for instance_id in ("shop/web.1.1", "shop/web.2.2"):
        world.set_health(instance_id, HealthStatus.FAILING)
    world.step()
    assert world.serving() == {"shop/web.1.1", "shop/web.2.2"}


def test_what_was_never_healthy_makes_room_before_what_only_fails_its_check():
    world = deployed(count=1)
    world.disturbed = True
    world.set_health("shop/web.1.1", HealthStatus.FAILING)
    world.step()
    world.step()
    assert [r.id for r in world.state.live] == ["shop/web.1.1", "shop/web.1.2"]
    world.deploy(revision("R2", image="bad"), count=1)
    for _ in range(5):
        world.step()
    assert "shop/web.1.1" in world.serving()


def test_scaling_down_drains_the_highest_slots():
    world = deployed(count=4)
    world.state = replace(world.state, count=2)
    world.run()
    assert {r.identity.slot for r in world.state.live} == {1, 2}


def test_a_failed_listing_changes_nothing():
    world = deployed(count=2)
    world.engine_answers = False
    plan = world.plan()
    assert plan.state == world.state
    assert plan.actions == ()
    assert plan.blocked


def test_nothing_is_stopped_while_the_balancer_cannot_be_read():
    world = deployed(count=2)
    world.balancer_answers = False
    world.state = replace(world.state, count=0)
    for _ in range(5):
        plan = world.step()
        assert not any(isinstance(a, StopInstance) for a in plan.actions)
    world.balancer_answers = True
    world.run()
    assert not world.state.live


def test_a_slot_gets_its_host_port_back_once_it_is_free():
    world = deployed(count=1)
    first = world.state.live[0].identity.leases[0].host_port
    world.exit("shop/web.1.1", 1)
    world.step()
    world.now_ms += 10_000
    world.run()
    assert world.state.live[0].identity.leases[0].host_port == first


def test_a_port_the_engine_finds_taken_moves_to_another():
    world = World()
    world.deploy(revision("R1"), count=1)
    plan = world.plan()
    world.save(plan)
    first = world.state.live[0]
    world.start_failures[first.id] = StartFailure(
        at_ms=world.now_ms, reason="31000 is already allocated", port_taken=True
    )
    world.run()
    (record,) = world.state.live
    assert record.id != first.id
    assert record.identity.leases[0].host_port != first.identity.leases[0].host_port
    assert world.state.deployment.status is DeploymentStatus.DONE
    assert any("already allocated" in line for line in world.log)


def test_a_start_that_cannot_succeed_fails_the_deployment_at_once():
    world = deployed(count=1)
    world.deploy(revision("R2"), count=1)
    world.save(world.plan())
    new = next(r for r in world.state.live if r.identity.revision == "R2")
    world.start_failures[new.id] = StartFailure(at_ms=world.now_ms, reason="no such image")
    world.run()
    assert world.state.deployment.status is DeploymentStatus.FAILED
    assert "no such image" in world.state.deployment.reason


def test_a_fixed_host_port_is_replaced_stop_first():
    port = PortSpec(name="80", container_port=80, service_ports=(80,), host_port=9000)
    world = deployed(count=1, ports=(port,))
    world.disturbed = True  # one at a time is below the written minimum, and the plan says so
    world.deploy(revision("R2", ports=(port,)), count=1)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.DONE
    assert {r.identity.revision for r in world.state.live} == {"R2"}


def test_an_app_that_completes_is_not_started_again():
    world = World()
    world.deploy(revision("R1", restart=Restart.NEVER, ports=()), count=1)
    world.step()
    world.exit("shop/web.1.1", 0)
    world.run()
    assert world.state.deployment.status is DeploymentStatus.DONE
    assert not world.state.live


def test_an_internal_port_gets_a_listener_that_survives_redeploys():
    port = PortSpec(name="5000", container_port=5000, exposure=Exposure.INTERNAL)
    world = deployed(count=1, ports=(port,))
    (route,) = world.routes
    assert route.key.address == "127.0.0.1"
    assert 10000 <= route.key.service_port <= 20000
    world.deploy(revision("R2", ports=(port,)), count=1)
    world.run()
    assert world.routes[0].key == route.key


def test_a_udp_port_is_leased_as_written_and_never_routed():
    port = PortSpec(
        name="53",
        container_port=53,
        protocol=Protocol.UDP,
        exposure=Exposure.HOST,
        host_port=5353,
    )
    world = deployed(count=1, ports=(port,))
    assert world.routes == ()
    (lease,) = world.state.live[0].identity.leases
    assert (lease.host_port, lease.address) == (5353, "0.0.0.0")


def test_a_pool_of_listeners_serves_one_slot_each():
    port = PortSpec(name="8080", container_port=80, service_ports=(8080, 8081))
    world = deployed(count=2, ports=(port,))
    behind = {r.key.service_port: [e.instance_id for e in r.endpoints] for r in world.routes}
    assert behind == {8080: ["shop/web.1.1"], 8081: ["shop/web.2.2"]}


def test_a_listener_the_new_release_drops_serves_until_the_last_old_instance_is_gone():
    old = (
        PortSpec(name="80", container_port=80, service_ports=(80,)),
        PortSpec(name="81", container_port=81, service_ports=(81,)),
    )
    world = deployed(count=1, ports=old)
    world.deploy(revision("R2", ports=old[:1]), count=1)
    world.step()
    assert {r.key.service_port for r in world.routes} == {80, 81}
    world.run()
    assert {r.key.service_port for r in world.routes} == {80}


def test_deleting_an_app_drains_it_and_leaves_no_route():
    world = deployed(count=3)
    world.state = replace(world.state, target=None, deployment=None)
    world.run()
    assert world.routes == ()
    assert not world.state.live
    assert not world.instances


def test_what_runs_without_a_record_is_adopted():
    world = deployed(count=2)
    world.state = replace(world.state, instances=())
    world.disturbed = True
    world.host_pool.restore([])
    world.run()
    assert {r.id for r in world.state.live} == {"shop/web.1.1", "shop/web.2.2"}
    assert all(r.phase is Phase.READY for r in world.state.live)
    assert world.state.app_id == APP_ID


def test_a_release_of_which_no_instance_gets_healthy_fails_after_one_round():
    world = deployed(count=2)
    world.deploy(revision("R2", image="bad"), count=2)
    began_ms = world.now_ms
    world.run()
    assert world.state.deployment.status is DeploymentStatus.FAILED
    assert world.state.deployment.ended_at_ms - began_ms < 60_000
    assert len([f for f in world.log if "is stopped: it did not become healthy" in f]) == 2
