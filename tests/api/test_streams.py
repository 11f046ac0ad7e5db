"""Streams: flushed line by line, alive while idle, honest at the end, and ended when nobody listens."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest

from portway.api.settings import ApiSettings
from portway.core.errors import EngineError

from .conftest import Served, serving, until

FOLLOW = "/v1/events?follow=1"


async def line_of(response: aiohttp.ClientResponse) -> bytes:
    async with asyncio.timeout(10):
        return await response.content.readline()


async def test_lines_arrive_before_the_stream_ends(served: Served) -> None:
    async with served.local.get(FOLLOW) as response:
        assert json.loads(await line_of(response))["sequence"] == 1
        assert not served.operations.closed
        await line_of(response)
        await line_of(response)
        served.operations.gate.set()
        assert json.loads(await line_of(response))["message"] == "late"
        assert await line_of(response) == b""


async def test_an_idle_stream_answers_at_once_and_beats(hurried: Served) -> None:
    async with hurried.local.get("/v1/events?follow=1&after=3") as response:
        assert response.status == 200
        for _ in range(3):
            assert await line_of(response) == b"\n"
        hurried.operations.gate.set()
        rest = [line for line in (await response.text()).splitlines() if line]
    assert [json.loads(line)["sequence"] for line in rest] == [9]


async def test_a_failure_before_the_first_line_has_its_own_status(served: Served) -> None:
    async with served.local.get("/v1/stacks/nope/logs?follow=1") as response:
        assert response.status == 404
        assert (await response.json())["error"]["message"] == 'There is no stack "nope".'


async def test_a_failure_midway_is_the_last_line(served: Served) -> None:
    served.operations.midway = EngineError("Docker went away.", hint="Start it.")
    async with served.local.get(FOLLOW) as response:
        for _ in range(3):
            await line_of(response)
        served.operations.gate.set()
        last = json.loads(await line_of(response))
        assert await line_of(response) == b""
    assert last == {
        "error": {
            "status": 503,
            "message": "Docker went away.",
            "hint": "Start it.",
            "problems": [],
        }
    }


async def test_a_mistake_of_ours_midway_is_only_an_id(served: Served) -> None:
    served.operations.midway = AssertionError("canary-of-a-bug")
    async with served.local.get("/v1/stacks/httpd/logs") as response:
        assert response.status == 200
        _, last = (await response.text()).rstrip("\n").split("\n")
    assert json.loads(last)["error"]["status"] == 500
    assert "canary" not in last


@pytest.mark.parametrize(
    ("method", "path", "body", "name"),
    [
        ("GET", FOLLOW, None, "events"),
        ("GET", "/v1/stacks/httpd/logs?follow=1", None, "logs"),
        ("GET", "/v1/stacks/httpd/access-log?follow=1", None, "access_log"),
        ("POST", "/v1/pulls", {"image": "forever"}, "pull"),
        ("POST", "/v1/stacks/httpd/apps/web/run", {"argv": ["forever"]}, "run"),
    ],
)
async def test_a_client_that_goes_away_ends_the_work_behind_its_stream(
    served: Served, method: str, path: str, body: object, name: str
) -> None:
    async with served.local.request(method, path, json=body) as response:
        await line_of(response)
        await until(served.operations.waiting.is_set)
        response.close()
    await until(lambda: served.operations.closed == [name])


async def test_a_client_that_goes_away_in_the_middle_of_its_upload_ends_the_build(
    served: Served,
) -> None:
    _, writer = await asyncio.open_unix_connection(served.unix_socket)
    writer.write(
        b"POST /v1/stacks/httpd/builds?app=web HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: application/x-tar\r\nContent-Length: 1000\r\n\r\nxxx"
    )
    await until(lambda: served.operations.uploaded_bytes == 3)
    assert served.operations.closed == []
    writer.close()
    await until(lambda: served.operations.closed == ["build"])


async def test_a_build_answers_while_it_is_still_being_sent(served: Served) -> None:
    may_go_on = asyncio.Event()

    async def context():
        yield b"first"
        await may_go_on.wait()
        yield b"second"

    async with served.local.post(
        "/v1/stacks/httpd/builds?app=web",
        data=context(),
        headers={"Content-Type": "application/x-tar"},
    ) as response:
        assert json.loads(await line_of(response)) == {"text": "got 5", "image": ""}
        may_go_on.set()
        assert json.loads(await line_of(response)) == {"text": "got 11", "image": ""}


async def test_a_refused_build_is_answered_though_nobody_read_its_context(served: Served) -> None:
    async with served.local.post(
        "/v1/stacks/nope/builds?app=web",
        data=b"x" * 300_000,
        headers={"Content-Type": "application/x-tar"},
    ) as response:
        assert response.status == 404


async def test_a_thousand_lines_keep_their_order(served: Served) -> None:
    async def pull(image: str):
        for number in range(1000):
            yield {"image": image, "number": number}

    served.operations.pull = pull  # type: ignore[method-assign,assignment]
    async with served.local.post("/v1/pulls", json={"image": "a"}) as response:
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    assert [line["number"] for line in lines] == list(range(1000))


async def test_a_stopping_server_ends_its_streams_with_a_word(tmp_path: Path) -> None:
    async with serving(tmp_path, ApiSettings()) as served, asyncio.timeout(10):
        async with served.local.get(FOLLOW) as one, served.remote.get(FOLLOW) as other:
            for response in (one, other):
                for _ in range(3):
                    await line_of(response)
            served.stop.set()
            for response in (one, other):
                last = json.loads(await line_of(response))
                assert last["error"]["message"].startswith("The portway server is stopping")
                assert await line_of(response) == b""
        await served.task
    assert served.operations.closed == ["events", "events"]
