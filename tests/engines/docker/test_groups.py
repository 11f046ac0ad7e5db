"""Instances of several containers on the real daemon: one address or many, order, ends, memory, and half-made ones."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from portway.core.app import (
    CheckKind,
    Container,
    ContainerCondition,
    ContainerDependency,
    HealthCheck,
    NetworkMode,
    PortSpec,
    Resources,
    Volume,
    VolumeKind,
)
from portway.core.errors import EngineError, EngineErrorKind
from portway.core.instance import EngineState, ObservedContainer
from portway.engines.base import ExecRequest, StartRequest
from portway.engines.docker.client import DockerClient
from portway.engines.docker.engine import DockerEngine
from tests.engines.docker.support import (
    Requests,
    docker_json,
    ended,
    http_get,
    lines_of,
    printed,
    refusal_of,
    seen,
    until,
)

pytestmark = pytest.mark.docker

MIB = 1024 * 1024
RUNS = "trap 'exit 0' TERM; sleep 1000 & wait"
HEALTHY, SUCCESS = ContainerCondition.HEALTHY, ContainerCondition.SUCCESS


@pytest.fixture
async def other(home: str) -> AsyncIterator[DockerEngine]:
    """The engine of the controller that comes after a crash."""
    made = DockerEngine(home)
    await made.open()
    yield made
    await made.close()


def after(name: str, condition: ContainerCondition) -> tuple[ContainerDependency, ...]:
    return (ContainerDependency(name=name, condition=condition),)


class Sides:
    """Makes the other containers of an instance, of the same image."""

    def __init__(self, image: str) -> None:
        self.image = image

    def __call__(self, name: str, script: str = RUNS, **fields: Any) -> Container:
        return Container(name=name, image=self.image, command=("sh", "-c", script), **fields)


@pytest.fixture
def side(image: str) -> Sides:
    return Sides(image)


async def started(engine: DockerEngine, request: StartRequest) -> dict[str, ObservedContainer]:
    """Its containers by name once all of them have been started, as the controller asks until they are."""

    async def is_whole() -> bool:
        await engine.start(request)
        return (await seen(engine, request)).state is not EngineState.CREATED

    await until(is_whole, f"every container of {request.identity.id} is started")
    return {one.name: one for one in (await seen(engine, request)).containers}


async def of_home(client: DockerClient, home: str) -> list[str]:
    rows = await docker_json(
        client, "containers/json", all="1", filters=f'{{"label":["portway.home={home}"]}}'
    )
    return sorted(name for row in rows for name in row["Names"])


async def test_containers_share_one_address_see_each_other_and_go_together(
    engine: DockerEngine, requests: Requests, side: Sides, client: DockerClient, home: str
) -> None:
    said = "until wget -qO- http://127.0.0.1/ && wget -qO- http://front/; do sleep 0.1; done; "
    request = requests(
        ports=(80,),
        containers=(side("side", said + RUNS, links=(("web", "front"),)),),
        network_mode=NetworkMode.OWN,
        stop_grace_s=0.1,
    )
    containers = await started(engine, request)
    instance = await seen(engine, request)
    assert (instance.state, instance.reaches_container) == (EngineState.RUNNING, True)
    assert [(c.name, c.state) for c in instance.containers] == [
        ("web", EngineState.RUNNING),
        ("side", EngineState.RUNNING),
    ]
    assert all(c.container_id and c.started_at_ms and c.image_id for c in containers.values())
    assert {c.address for c in containers.values()} == {instance.address}
    assert [b.container_port for b in containers["web"].bindings] == [80]
    assert containers["side"].bindings == ()

    async def answers() -> bool:
        return b"hello" in await http_get(instance.address, 80)

    await until(answers, "the shared address answers")
    assert b"hello" in await http_get("127.0.0.1", request.identity.leases[0].host_port)

    async def has_said() -> bool:
        lines = await lines_of(engine, request)
        return [line.text for line in lines if line.container == "side"][-2:] == [
            "hello from portway"
        ] * 2

    await until(has_said, "the sidecar reads the page by both names")
    async with engine.exec(
        request.identity.id, ExecRequest(argv=("printenv", "HOSTNAME"), container="side")
    ) as session:
        assert await session.wait() == 0
    wrong = ExecRequest(argv=("true",), container="nobody")
    error = await refusal_of(engine.exec(request.identity.id, wrong).__aenter__())
    assert (error.kind, error.hint) == (EngineErrorKind.NOT_FOUND, "It has: web, side.")
    await engine.stop(request.identity.id, signal="SIGTERM", grace_s=5)
    assert (await seen(engine, request)).state is EngineState.EXITED
    await engine.remove(request.identity.id)
    assert await of_home(client, home) == []


async def test_one_starts_once_what_it_waits_for_is_healthy_or_has_succeeded(
    engine: DockerEngine, requests: Requests, side: Sides
) -> None:
    check = HealthCheck(kind=CheckKind.COMMAND, command=("true",), interval_s=0.2, timeout_s=20)
    shared = Volume(kind=VolumeKind.NAMED, source="", target="/shared")
    request = requests.shell(
        f"cat /shared/made; {RUNS}",
        containers=(
            side("db", health=check),
            side("init", "echo made > /shared/made", essential=False, volumes=(shared,)),
        ),
        container_depends_on=(*after("db", HEALTHY), *after("init", SUCCESS)),
        volumes_from=(("init", True),),
        network_mode=NetworkMode.NONE,
    )
    containers = await started(engine, request)
    web, db, init = (containers[name] for name in ("web", "db", "init"))
    assert db.health == "healthy"
    assert (init.state, init.exit_code) == (EngineState.EXITED, 0)
    assert web.started_at_ms is not None
    assert init.finished_at_ms is not None
    assert web.started_at_ms >= init.finished_at_ms
    instance = await seen(engine, request)
    assert (instance.state, instance.address, instance.engine_health) == (
        EngineState.RUNNING,
        "",
        "healthy",
    )
    lines = await lines_of(engine, request, tail=1)
    assert [(line.container, line.text) for line in lines] == [("web", "made")]


async def test_what_can_never_be_met_is_refused_and_says_why(
    engine: DockerEngine, requests: Requests, side: Sides, client: DockerClient, home: str
) -> None:
    request = requests.sleeper(
        containers=(side("init", "exit 3", essential=False),),
        container_depends_on=after("init", SUCCESS),
        network_mode=NetworkMode.NONE,
    )

    said: list[str] = []

    async def is_refused() -> bool:
        try:
            await engine.start(request)
        except EngineError as error:
            said.append(error.message)
        return bool(said)

    await until(is_refused, "the start is refused")
    assert "init, which it waits for to succeed, exited with code 3" in said[0]
    assert (await seen(engine, request)).state is EngineState.CREATED
    await engine.stop(request.identity.id, signal="SIGTERM", grace_s=5)
    assert (await seen(engine, request)).state is EngineState.EXITED
    await engine.remove(request.identity.id)
    assert await of_home(client, home) == []


async def test_the_end_of_an_essential_one_ends_the_others_in_reverse_order(
    engine: DockerEngine, requests: Requests, side: Sides, other: DockerEngine
) -> None:
    written = Volume(kind=VolumeKind.NAMED, source="order", target="/order")
    script = "trap 'echo {0} >> /order/ended; exit 0' TERM; > /order/{0}; sleep 1000 & wait"
    request = requests.shell(
        "until test -e /order/first -a -e /order/second; do sleep 0.1; done; exit 7",
        volumes=(written,),
        containers=(
            side("first", script.format("first"), volumes=(written,)),
            side(
                "second",
                script.format("second"),
                volumes=(written,),
                depends_on=after("first", ContainerCondition.START),
            ),
            side("brief", "exit 1", essential=False),
            Container(name="broken", image=side.image, command=("nope",), essential=False),
        ),
        network_mode=NetworkMode.NONE,
    )
    containers = await started(engine, request)
    assert "nope" in containers["broken"].error
    instance = await ended(engine, request)
    assert (instance.exit_code, instance.failed_container) == (7, "web")
    assert not instance.oom_killed
    await other.remove(request.identity.id)  # it has never listed it
    reader = requests.shell("cat /order/ended", volumes=(written,), network_mode=NetworkMode.NONE)
    await engine.start(reader)
    await ended(engine, reader)
    assert [line.text for line in await lines_of(engine, reader)] == ["second", "first"]


async def test_a_container_over_its_memory_is_named(
    engine: DockerEngine, requests: Requests, side: Sides
) -> None:
    greedy = side(
        "greedy", "x=portway; while :; do x=$x$x; done", resources=Resources(memory_bytes=16 * MIB)
    )
    request = requests.sleeper(containers=(greedy,), network_mode=NetworkMode.NONE)
    await engine.start(request)
    instance = await ended(engine, request)
    assert (instance.oom_killed, instance.failed_container) == (True, "greedy")
    (found,) = [one for one in instance.containers if one.name == "greedy"]
    assert (found.oom_killed, found.exit_code) == (True, 137)


async def test_on_the_bridge_each_has_an_address_and_ports_of_its_own_and_finds_others_by_links(
    engine: DockerEngine, requests: Requests, side: Sides
) -> None:
    ports = (
        PortSpec(name="p80", container_port=80),
        PortSpec(name="p8080", container_port=8080, container="side"),
    )
    serve = "until wget -qO /index.html http://front/; do sleep 0.1; done; httpd -f -p 8080 -h /"
    request = requests(
        ports=(80, 8080),
        containers=(side("side", serve, links=(("web", "front"),)),),
        network_mode=NetworkMode.BRIDGE,
        port_specs=ports,
    )
    containers = await started(engine, request)
    first, second = request.identity.leases
    instance = await seen(engine, request)
    assert (instance.address, instance.reaches_container) == ("127.0.0.1", False)
    assert {c.address for c in containers.values()}.isdisjoint({"", "127.0.0.1"})
    bound = {
        c.name: [(b.container_port, b.host_port) for b in c.bindings] for c in instance.containers
    }
    assert bound == {"web": [(80, first.host_port)], "side": [(8080, second.host_port)]}

    async def answers() -> bool:
        return b"hello" in await http_get("127.0.0.1", second.host_port)

    await until(answers, "the linked one serves what it read from the first")


async def test_in_the_nodes_own_network_it_answers_on_the_nodes_address(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper(network_mode=NetworkMode.HOST, ports=(80,))
    await engine.start(request)
    instance = await seen(engine, request)
    assert (instance.address, instance.reaches_container) == ("127.0.0.1", False)
    (only,) = instance.containers
    assert only.name == ""
    assert [b.host_port for b in only.bindings] == [request.identity.leases[0].host_port]


async def test_a_controller_killed_between_two_containers_is_followed_by_one_that_goes_on(
    engine: DockerEngine, other: DockerEngine, requests: Requests, side: Sides,
    monkeypatch: pytest.MonkeyPatch, client: DockerClient, home: str,
) -> None:  # fmt: skip
    request = requests.sleeper(containers=(side("side"),), network_mode=NetworkMode.OWN)
    calls, real = 0, engine._containers.start

    class Killed(BaseException):
        pass

    async def start(name: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Killed
        await real(name)

    monkeypatch.setattr(engine._containers, "start", start)
    with pytest.raises(Killed):
        await engine.start(request)
    before = await of_home(client, home)
    half = await seen(other, request)
    assert (half.state, len(before)) == (EngineState.CREATED, 3)
    await started(other, request)
    assert (await seen(other, request)).state is EngineState.RUNNING
    assert await of_home(client, home) == before
    # Somebody takes one away by hand: that is its end, and the rest is found by its labels.
    await client.call("DELETE", f"containers/{before[0].lstrip('/')}", params={"force": "1"})
    lost = await seen(other, request)
    assert lost.state is EngineState.EXITED
    await other.start(request)
    assert len(await of_home(client, home)) == 2
    third = DockerEngine(home)
    await third.open()
    await third.remove(request.identity.id)
    await third.close()
    assert await of_home(client, home) == []


async def test_a_volume_of_an_instance_is_its_own_and_goes_with_it(
    engine: DockerEngine, requests: Requests, side: Sides, client: DockerClient
) -> None:
    shared = Volume(kind=VolumeKind.NAMED, source="pod-data", target="/data", of_instance=True)
    elsewhere = replace(shared, target="/there")
    pods = [
        requests.shell(
            f"echo {n} > /data/n; {RUNS}",
            volumes=(shared,),
            containers=(
                side("b", f"until cat /there/n; do sleep 0.1; done; {RUNS}", volumes=(elsewhere,)),
            ),
            network_mode=NetworkMode.NONE,
        )
        for n in ("one", "two")
    ]
    # Of one container too, where it is mounted twice.
    alone = f"echo three > /data/n; cat /there/n; {RUNS}"
    pods.append(requests.shell(alone, volumes=(shared, elsewhere), network_mode=NetworkMode.NONE))
    for pod, said in zip(pods, ("one", "two", "three"), strict=True):
        await started(engine, pod)
        await printed(engine, pod, said)
    for pod in pods:
        label = json.dumps({"label": [f"portway.instance={pod.identity.id}"]})
        assert len((await docker_json(client, "volumes", filters=label))["Volumes"]) == 1
        await engine.remove(pod.identity.id)
        assert not (await docker_json(client, "volumes", filters=label))["Volumes"]
