"""What every engine that runs instances of several containers keeps, over every such adapter."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import Container, NetworkMode
from portway.core.instance import EngineState
from portway.engines.base import InstanceEngine, StartRequest
from tests.contract.engines import EngineAdapter, all_lines, ended, printed, seen, until


def beside(adapter: EngineAdapter, engine: InstanceEngine, *others: StartRequest) -> StartRequest:
    """One instance of a container that sleeps and of what the others would run alone, not essential but the last."""
    if not engine.traits.runs_groups:
        pytest.skip("an instance of this engine is one process")
    request = adapter.request("print", lines=("first",), runs_on=True)
    containers = tuple(
        Container(
            name=f"c{nth}",
            image=other.revision.app.image or "",
            command=other.command,
            essential=nth == len(others),
            stop_grace_s=1,
        )
        for nth, other in enumerate(others, start=1)
    )
    app = replace(
        request.revision.app,
        container_name="app",
        containers=containers,
        network_mode=NetworkMode.NONE,
    )
    return replace(request, revision=replace(request.revision, app=app))


async def test_an_instance_of_several_runs_until_an_essential_one_ends(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    brief = adapter.request("exit", exit_code=3)
    request = beside(
        adapter, engine, brief, adapter.request("print", lines=("last",), runs_on=True)
    )

    async def is_over(name: str) -> bool:
        await engine.start(request)
        instance = await seen(engine, request.identity.id)
        assert instance is not None
        states = {one.name: one.state for one in instance.containers}
        return states[name] is EngineState.EXITED and instance.state is not EngineState.CREATED

    await until(lambda: is_over("c1"), "the brief one ends")
    await printed(engine, request.identity.id, "last")
    instance = await seen(engine, request.identity.id)
    assert instance is not None
    assert instance.state is EngineState.RUNNING
    assert [(c.name, c.essential) for c in instance.containers] == [
        ("app", True),
        ("c1", False),
        ("c2", True),
    ]
    lines = await all_lines(engine, request.identity.id)
    assert {(line.container, line.text) for line in lines} == {("app", "first"), ("c2", "last")}
    await engine.stop(request.identity.id, signal="SIGTERM", grace_s=5)
    instance = await ended(engine, request.identity.id)
    assert {one.state for one in instance.containers} == {EngineState.EXITED}
    await engine.remove(request.identity.id)
    assert await seen(engine, request.identity.id) is None


async def test_the_essential_one_that_ended_is_named_with_its_code(
    adapter: EngineAdapter, engine: InstanceEngine
) -> None:
    request = beside(adapter, engine, adapter.request("exit", exit_code=4))
    await engine.start(request)
    instance = await ended(engine, request.identity.id)
    assert (instance.failed_container, instance.exit_code) == ("c1", 4)
