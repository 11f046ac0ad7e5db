"""Clients that hold connections, or send what would cost much to read: bounded, and the others are still served."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from portway.api.impatient import ImpatientProtocol
from portway.api.settings import ApiSettings
from tests.api.conftest import TOKEN, Served, serving

CONNECTIONS_MAX = 40
FLOOD = 150
HELD = [
    b"",
    b"G",
    b"GET /v1/stacks HTTP/1.1\r\nHost: x\r\nX-Slow: ",
    b"POST /v1/stacks/s/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
]


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(ImpatientProtocol, "connections_max", CONNECTIONS_MAX)
    async with serving(tmp_path, ApiSettings(token=TOKEN, heartbeat_s=0.05)) as it:
        yield it


@pytest.mark.parametrize("held", HELD, ids=["nothing", "a letter", "half a head", "half a body"])
async def test_connections_on_which_nothing_happens_make_room_for_those_who_ask(
    served: Served, held: bytes
) -> None:
    writers: list[asyncio.StreamWriter] = []
    try:
        for nth in range(FLOOD):
            _, writer = await asyncio.open_connection("127.0.0.1", served.service_port)
            writers.append(writer)
            with suppress(ConnectionError):
                writer.write(held)
                await writer.drain()
            if nth % 50 == 49:
                headers = {"Authorization": f"Bearer {TOKEN}"}
                async with served.remote.get("/v1/stacks", headers=headers) as response:
                    assert response.status == 200
    finally:
        for writer in writers:
            writer.transport.abort()


async def test_a_request_that_is_being_answered_is_not_cut_off_for_newcomers(
    served: Served,
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with served.remote.get("/v1/events?follow=1", headers=headers) as stream:
        writers = [
            (await asyncio.open_connection("127.0.0.1", served.service_port))[1]
            for _ in range(CONNECTIONS_MAX * 3)
        ]
        async with asyncio.timeout(10):
            for _ in range(10):
                assert (await stream.content.readline()).endswith(b"\n")
        for writer in writers:
            writer.transport.abort()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 422),
        (b'{"manifest":' * 5_000, 422),
        (b'{"manifest": ' + b"9" * 100_000 + b"}", 422),
        (b'{"manifest": 1e999999}', 422),
        (b'{"manifest": "a", "manifest": "b"}', 422),
        (b'{"manifest": "\\u0000"}', 422),
        (b'{"manifest": "\xff"}', 422),
        (b"\x00", 422),
        (json.dumps({f"k{n}": n for n in range(50_000)}).encode(), 422),
        (json.dumps({"manifest": "a: &a [x]\nb: " + "[*a," * 30 + "]" * 30}).encode(), None),
    ],
)
async def test_a_hostile_body_is_refused_with_a_sentence(
    served: Served, body: bytes, status: int | None
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    path = "/v1/stacks/httpd/releases"
    async with served.remote.post(path, headers=headers, data=body) as response:
        answer = await response.json()
    assert response.status == (status or response.status) < 500
    if response.status >= 400:
        assert len(answer["error"]["message"]) < 2000


async def test_nothing_of_a_body_is_read_for_who_has_no_token(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.service_port)
    head = "POST /v1/stacks/httpd/releases HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 99999999\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(10):
        answer = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert served.operations.calls == []
