"""The loop: it never rests too early, never spins, and comes through whatever fails around it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from portway.controller.loop import RESYNC_S, Controller
from portway.core.app import (
    CheckKind,
    Container,
    ContainerCondition,
    ContainerDependency,
    HealthCheck,
)
from portway.core.errors import StoreError
from portway.core.instance import EngineState, ObservedInstance, Phase
from portway.core.ports import PortRange
from portway.core.routes import RouteKey
from portway.engines.memory import Fault, FaultKind, ImageBehaviour
from portway.store.base import Batch
from tests.controller.inprocess import WEB, FakeGuard, Portway, compose, running_portway

VIRTUAL_TIME = True


class Steps:
    """Counts the looks at each App."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: list[str] = []
        step = Controller._step

        async def counted(controller: Controller, app_id: str) -> None:
            self.taken.append(app_id)
            await step(controller, app_id)

        monkeypatch.setattr(Controller, "_step", counted)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


async def test_an_idle_controller_looks_at_each_app_once_a_resync(
    portway: Portway, steps: Steps
) -> None:
    services = {f"a{n}": "image: web; ports: ['80']" for n in range(100)}
    await portway.deploy("shop", compose(**services))
    await portway.idle(RESYNC_S)
    steps.taken.clear()
    await portway.idle(RESYNC_S * 10)
    assert len(steps.taken) <= 100 * 11
    assert portway.store.batches[-1].apps == ()


async def test_an_idle_controller_saves_nothing(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.idle(10)
    saved = len(portway.store.batches)
    await portway.idle(600)
    assert len(portway.store.batches) == saved


async def test_a_listener_that_cannot_be_bound_is_tried_again_but_not_all_the_time(
    portway: Portway, steps: Steps
) -> None:
    key = RouteKey(address="", service_port=80)
    portway.balancer.blocked[key] = "nginx (pid 7) has it"
    await portway.promote("shop", WEB)
    await portway.idle(5)
    steps.taken.clear()
    before = portway.balancer.applied
    await portway.idle(60)
    assert 10 <= portway.balancer.applied - before <= 60
    assert len(steps.taken) < 300
    del portway.balancer.blocked[key]
    await portway.settled()
    assert portway.serving(80) == ["shop/web.1.1"]


async def test_a_listener_of_one_app_that_cannot_be_bound_stops_no_other(portway: Portway) -> None:
    portway.balancer.blocked[RouteKey(address="", service_port=80)] = "nginx has it"
    await portway.promote("shop", WEB)
    await portway.deploy("blog", compose(web="image: web; ports: ['81:80']"))
    assert portway.serving(81) == ["blog/web.1.1"]
    (app,) = (await portway.operations.stack("shop")).apps
    assert "nginx has it" in app.blocked


async def test_a_balancer_that_cannot_be_read_stops_no_instance(portway: Portway) -> None:
    await portway.deploy("shop", WEB)

    async def unreadable() -> None:
        raise RuntimeError("not a sentence")

    observe, portway.balancer.observe = portway.balancer.observe, unreadable  # type: ignore[method-assign,assignment]
    await portway.operations.scale("shop", {"web": 0})
    await portway.idle(60)
    assert portway.running() == ["shop/web.1.1"]
    assert "balancer" in portway.world.problems
    portway.balancer.observe = observe  # type: ignore[method-assign]
    await portway.settled()
    assert portway.running() == []
    assert "balancer" not in portway.world.problems


async def test_an_engine_that_cannot_be_listed_changes_nothing(
    portway: Portway, steps: Steps
) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.inject(Fault(operation="list", times=0))
    await portway.until(lambda: portway.world.instances is None)
    before = portway.app("shop/web")
    await portway.operations.scale("shop", {"web": 0})
    steps.taken.clear()
    await portway.idle(60)
    assert portway.app("shop/web").instances == before.instances
    assert portway.serving(80) == portway.running() == ["shop/web.1.1"]
    assert len(steps.taken) <= 150
    portway.engine.clear_faults()
    await portway.settled()
    assert portway.running() == []


async def test_an_engine_that_fails_in_a_way_nobody_expected_stops_nobody(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    real = portway.engine.list

    async def broken() -> tuple[ObservedInstance, ...]:
        raise KeyError("State")

    portway.engine.list = broken  # type: ignore[method-assign]
    await portway.until(lambda: "engine" in portway.world.problems)
    portway.engine.list = real  # type: ignore[method-assign]
    await portway.operations.scale("shop", {"web": 2})
    await portway.settled()
    assert len(portway.serving(80)) == 2


async def test_hints_that_end_are_listened_for_again(portway: Portway) -> None:
    await portway.crash()
    calls = 0
    changes = portway.engine.changes

    async def broken():  # noqa: ANN202
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("cut")
        async for change in changes():
            yield change

    portway.engine.changes = broken  # type: ignore[method-assign]
    await portway.open()
    await portway.until(lambda: calls == 2)
    await portway.deploy("shop", WEB)


async def test_planning_that_breaks_for_one_app_stops_that_app_alone(
    portway: Portway, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portway.controller import loop

    def breaking(state, observed, **arguments):  # noqa: ANN001, ANN003, ANN202
        assert state.app_id != "shop/web", "ours to mend"
        return reconcile(state, observed, **arguments)

    reconcile = loop.reconcile
    monkeypatch.setattr(loop, "reconcile", breaking)
    await portway.promote("shop", WEB)
    await portway.deploy("blog", compose(web="image: web; ports: ['81:80']"))
    assert portway.serving(81) == ["blog/web.1.1"]
    assert any("shop/web" in p for p in (await portway.operations.server()).problems)
    monkeypatch.setattr(loop, "reconcile", reconcile)
    await portway.settled()
    assert portway.serving(80) == ["shop/web.1.1"]
    assert (await portway.operations.server()).problems == ()


async def test_a_store_that_cannot_save_lets_nothing_be_done_and_says_so(portway: Portway) -> None:
    guard = FakeGuard()
    async with running_portway(guard=guard) as portway:  # noqa: PLR1704
        await portway.promote("shop", WEB)
        portway.store.fail_saves(StoreError("the disk is full"))
        await portway.idle(30.5)
        assert portway.running() == []
        assert guard.claims == set()
        assert len(portway.leases.host_pool) == 0
        problems = (await portway.operations.server()).problems
        assert any("the disk is full" in p for p in problems)
        portway.store.heal()
        await portway.settled()
        assert portway.running() == ["shop/web.1.1"]
        assert guard.claims == {31000}
        assert (await portway.operations.server()).problems == ()


async def test_a_store_that_fails_now_and_then_delays_but_loses_nothing(portway: Portway) -> None:
    chance = random.Random(7)
    save = portway.store.save

    async def flaky(batch):  # noqa: ANN001, ANN202
        if chance.random() < 0.4:
            raise StoreError("the database is locked")
        return await save(batch)

    release = await portway.release("shop", WEB)
    await portway.operations.promote("shop", release.id)
    portway.store.save = flaky  # type: ignore[method-assign]
    await portway.settled()
    portway.store.save = save  # type: ignore[method-assign]
    await portway.idle(10)
    portway.check_nothing_left_over()
    assert portway.serving(80) == ["shop/web.1.1"]
    assert portway.world.stacks["shop"].active_release == release.id


async def test_a_blocked_reason_is_journalled_once(portway: Portway) -> None:
    guard = FakeGuard()
    two = PortRange(first=31000, last=31001)
    async with running_portway(host_ports=two, guard=guard) as portway:  # noqa: PLR1704
        await portway.deploy("shop", WEB)
        guard.foreign[31001] = "nginx (pid 7)"
        await portway.operations.scale("shop", {"web": 2})
        await portway.idle(120)
        told = [e.message for e in portway.events if e.kind == "app.blocked"]
        assert len(told) == 1
        assert "no host port is free" in told[0]


async def test_a_blocked_reason_that_could_not_be_saved_is_journalled_later(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.inject(Fault(operation="list", times=0))
    portway.store.fail_saves(StoreError("the disk is full"))
    await portway.idle(30)
    portway.store.heal()
    await portway.idle(10)
    told = [e.message for e in portway.events if e.kind == "app.blocked"]
    assert told == ["the engine does not answer, so nothing is changed"]


@pytest.mark.parametrize("condition", ["service_started", "service_healthy"])
async def test_an_app_starts_when_what_it_depends_on_is_there(
    portway: Portway, condition: str
) -> None:
    portway.engine.behave("db", ImageBehaviour(healthy=False))
    await portway.promote(
        "shop",
        compose(db="image: db", web=f"image: web; depends_on: {{db: {{condition: {condition}}}}}"),
    )
    await portway.until(lambda: portway.running())
    await portway.idle(0.5)
    if condition == "service_healthy":
        assert portway.running() == ["shop/db.1.1"]
        portway.engine.set_health("shop/db.1.1", passed=True)
    await portway.idle(0.5)
    assert portway.running() == ["shop/db.1.1", "shop/web.1.1"]


async def test_an_app_starts_when_what_it_depends_on_has_completed(portway: Portway) -> None:
    await portway.promote(
        "shop",
        compose(
            migrate="image: job; restart: 'no'",
            web="image: web; depends_on: {migrate: {condition: service_completed_successfully}}",
        ),
    )
    await portway.idle(3)
    assert portway.running() == ["shop/migrate.1.1"]
    portway.engine.kill("shop/migrate.1.1", exit_code=0)
    await portway.settled()
    assert portway.running() == ["shop/web.1.1"]
    await portway.idle(60)
    assert portway.live("shop/migrate") == []


async def test_a_job_that_fails_takes_its_release_back(portway: Portway) -> None:
    portway.engine.behave("job", ImageBehaviour(exits_with=3))
    await portway.deploy(
        "shop",
        compose(
            migrate="image: job; restart: 'no'",
            web="image: web; depends_on: {migrate: {condition: service_completed_successfully}}",
        ),
    )
    assert (await portway.operations.stack("shop")).status == "failed"
    assert portway.running() == []


async def test_an_app_being_replaced_is_reached_under_its_links(portway: Portway) -> None:
    await portway.deploy(
        "shop",
        compose(
            db="image: db; ports: ['5432']; environment: {LINK_USERNAME: bob, LINK_PASSWORD: pw}",
            web="image: web; links: ['db:database']",
        ),
    )
    environment = portway.engine.world.instances["shop/web.1.1"].request.environment
    assert environment["DATABASE_URL"] == "tcp://bob:pw@database:5432"
    aliases = portway.engine.world.instances["shop/db.1.1"].request.aliases
    assert aliases == ("database", "db")


async def test_certificates_go_with_their_stack(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: web; ports: ['443:80']"))
    await portway.operations.put_certificate(
        "shop", "web:443", certificate_pem="", key_pem="", replace=False
    )
    portway.balancer.connections["shop/web.1.1"] = 1
    await portway.operations.delete_stack("shop")
    await portway.idle(2)
    assert len(portway.balancer.held_certificates) == 1
    portway.balancer.connections.clear()
    await portway.settled()
    assert portway.balancer.held_certificates == ()
    assert portway.store.disk.certificates == {}


async def test_nothing_is_kept_about_instances_that_are_gone(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: web; ports: ['80:80']; scale: 3"))
    for _ in range(5):
        await portway.until(portway.running)
        portway.engine.kill(portway.running()[0])
        await portway.settled()
    await portway.deploy("shop", compose(web="image: crash; ports: ['80:80']"))
    await portway.until(portway.running)
    for instance_id in portway.running():
        await portway.engine.remove(instance_id)  # by somebody else
    await portway.idle(60)
    await portway.settled()
    portway.check_nothing_left_over()
    assert len(portway.app("shop/web").instances) <= 30


async def test_a_touch_between_two_looks_is_never_lost(portway: Portway, steps: Steps) -> None:
    await portway.deploy("shop", WEB)
    for ticks in range(40):
        await portway.idle(1)
        steps.taken.clear()
        portway.controller.touch("shop/web")
        for _ in range(ticks):
            await asyncio.sleep(0)
        portway.controller.touch("shop/web")
        marked = len(steps.taken)
        await portway.idle(0.1)
        assert len(steps.taken) > marked


async def test_a_long_round_keeps_no_caller_waiting(portway: Portway, steps: Steps) -> None:
    services = {f"a{n}": "image: web; ports: ['80']" for n in range(100)}
    await portway.deploy("shop", compose(**services))
    await portway.idle(1)
    steps.taken.clear()
    portway.controller.touch_all()
    await portway.operations.stack("shop")
    await asyncio.sleep(0)
    await portway.operations.scale("shop", {"a0": 2})
    assert len(steps.taken) < 20


async def test_the_last_words_of_many_that_end_together_do_not_hold_the_loop_up(
    portway: Portway,
) -> None:
    await portway.deploy("shop", compose(web="image: web; ports: ['80:80']; scale: 20"))
    portway.engine.inject(Fault(operation="logs", kind=FaultKind.HANG, times=0))

    async def silent(*_: object, **__: object):  # noqa: ANN202
        await asyncio.sleep(3600)
        yield

    portway.engine.logs = silent  # type: ignore[method-assign,assignment]
    for instance_id in portway.running():
        portway.engine.kill(instance_id)
    began = asyncio.get_running_loop().time()
    await portway.until(
        lambda: all(r.phase is not Phase.READY for r in portway.app("shop/web").live)
    )
    assert asyncio.get_running_loop().time() - began < 10


async def test_instances_spread_over_nodes_even_when_many_apps_start_at_once() -> None:
    async with running_portway(nodes=4) as portway:
        services = {f"a{n}": "image: web; ports: ['80']" for n in range(20)}
        await portway.deploy("shop", compose(**services))
        load: dict[str, int] = {}
        for instance in portway.engine.world.instances.values():
            node = instance.observed.identity.node
            load[node] = load.get(node, 0) + 1
        assert sorted(load.values()) == [5, 5, 5, 5]


async def test_a_node_that_is_lost_has_its_instances_replaced_elsewhere() -> None:
    async with running_portway(nodes=2) as portway:
        await portway.deploy("shop", compose(web="image: web; ports: ['80:80']; scale: 2"))
        portway.engine.lose_node("node-1")
        await portway.until(
            lambda: (
                [
                    i.observed.identity.node
                    for i in portway.engine.world.instances.values()
                    if i.observed.state is EngineState.RUNNING
                ]
                == ["node-2", "node-2"]
            )
        )
        await portway.settled()
        assert len(portway.serving(80)) == 2


async def test_an_instance_whose_container_waits_for_another_is_started_in_the_end(
    portway: Portway, steps: Steps
) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.behave("db", ImageBehaviour(healthy=False))
    state = portway.world.apps["shop/web"]
    assert state.target is not None
    check = HealthCheck(kind=CheckKind.COMMAND, command=("true",))
    wait = ContainerDependency(name="db", condition=ContainerCondition.HEALTHY)
    app = replace(
        state.target.app,
        containers=(Container(name="db", image="db", health=check),),
        container_depends_on=(wait,),
    )
    revision = replace(state.target, id="R2", app=app)
    async with portway.controller.changing():
        await portway.controller.save(Batch(apps=(replace(state, target=revision),)))
    portway.controller.touch("shop/web")
    await portway.until(lambda: "shop/web.1.2" in portway.engine.world.instances)
    steps.taken.clear()
    await portway.idle(10)
    assert len(steps.taken) <= 10 * 12  # a few looks for every time it is asked for
    said = "web.1.2 is not whole yet: web waits for db to become healthy"
    assert portway.world.blocked["shop/web"] == (said,)
    assert "shop/web.1.1" in portway.live("shop/web")
    portway.engine.set_container_health("shop/web.1.2", "db", "healthy")
    await portway.until(lambda: portway.live("shop/web") == ["shop/web.1.2"])
    await portway.idle(1)
    assert not portway.world.blocked.get("shop/web")
