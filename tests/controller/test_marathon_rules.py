"""Apps with Marathon's rules on a whole controller: their ports, what they are told, their pace, nodes that go away."""

from __future__ import annotations

from portway.core.app import (
    App,
    Backoff,
    Breaker,
    Constraint,
    ConstraintOperator,
    HealthCheck,
    NetworkMode,
    Placement,
    PortSpec,
    Rollout,
    Unreachable,
)
from portway.core.backoff import delay_of
from portway.core.marathon.labels import Origin, labels_of
from portway.core.marathon.names import run_of, task_name
from tests.controller.inprocess import Portway, running_portway

VIRTUAL_TIME = True

FOR_EVER = Rollout(progress_deadline_s=0.0, breaker=Breaker(enabled=False))


def made(**fields: object) -> App:
    given = {
        "image": "web",
        "rollout": FOR_EVER,
        "environment_form": "marathon",
        "labels": labels_of(Origin(path="/shop/web", version="v1")),
        "backoff": Backoff(first_s=10.0, factor=2.0, maximum_s=300.0),
        "unreachable": Unreachable(),
    }
    return App(id="shop/web", **{**given, **fields})  # type: ignore[arg-type]


async def test_a_containers_own_port_is_told_served_and_on_the_map(portway: Portway) -> None:
    own = PortSpec(name="default", container_port=0, leased=False, service_ports=(10500,))
    await portway.operations.put_app("shop", made(ports=(own,), network_mode=NetworkMode.OWN))
    await portway.settled()
    (record,) = portway.app("shop/web").live
    assert not record.identity.leases
    told = portway.engine.world.instances[record.id].request.environment
    home_id = portway.controller.world.home_id
    assert told["MESOS_TASK_ID"] == task_name("/shop/web", run_of(record.identity), home_id=home_id)
    (route,) = await portway.operations.map("shop")
    (endpoint,) = route.endpoints
    assert str(endpoint.target_port) == str(endpoint.container_port) == told["PORT0"]
    assert (endpoint.state, endpoint.host_port) == ("ready", 0)


async def test_nothing_but_the_shell_fills_in_what_an_app_says_of_ports(portway: Portway) -> None:
    ports = (PortSpec(name="http", container_port=0, shuffled=True),)
    environment = {"URL": "http://$HOST:$PORT0"}
    await portway.operations.put_app("shop", made(ports=ports, environment=environment))
    await portway.settled()
    (record,) = portway.app("shop/web").live
    told = portway.engine.world.instances[record.id].request.environment
    assert told["URL"] == "http://$HOST:$PORT0"
    assert told["PORT0"] == str(record.identity.leases[0].host_port)


async def test_what_dies_again_and_again_waits_as_long_as_its_app_says(portway: Portway) -> None:
    await portway.operations.put_app("shop", made(image="crash"))
    await portway.until(lambda: len(portway.app("shop/web").failures) >= 3)
    failures = portway.app("shop/web").failures
    gaps = [(b.at_ms - a.at_ms) // 1000 for a, b in zip(failures, failures[1:], strict=False)]
    assert gaps[:2] == [10, 20]
    found = delay_of(portway.app("shop/web"), now_ms=portway.clock.now_ms())
    assert found is not None
    assert found.delay_s == 40.0


async def test_several_checks_are_all_asked(portway: Portway) -> None:
    check = HealthCheck(interval_s=2.0, unhealthy_threshold=1)
    ports = (PortSpec(name="http", container_port=80),)
    await portway.operations.put_app(
        "shop", made(ports=ports, health=check, further_checks=(check,) * 2)
    )
    await portway.settled()
    assert len(portway.controller.observer.probe_targets("shop/web")) == 3
    (sick,) = portway.live("shop/web")
    verdicts = portway.controller.world.checks[sick]
    assert {nth: verdict.status.value for nth, verdict in verdicts.items()} == dict.fromkeys(
        range(3), "passing"
    )
    portway.engine.set_health(sick, passed=False, detail="HTTP 500")
    await portway.until(lambda: sick not in portway.live("shop/web"))
    state = portway.app("shop/web")
    assert delay_of(state, now_ms=portway.clock.now_ms()) is None, "its check had it ended"


async def test_a_lost_node_is_waited_for_and_a_constraint_is_kept() -> None:
    unique = Constraint(field="hostname", operator=ConstraintOperator.UNIQUE)
    app = made(
        placement=Placement(constraints=(unique,)), unreachable=Unreachable(inactive_after_s=60.0)
    )
    async with running_portway(nodes=3) as portway:
        await portway.operations.put_app("shop", app, count=2)
        await portway.settled()
        before = {r.identity.node: r.id for r in portway.app("shop/web").live}
        assert len(before) == 2
        lost, name = next(iter(before.items()))
        began_ms = portway.clock.now_ms()
        portway.engine.lose_node(lost)
        await portway.until(lambda: name not in portway.live("shop/web"))
        assert portway.clock.now_ms() - began_ms >= 60_000
        await portway.until(lambda: len(portway.live("shop/web")) == 2)
        nodes = [r.identity.node for r in portway.app("shop/web").live]
        assert len(set(nodes)) == 2
        assert lost not in nodes
