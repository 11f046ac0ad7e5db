"""What only the engine in memory can do: be told how the world goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from portway.core.app import (
    App,
    Build,
    CheckKind,
    Container,
    ContainerCondition,
    ContainerDependency,
    HealthCheck,
    Protocol,
)
from portway.core.errors import EngineError, EngineErrorKind
from portway.core.instance import EngineState, InstanceIdentity, ObservedInstance
from portway.core.ports import ANY_ADDRESS, Lease
from portway.core.state import Revision
from portway.engines.base import ExecRequest, StartRequest, Stream
from portway.engines.memory import Fault, FaultKind, ImageBehaviour, MemoryEngine

NOW_MS = 1_700_000_000_000


def engine_of(nodes: int = 1) -> MemoryEngine:
    return MemoryEngine(nodes=nodes, clock=lambda: NOW_MS)


def lease(host_port: int = 31000, *, node: str = "local", address: str = "127.0.0.1") -> Lease:
    return Lease(
        port_name="web",
        node=node,
        protocol=Protocol.TCP,
        host_port=host_port,
        container_port=80,
        address=address,
    )


def request_for(
    image: str | None = "demo",
    *,
    serial: int = 1,
    node: str = "local",
    leases: tuple[Lease, ...] = (),
    command: tuple[str, ...] | None = None,
) -> StartRequest:
    app = App(id="demo/web", image=image, command=command)
    identity = InstanceIdentity(
        id=f"demo/web.1.{serial}",
        app_id=app.id,
        slot=1,
        serial=serial,
        revision="R1",
        release="R1",
        node=node,
        leases=leases,
    )
    return StartRequest(
        identity=identity,
        revision=Revision(id="R1", release="R1", app=app),
        environment={"A": "1"},
        command=command,
        command_text=None,
    )


async def state_of(engine: MemoryEngine, instance_id: str = "demo/web.1.1") -> EngineState | None:
    return {i.id: i.state for i in await engine.list()}.get(instance_id)


async def test_each_node_has_an_address_of_its_own() -> None:
    nodes = await engine_of(nodes=300).nodes()
    assert len({node.address for node in nodes}) == 300
    assert all(node.address.startswith("10.") for node in nodes)


async def test_times_come_from_the_clock_it_was_given() -> None:
    engine = engine_of()
    await engine.start(request_for())
    engine.say("demo/web.1.1", "hello")
    assert (await engine.list())[0].started_at_ms == NOW_MS
    assert [line.at_ms async for line in engine.logs("demo/web.1.1")] == [NOW_MS]


async def test_an_injected_error_is_raised_once_and_nothing_is_done() -> None:
    engine = engine_of()
    error = EngineError("no such image", kind=EngineErrorKind.IMAGE_MISSING)
    engine.inject(Fault(operation="start", error=error))
    with pytest.raises(EngineError) as raised:
        await engine.start(request_for())
    assert raised.value is error
    assert await state_of(engine) is None
    await engine.start(request_for())
    assert await state_of(engine) is EngineState.RUNNING


async def test_a_fault_of_one_instance_leaves_the_others_alone() -> None:
    engine = engine_of()
    engine.inject(Fault(operation="start", instance_id="demo/web.1.2"))
    await engine.start(request_for(serial=1))
    with pytest.raises(EngineError):
        await engine.start(request_for(serial=2))


async def test_a_fault_may_last_for_several_calls_or_until_it_is_cleared() -> None:
    engine = engine_of()
    engine.inject(Fault(operation="list", times=2))
    for _ in range(2):
        with pytest.raises(EngineError):
            await engine.list()
    assert await engine.list() == ()
    engine.inject(Fault(operation="list", times=0))
    for _ in range(5):
        with pytest.raises(EngineError):
            await engine.list()
    engine.clear_faults()
    assert await engine.list() == ()


async def test_a_lost_answer_is_an_error_although_it_was_done() -> None:
    engine = engine_of()
    engine.inject(Fault(operation="start", kind=FaultKind.LOSE_ANSWER))
    with pytest.raises(EngineError):
        await engine.start(request_for())
    assert await state_of(engine) is EngineState.RUNNING


async def test_a_hanging_start_never_answers_and_does_nothing() -> None:
    engine = engine_of()
    engine.inject(Fault(operation="start", kind=FaultKind.HANG))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await engine.start(request_for())
    assert await state_of(engine) is None


async def test_an_image_called_crash_exits_with_1_at_once() -> None:
    engine = engine_of()
    await engine.start(request_for("registry.example/team/crash:2"))
    instance = (await engine.list())[0]
    assert (instance.state, instance.exit_code) == (EngineState.EXITED, 1)


async def test_an_image_called_never_healthy_runs_and_fails_its_probes() -> None:
    engine = engine_of()
    await engine.start(request_for("never-healthy"))
    assert await state_of(engine) is EngineState.RUNNING
    assert engine.health_of("demo/web.1.1") == (False, "HTTP 503 from /")
    check = await engine.run_check("demo/web.1.1", ("CMD-SHELL", "curl -f localhost"), timeout_s=1)
    assert check.exit_code == 1


async def test_an_image_keeps_its_behaviour_when_it_is_named_by_its_id() -> None:
    engine = engine_of()
    await engine.start(request_for(await engine.resolve_image("crash")))
    assert await state_of(engine) is EngineState.EXITED


async def test_a_command_behaves_as_its_program_was_told_to() -> None:
    engine = engine_of()
    engine.behave("./job", ImageBehaviour(exits_with=0, lines=("done",)))
    await engine.start(request_for(None, command=("./job", "--all")))
    assert [line.text async for line in engine.logs("demo/web.1.1")] == ["done"]


async def test_what_has_neither_image_nor_command_is_a_bad_command() -> None:
    with pytest.raises(EngineError) as raised:
        await engine_of().start(request_for(None))
    assert raised.value.kind == EngineErrorKind.BAD_COMMAND


async def test_a_missing_image_can_be_neither_resolved_nor_pulled_nor_started() -> None:
    engine = engine_of()
    engine.behave("gone", ImageBehaviour(missing=True))

    async def pull() -> None:
        async for progress in engine.pull("gone:1"):
            assert not progress.image

    for attempt in (engine.resolve_image("gone:1"), engine.start(request_for("gone:1")), pull()):
        with pytest.raises(EngineError) as raised:
            await attempt
        assert raised.value.kind == EngineErrorKind.IMAGE_MISSING


async def test_health_is_what_was_set_until_the_instance_ends() -> None:
    engine = engine_of()
    await engine.start(request_for())
    assert engine.health_of("demo/web.1.1") == (True, "")
    engine.set_health("demo/web.1.1", passed=False, detail="HTTP 500 from /")
    assert engine.health_of("demo/web.1.1") == (False, "HTTP 500 from /")
    engine.set_health("demo/web.1.1", passed=True)
    engine.kill("demo/web.1.1")
    assert engine.health_of("demo/web.1.1") == (False, "connection refused")


async def test_an_instance_may_die_for_want_of_memory() -> None:
    engine = engine_of()
    await engine.start(request_for())
    engine.kill("demo/web.1.1", oom_killed=True)
    instance = (await engine.list())[0]
    assert instance.oom_killed
    assert instance.exit_code == 137
    assert "memory" in instance.error


async def test_a_node_that_goes_away_takes_its_instances_along_and_accepts_no_others() -> None:
    engine = engine_of(nodes=2)
    await engine.start(request_for(serial=1, node="node-1"))
    await engine.start(request_for(serial=2, node="node-2"))
    engine.lose_node("node-1")
    assert await state_of(engine, "demo/web.1.1") is EngineState.EXITED
    assert await state_of(engine, "demo/web.1.2") is EngineState.RUNNING
    assert [node.available for node in await engine.nodes()] == [False, True]
    with pytest.raises(EngineError) as raised:
        await engine.start(request_for(serial=3, node="node-1"))
    assert raised.value.kind == EngineErrorKind.UNAVAILABLE
    engine.regain_node("node-1")
    await engine.start(request_for(serial=3, node="node-1"))


@pytest.mark.parametrize(
    ("taken", "wanted", "conflicts"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        (ANY_ADDRESS, "127.0.0.1", True),
        ("127.0.0.1", ANY_ADDRESS, True),
        ("127.0.0.2", "127.0.0.1", False),
    ],
)
async def test_ports_conflict_as_the_kernel_has_it(
    taken: str, wanted: str, conflicts: bool
) -> None:
    engine = engine_of()
    engine.steal_port(lease(address=taken))
    request = request_for(leases=(lease(address=wanted),))
    if conflicts:
        with pytest.raises(EngineError) as raised:
            await engine.start(request)
        assert raised.value.kind == EngineErrorKind.PORT_TAKEN
    else:
        await engine.start(request)


async def test_the_same_port_of_two_nodes_is_two_ports() -> None:
    engine = engine_of(nodes=2)
    for serial, node in ((1, "node-1"), (2, "node-2")):
        await engine.start(request_for(serial=serial, node=node, leases=(lease(node=node),)))
    assert len(await engine.list()) == 2


async def test_an_ended_instance_gives_its_ports_back_at_once() -> None:
    engine = engine_of()
    await engine.start(request_for(serial=1, leases=(lease(),)))
    with pytest.raises(EngineError, match=r"demo/web\.1\.1"):
        await engine.start(request_for(serial=2, leases=(lease(),)))
    await engine.stop("demo/web.1.1", signal="SIGTERM", grace_s=1)
    await engine.start(request_for(serial=2, leases=(lease(),)))


async def test_a_copy_of_the_world_lives_on_by_itself() -> None:
    engine = engine_of()
    await engine.start(request_for(serial=1, leases=(lease(),)))
    engine.say("demo/web.1.1", "before")
    heir = MemoryEngine(clock=lambda: NOW_MS, world=engine.world.copy())
    heir.say("demo/web.1.1", "after")
    await heir.stop("demo/web.1.1", signal="SIGTERM", grace_s=1)
    await heir.start(request_for(serial=2, leases=(lease(),)))
    assert await state_of(engine) is EngineState.RUNNING
    assert [line.text async for line in engine.logs("demo/web.1.1")] == ["before"]
    assert await state_of(heir) is EngineState.EXITED


async def test_builds_of_different_contexts_are_different_images() -> None:
    engine = engine_of()

    async def built(context: bytes) -> str:
        async def chunks() -> AsyncIterator[bytes]:
            yield context

        last = ""
        async for progress in engine.build(Build(context="/x"), tag="t", context=chunks()):
            last = progress.image
        return last

    assert await built(b"one") == await built(b"one")
    assert await built(b"one") != await built(b"two")


async def test_a_failing_build_says_so() -> None:
    engine = engine_of()
    error = EngineError("step 2 failed", kind=EngineErrorKind.BUILD_FAILED)
    engine.inject(Fault(operation="build", error=error))

    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    with pytest.raises(EngineError, match="step 2 failed"):
        async for _ in engine.build(Build(context="/x"), tag="t", context=nothing()):
            pass


async def test_a_shell_in_memory_runs_the_lines_it_is_given() -> None:
    engine = engine_of()
    await engine.start(request_for())
    async with engine.exec("demo/web.1.1", ExecRequest(argv=("sh",))) as session:
        await session.write(b"echo one\nprintenv A\nexit 3\necho never\n")
        await session.close_input()
        output = [data async for stream, data in session.output() if stream is Stream.STDOUT]
        assert b"".join(output) == b"one\n1\n"
        assert await session.wait() == 3


def group_of(*others: Container, serial: int = 1, **fields: object) -> StartRequest:
    request = request_for(serial=serial)
    app = replace(
        request.revision.app,
        container_name="app",
        containers=others,
        **fields,  # type: ignore[arg-type]
    )
    return replace(request, revision=replace(request.revision, app=app))


def after(name: str, condition: ContainerCondition) -> tuple[ContainerDependency, ...]:
    return (ContainerDependency(name=name, condition=condition),)


async def only(engine: MemoryEngine) -> ObservedInstance:
    (instance,) = await engine.list()
    return instance


async def test_an_instance_alone_shows_its_one_container_with_its_ports() -> None:
    engine = engine_of()
    await engine.start(request_for(leases=(lease(31005),)))
    (container,) = (await only(engine)).containers
    assert (container.name, container.state) == ("", EngineState.RUNNING)
    assert [(b.container_port, b.host_port) for b in container.bindings] == [(80, 31005)]


async def test_one_that_waits_is_created_until_what_it_waits_for_holds() -> None:
    engine = engine_of()
    check = HealthCheck(kind=CheckKind.COMMAND, command=("true",))
    engine.behave("db", ImageBehaviour(healthy=False))
    db = Container(name="db", image="db", health=check)
    request = group_of(db, container_depends_on=after("db", ContainerCondition.HEALTHY))
    await engine.start(request)
    assert (await only(engine)).state is EngineState.CREATED
    engine.set_container_health("demo/web.1.1", "db", "healthy")
    await engine.start(request)
    instance = await only(engine)
    assert (instance.state, instance.engine_health) == (EngineState.RUNNING, "healthy")
    engine.set_container_health("demo/web.1.1", "db", "unhealthy")
    assert (await only(engine)).engine_health == "unhealthy"


async def test_an_essential_container_takes_the_instance_along_another_does_not() -> None:
    engine = engine_of()
    side = Container(name="side", image="side", essential=False)
    await engine.start(group_of(side, Container(name="log", image="log")))
    engine.kill("demo/web.1.1", container="side")
    instance = await only(engine)
    assert instance.state is EngineState.RUNNING
    assert [c.state for c in instance.containers] == [
        EngineState.RUNNING,
        EngineState.EXITED,
        EngineState.RUNNING,
    ]
    engine.kill("demo/web.1.1", container="log", oom_killed=True)
    instance = await only(engine)
    assert (instance.state, instance.failed_container, instance.oom_killed) == (
        EngineState.EXITED,
        "log",
        True,
    )
    assert {c.state for c in instance.containers} == {EngineState.EXITED}


async def test_lines_carry_the_container_and_a_command_names_one() -> None:
    engine = engine_of()
    engine.behave("side", ImageBehaviour(lines=("hello",)))
    await engine.start(group_of(Container(name="side", image="side")))
    lines = [line async for line in engine.logs("demo/web.1.1")]
    assert [(line.container, line.text) for line in lines] == [("side", "hello")]
    argv = ("echo", "x")
    async with engine.exec("demo/web.1.1", ExecRequest(argv=argv, container="side")) as session:
        assert await session.wait() == 0
    with pytest.raises(EngineError, match="has no container nobody"):
        async with engine.exec("demo/web.1.1", ExecRequest(argv=argv, container="nobody")):
            pass
