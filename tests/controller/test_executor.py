"""Actions are carried out once at a time, and every failure becomes something the planner can read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from portway.balancers.memory import MemoryBalancer
from portway.controller.executor import APPLY_AGAIN_MS, CALL_TIMEOUT_S, Executor
from portway.controller.world import World
from portway.core.app import App, Container, ListenerSpec, PortSpec, Protocol
from portway.core.errors import EngineError, EngineErrorKind
from portway.core.instance import EngineState, InstanceIdentity, InstanceRecord
from portway.core.placement import NodeView
from portway.core.plan import Action, ApplyRoutes, RemoveInstance, StartInstance, StopInstance
from portway.core.ports import Lease
from portway.core.routes import Route, RouteKey
from portway.core.state import AppState, Revision
from portway.engines.memory import Fault, FaultKind, MemoryEngine
from tests.controller.inprocess import LoopClock

VIRTUAL_TIME = True

KEY = RouteKey(address="", service_port=80)
ROUTES = (Route(key=KEY, owner="shop/web", port_name="80", listener=ListenerSpec()),)
APPLY = ApplyRoutes(app_id="shop/web", routes=ROUTES)
LEASE = Lease(
    port_name="80", node="local", protocol=Protocol.TCP, host_port=31000, container_port=80
)
IDENTITY = InstanceIdentity(
    id="shop/web.1.1", app_id="shop/web", slot=1, serial=1, revision="R", release="R",
    node="local", leases=(LEASE,),
)  # fmt: skip
APP = App(id="shop/web", image="web", ports=(PortSpec(name="80", container_port=80),))


def start(**fields: object) -> StartInstance:
    app = App(**{"id": "shop/web", "image": "web", **fields})  # type: ignore[arg-type]
    return StartInstance(identity=IDENTITY, revision=Revision(id="R", release="R", app=app))


STOP = StopInstance(instance_id=IDENTITY.id, signal="SIGTERM", grace_s=1.0)
REMOVE = RemoveInstance(instance_id=IDENTITY.id)


class Hands:
    """An executor at work, with everything it was seen to do."""

    def __init__(self) -> None:
        self.world = World(nodes=(NodeView(name="local", address="10.0.0.1"),))
        self.engine = MemoryEngine()
        self.balancer = MemoryBalancer()
        self.told: list[str] = []
        self.executor = Executor(
            self.world,
            self.engine,
            self.balancer,
            LoopClock(),
            engine_changed=lambda app_id: self.told.append(f"engine {app_id}"),
            routes_changed=lambda app_id: self.told.append(f"routes {app_id}"),
        )

    async def do(self, *actions: Action, for_s: float = 0.01) -> None:
        self.executor.perform(actions)
        await asyncio.sleep(for_s)

    @property
    def state(self) -> EngineState | None:
        seen = self.engine.world.instances.get(IDENTITY.id)
        return seen.observed.state if seen else None


@pytest.fixture
async def hands() -> AsyncIterator[Hands]:
    made = Hands()
    await made.balancer.open()
    task = asyncio.get_running_loop().create_task(made.executor.run())
    await asyncio.sleep(0)
    yield made
    task.cancel()
    await asyncio.wait([task])


async def test_an_instance_is_started_stopped_and_removed(hands: Hands) -> None:
    await hands.do(start())
    assert hands.state is EngineState.RUNNING
    await hands.do(STOP)
    assert hands.state is EngineState.EXITED
    await hands.do(REMOVE)
    assert hands.state is None
    assert hands.told == ["engine shop/web"] * 3


async def test_nothing_is_done_before_the_executor_runs() -> None:
    idle = Hands()
    await idle.do(start())
    assert idle.state is None


async def test_the_same_thing_is_done_once_at_a_time(hands: Hands) -> None:
    hands.engine.inject(Fault(operation="start", kind=FaultKind.HANG))
    await hands.do(start())
    record = InstanceRecord(identity=IDENTITY, planned_at_ms=0)
    state = AppState(app_id="shop/web", target=None, instances=(record,))
    assert hands.executor.underway(state) == {IDENTITY.id}
    await hands.do(start(), STOP, REMOVE)
    assert hands.told == []


async def test_what_an_instance_is_told_has_its_ports_filled_in(hands: Hands) -> None:
    await hands.do(
        start(
            command=("serve", "-p", "$PORT", "$HOME"),
            entrypoint=("init", "${PORT0}"),
            environment={"URL": "http://$HOST:$PORT_80", "MONEY": "$5"},
        )
    )
    request = hands.engine.world.instances[IDENTITY.id].request
    assert request.command == ("serve", "-p", "31000", "$HOME")
    assert request.revision.app.entrypoint == ("init", "31000")
    assert request.environment["URL"] == "http://10.0.0.1:31000"
    assert request.environment["MONEY"] == "$5"


async def test_every_container_is_told_the_ports_and_its_own_variables_alone(hands: Hands) -> None:
    side = Container(
        name="side", image="side", command=("watch", "$PORT"), environment={"OWN": "$PORT_80"}
    )
    await hands.do(start(environment={"FIRST": "1"}, containers=(side,)))
    (told,) = hands.engine.world.instances[IDENTITY.id].request.revision.app.containers
    assert told.command == ("watch", "31000")
    assert (told.environment["OWN"], told.environment["PORT"]) == ("31000", "31000")
    assert "FIRST" not in told.environment


async def test_a_port_the_manifest_sets_is_the_one_that_is_filled_in(hands: Hands) -> None:
    await hands.do(start(command=("serve", "$PORT"), environment={"PORT": "8080"}))
    assert hands.engine.world.instances[IDENTITY.id].request.command == ("serve", "8080")


@pytest.mark.parametrize(
    ("error", "port_taken", "again"),
    [
        (EngineError("busy"), False, True),
        (EngineError("no such program", retryable=False), False, False),
        (EngineError("31000 is taken", kind=EngineErrorKind.PORT_TAKEN), True, True),
    ],
    ids=["passes", "cannot be helped", "port taken"],
)
async def test_a_failed_start_is_something_the_planner_can_read(
    hands: Hands, error: EngineError, port_taken: bool, again: bool
) -> None:
    hands.engine.inject(Fault(operation="start", error=error))
    await hands.do(start())
    failure = hands.world.start_failures[IDENTITY.id]
    assert (failure.reason, failure.port_taken) == (error.message, port_taken)
    assert (failure.retry_at_ms is not None) is again
    assert hands.told == ["engine shop/web"]
    await hands.do(start())
    assert hands.world.start_failures == {}


async def test_the_pause_before_a_start_is_tried_again_grows_to_half_a_minute(
    hands: Hands,
) -> None:
    hands.engine.inject(Fault(operation="start", times=0))
    pauses: list[int] = []
    for _ in range(7):
        await hands.do(start())
        failure = hands.world.start_failures[IDENTITY.id]
        assert failure.retry_at_ms is not None
        pauses.append(failure.retry_at_ms - failure.at_ms)
    assert pauses == [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]


async def test_a_start_nobody_answers_ends_and_is_tried_again(hands: Hands) -> None:
    hands.engine.inject(Fault(operation="start", kind=FaultKind.HANG))
    await hands.do(start(), for_s=CALL_TIMEOUT_S + 1)
    failure = hands.world.start_failures[IDENTITY.id]
    assert "did not answer within 120 s" in failure.reason
    assert failure.retry_at_ms is not None


@pytest.mark.parametrize("operation", ["stop", "remove"])
@pytest.mark.parametrize("kind", [FaultKind.FAIL, FaultKind.HANG])
async def test_what_fails_is_told_after_a_pause_and_can_be_done_again(
    hands: Hands, operation: str, kind: FaultKind
) -> None:
    await hands.do(start())
    hands.told.clear()
    hands.engine.inject(Fault(operation=operation, kind=kind))
    action = STOP if operation == "stop" else REMOVE
    await hands.do(action)
    assert hands.told == []
    await asyncio.sleep(CALL_TIMEOUT_S + 10)
    assert hands.told == ["engine shop/web"]
    await hands.do(action)
    assert hands.state is not EngineState.RUNNING


async def test_an_action_that_breaks_stops_no_other(hands: Hands) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise KeyError("Id")

    hands.engine.stop = broken  # type: ignore[method-assign]
    await hands.do(STOP, APPLY, for_s=6)
    assert hands.told == ["routes shop/web", "engine shop/web"]


async def test_routes_that_are_confirmed_are_remembered_as_applied(hands: Hands) -> None:
    hands.world.route_errors["shop/web"] = "before"
    await hands.do(APPLY)
    assert hands.world.applied == {"shop/web": ROUTES}
    assert hands.world.route_errors == {}
    await hands.do(ApplyRoutes(app_id="shop/web", routes=()))
    assert hands.world.applied == {}
    assert hands.balancer.served == {}


async def test_refused_routes_are_not_tried_again_at_once(hands: Hands) -> None:
    hands.balancer.blocked[KEY] = "nginx (pid 7) has it"
    for _ in range(5):
        await hands.do(APPLY)
    assert hands.balancer.applied == 1
    assert "nginx (pid 7) has it" in hands.world.route_errors["shop/web"]
    await asyncio.sleep(APPLY_AGAIN_MS / 1000)
    hands.balancer.blocked.clear()
    await hands.do(APPLY)
    assert hands.world.route_errors == {}


async def test_other_routes_than_those_refused_are_tried_at_once(hands: Hands) -> None:
    hands.balancer.blocked[KEY] = "nginx has it"
    await hands.do(APPLY)
    await hands.do(ApplyRoutes(app_id="shop/web", routes=()))
    assert hands.balancer.applied == 2
    assert hands.world.route_errors == {}


async def test_a_balancer_that_does_not_answer_is_a_refusal(hands: Hands) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    hands.balancer.apply = never  # type: ignore[method-assign]
    await hands.do(APPLY)
    assert hands.executor.is_applying("shop/web")
    await asyncio.sleep(120)
    assert not hands.executor.is_applying("shop/web")
    assert "did not answer in time" in hands.world.route_errors["shop/web"]


async def test_a_balancer_that_breaks_is_a_refusal_in_a_sentence(hands: Hands) -> None:
    async def broken(*_: object) -> None:
        raise KeyError("servers state")

    hands.balancer.apply = broken  # type: ignore[method-assign]
    await hands.do(APPLY, for_s=10)
    assert hands.world.route_errors["shop/web"].endswith("see the log")
    assert hands.told == ["routes shop/web"]
