"""Looking inside instances: logs that join and end, one-off runs that leave nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from portway.core.app import Container
from portway.core.errors import EngineError, RequestError
from portway.engines.base import ExecRequest, LogLine
from portway.engines.memory import Fault, FaultKind, ImageBehaviour
from portway.store.base import Batch
from tests.controller.inprocess import WEB, Portway, compose

VIRTUAL_TIME = True

TALKATIVE = ImageBehaviour(lines=("one", "two", "three"))


class Reader:
    """Reads a stream in the background, as a client does."""

    def __init__(self, stream: Any) -> None:
        self.items: list[tuple[str, str]] = []
        self.stream = stream
        self.task = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        async for item in self.stream:
            self.items.append((item[0], item[1].text) if isinstance(item, tuple) else item)

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        await self.stream.aclose()


def tasks() -> int:
    return len(asyncio.all_tasks())


async def lines(stream: Any) -> list[tuple[str, str]]:
    return [(name, line.text) async for name, line in stream]


async def test_logs_are_the_lines_of_every_instance(portway: Portway) -> None:
    portway.engine.behave("web", TALKATIVE)
    await portway.deploy("shop", compose(web="image: web; scale: 2", api="image: api"))
    told = await lines(portway.operations.logs("shop"))
    assert told == [(f"web.{n}.{n}", text) for n in (1, 2) for text in ("one", "two", "three")]


async def test_a_tail_holds_for_each_instance(portway: Portway) -> None:
    portway.engine.behave("web", TALKATIVE)
    await portway.deploy("shop", compose(web="image: web; scale: 2"))
    expected = [("web.1.1", "three"), ("web.2.2", "three")]
    assert await lines(portway.operations.logs("shop", tail=1)) == expected
    reader = Reader(portway.operations.logs("shop", tail=1, follow=True))
    await portway.idle(1)
    assert sorted(reader.items) == expected
    await reader.close()


async def test_logs_of_one_app_or_instance_leave_out_the_others(portway: Portway) -> None:
    portway.engine.behave("web", TALKATIVE)
    portway.engine.behave("api", ImageBehaviour(lines=("hello",)))
    await portway.deploy("shop", compose(web="image: web", api="image: api"))
    assert await lines(portway.operations.logs("shop", app="api")) == [("api.1.1", "hello")]
    assert len(await lines(portway.operations.logs("shop", instance="web.1"))) == 3
    with pytest.raises(RequestError, match="no app"):
        await lines(portway.operations.logs("shop", app="wep"))


async def test_following_joins_what_starts_later_and_shows_it_whole(portway: Portway) -> None:
    portway.engine.behave("web", TALKATIVE)
    await portway.deploy("shop", WEB)
    reader = Reader(portway.operations.logs("shop", follow=True, tail=0))
    await portway.idle(1)
    portway.engine.say("shop/web.1.1", "four")
    await portway.operations.scale("shop", {"web": 2})
    await portway.settled()
    await portway.idle(1)
    first = [text for name, text in reader.items if name == "web.1.1"]
    second = [text for name, text in reader.items if name == "web.2.2"]
    assert (first, second) == (["four"], ["one", "two", "three"])
    await reader.close()


async def test_following_an_instance_ends_with_it(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    reader = Reader(portway.operations.logs("shop", instance="web.1.1", follow=True))
    await portway.idle(1)
    portway.engine.say("shop/web.1.1", "bye")
    await portway.operations.stop_instance("shop", "web.1.1")
    await portway.until(reader.task.done)
    assert reader.items == [("web.1.1", "bye")]


async def test_following_an_instance_that_is_not_up_yet_waits_for_its_lines(
    portway: Portway,
) -> None:
    portway.engine.behave("web", TALKATIVE)
    portway.engine.inject(Fault(operation="start", error=EngineError("busy")))
    await portway.promote("shop", WEB)
    await portway.until(lambda: portway.live("shop/web"))
    reader = Reader(portway.operations.logs("shop", instance="web.1.1", follow=True))
    await portway.settled()
    await portway.idle(1)
    assert len(reader.items) == 3
    await reader.close()


async def test_following_a_stack_ends_when_the_stack_is_gone(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    reader = Reader(portway.operations.logs("shop", follow=True))
    await portway.idle(1)
    await portway.operations.delete_stack("shop")
    await portway.until(reader.task.done)
    reader.task.result()


async def test_a_reader_that_leaves_takes_its_tasks_along(portway: Portway) -> None:
    await portway.deploy("shop", compose(web="image: web; scale: 3"))
    await portway.idle(1)
    before = tasks()
    reader = Reader(portway.operations.logs("shop", follow=True))
    await portway.idle(1)
    assert tasks() > before
    await reader.close()
    assert tasks() == before
    assert not any(i.followers for i in portway.engine.world.instances.values())


async def test_a_reader_that_does_not_read_holds_no_more_than_a_few_lines(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    for n in range(5000):
        portway.engine.say("shop/web.1.1", str(n))
    stream = portway.operations.logs("shop", follow=True)
    first = await anext(stream)
    await portway.idle(1)
    rest = [await anext(stream) for _ in range(4999)]
    assert [line.text for _, line in (first, *rest)] == [str(n) for n in range(5000)]
    await stream.aclose()


async def test_reading_that_breaks_ends_the_stream_with_the_failure(portway: Portway) -> None:
    await portway.deploy("shop", WEB)

    async def broken(*_: object, **__: object):  # noqa: ANN202
        raise KeyError("Log")
        yield

    portway.engine.logs = broken  # type: ignore[method-assign,assignment]
    with pytest.raises(ExceptionGroup):
        await lines(portway.operations.logs("shop", follow=True))


async def test_of_several_instances_one_that_goes_meanwhile_is_passed_over(
    portway: Portway,
) -> None:
    portway.engine.behave("web", TALKATIVE)
    await portway.deploy("shop", compose(web="image: web; scale: 2"))
    stream = portway.operations.logs("shop")
    await anext(stream)
    await portway.engine.remove("shop/web.2.2")
    assert len([1 async for _ in stream]) == 2
    await portway.until(lambda: "shop/web.2.2" not in portway.live("shop/web"))


async def test_a_command_runs_inside_the_instance_that_is_named(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    request = ExecRequest(argv=("echo", "hi"))
    async with portway.operations.exec("shop", "web", request) as session:
        output = [data async for _, data in session.output()]
        assert (b"".join(output), await session.wait()) == (b"hi\n", 0)
    with pytest.raises(RequestError, match="no instance"):
        portway.operations.exec("shop", "wep", request)


async def run(portway: Portway, *argv: str) -> list[Any]:
    return [item async for item in portway.operations.run("shop", "web", argv)]


async def test_a_one_off_run_gives_its_lines_and_its_exit_code_and_is_removed(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    (name, line), code = await run(portway, "echo", "hi")
    assert isinstance(line, LogLine)
    assert (name, line.text, code) == ("web.0.2", "hi", 0)
    assert (await run(portway, "exit", "3"))[-1] == 3
    await portway.idle(10)
    assert portway.live("shop/web") == ["shop/web.1.1"]
    assert portway.world.one_offs == set()
    portway.check_nothing_left_over()


async def test_a_one_off_run_without_a_command_is_refused(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    with pytest.raises(RequestError, match="no command"):
        await run(portway)


async def test_a_one_off_run_is_never_routed_counted_or_touched_by_a_deployment(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    reader = Reader(portway.operations.run("shop", "web", ("sleep", "1000")))
    await portway.until(lambda: "shop/web.0.2" in portway.running())
    await portway.deploy("shop", compose(web="image: web:2; ports: ['80:8080']"))
    await portway.operations.scale("shop", {"web": 0})
    await portway.settled()
    await portway.idle(20)
    assert portway.running() == ["shop/web.0.2"]
    portway.engine.kill("shop/web.0.2", exit_code=7)
    await portway.until(reader.task.done)
    assert reader.items == [7]


async def test_a_one_off_run_whose_caller_leaves_is_stopped(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    reader = Reader(portway.operations.run("shop", "web", ("sleep", "1000")))
    await portway.until(lambda: "shop/web.0.2" in portway.running())
    await reader.close()
    portway.check_nothing_left_over()
    assert portway.world.one_offs == set()


async def test_a_one_off_run_that_could_not_be_removed_is_cleared_away_later(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.inject(Fault(operation="remove"))
    with pytest.raises(EngineError):
        await run(portway, "echo", "hi")
    await portway.idle(20)
    portway.check_nothing_left_over()


async def test_a_one_off_run_outlives_the_server_and_is_cleared_away_once_it_ends(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    portway.engine.inject(Fault(operation="stop", kind=FaultKind.FAIL))
    reader = Reader(portway.operations.run("shop", "web", ("sleep", "1000")))
    await portway.until(lambda: "shop/web.0.2" in portway.running())
    after = await portway.successor()
    reader.task.cancel()
    await asyncio.wait([reader.task])
    await after.idle(20)
    assert "shop/web.0.2" in after.running()
    after.engine.kill("shop/web.0.2", exit_code=0)
    await after.until(lambda: "shop/web.0.2" not in after.engine.world.instances)
    await after.crash()
    await portway.open()


async def test_a_one_off_run_removed_by_someone_else_ends_with_a_sentence(
    portway: Portway,
) -> None:
    await portway.deploy("shop", WEB)
    reader = Reader(portway.operations.run("shop", "web", ("sleep", "1000")))
    await portway.until(lambda: "shop/web.0.2" in portway.running())
    await portway.engine.remove("shop/web.0.2")
    await portway.until(reader.task.done)
    with pytest.raises(EngineError, match="removed by someone else"):
        reader.task.result()


async def with_a_sidecar(portway: Portway) -> None:
    """An App of two containers, as the faces that know them release it."""
    portway.engine.behave("web", ImageBehaviour(lines=("one", "two")))
    portway.engine.behave("side", ImageBehaviour(lines=("three", "four")))
    await portway.deploy("shop", WEB)
    state = portway.world.apps["shop/web"]
    assert state.target is not None
    side = Container(name="side", image="side")
    app = replace(state.target.app, containers=(side,))
    revision = replace(state.target, id="R2", app=app)
    async with portway.controller.changing():
        await portway.controller.save(Batch(apps=(replace(state, target=revision),)))
    portway.controller.touch("shop/web")
    await portway.until(lambda: "shop/web.1.2" in portway.live("shop/web"))
    await portway.until(lambda: "shop/web.1.1" not in portway.live("shop/web"))


async def test_lines_of_several_containers_say_which_and_one_can_be_asked_for(
    portway: Portway,
) -> None:
    await with_a_sidecar(portway)
    logs = portway.operations.logs
    told = await lines(logs("shop", app="web"))
    assert told == [
        ("web.1.2/web", "one"),
        ("web.1.2/web", "two"),
        ("web.1.2/side", "three"),
        ("web.1.2/side", "four"),
    ]
    assert await lines(logs("shop", instance="web.1/side")) == told[2:]
    assert await lines(logs("shop", instance="web/web", tail=1)) == told[1:2]
    with pytest.raises(RequestError, match="has no container nobody") as caught:
        await lines(logs("shop", instance="web.1/nobody"))
    assert caught.value.hint == "It has: web, side."
    (view,) = await portway.operations.instances("shop")
    assert [(one.name, one.image, one.state) for one in view.containers] == [
        ("web", "web", "running"),
        ("side", "side", "running"),
    ]
    reader = Reader(logs("shop", instance="web.1/side", follow=True))
    await portway.idle(1)
    assert reader.items == told[2:]
    await reader.close()


async def test_a_one_off_run_is_one_container_and_no_more(portway: Portway) -> None:
    await with_a_sidecar(portway)
    *said, code = await run(portway, "echo", "hi")
    assert [(name, line.text) for name, line in said] == [
        ("web.0.3", "one"),
        ("web.0.3", "two"),
        ("web.0.3", "hi"),
    ]
    assert code == 0
