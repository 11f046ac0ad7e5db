"""Requests, processes and records of the tests of plain processes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.engines.base import ExecSession, StartRequest
from portway.engines.process import ProcessEngine
from portway.engines.process.cgroups import Cgroups
from portway.engines.process.kernel import observe_process
from portway.engines.process.record import RecordDirectory, directory_name
from tests.contract.engines import (
    ProcessAdapter,
    all_lines,
    ended,
    memory_cgroups_are_writable,
    process_of,
    seen,
    until,
)

needs_cgroups = pytest.mark.skipif(
    not memory_cgroups_are_writable(), reason="control groups cannot be made here"
)


CONTROLLER = """
import asyncio, os, signal, sys
from pathlib import Path
import msgspec
from portway.engines.base import StartRequest
from portway.engines.process import ProcessEngine

async def main():
    engine = ProcessEngine(Path(sys.argv[1]), sys.argv[2])
    await engine.open()
    await engine.start(msgspec.json.decode(sys.stdin.buffer.read(), type=StartRequest))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def running(adapter: ProcessAdapter, *argv: str, **app: object) -> StartRequest:
    """A request for one command; `app` changes the App."""
    request = adapter.request("exit")
    changed = replace(request.revision.app, command=argv, **app)  # type: ignore[arg-type]
    return replace(request, revision=replace(request.revision, app=changed), command=argv)


def shell(adapter: ProcessAdapter, text: str, **app: object) -> StartRequest:
    """A request for a command the user wrote as one string."""
    return replace(running(adapter, "sh", **app), command_text=text)


async def output_of(engine: ProcessEngine, request: StartRequest) -> list[str]:
    """What it prints on both streams until it ends."""
    await engine.start(request)
    await ended(engine, request.identity.id)
    return [line.text for line in await all_lines(engine, request.identity.id)]


async def supervisor_of(engine: ProcessEngine, instance_id: str) -> int:
    await process_of(engine, instance_id)
    instance = await seen(engine, instance_id)
    assert instance is not None
    return int(instance.details["supervisor"])


def record_of(adapter: ProcessAdapter, instance_id: str) -> RecordDirectory:
    return RecordDirectory(adapter.directory / "home-0/instances" / directory_name(instance_id))


async def gone(pid: int) -> None:
    """Return once no process has that pid, zombies apart."""

    async def is_gone() -> bool:
        status = observe_process(pid)
        return status is None or status.dead

    await until(is_gone, f"process {pid} ends")


async def first_pid(engine: ProcessEngine, request: StartRequest) -> int:
    async def has_line() -> bool:
        return bool(await all_lines(engine, request.identity.id))

    await until(has_line, "it prints a pid")
    return int((await all_lines(engine, request.identity.id))[0].text)


async def ungrouped(adapter: ProcessAdapter) -> ProcessEngine:
    """An engine of a user who may not make control groups."""
    engine = ProcessEngine(
        adapter.directory / "home-0",
        adapter.home_ids[0],
        cgroups=Cgroups("none", root=adapter.directory / "nothing"),
    )
    await engine.open()
    adapter.engines.append((0, engine))
    return engine


async def read_all(session: ExecSession) -> bytes:
    return b"".join([data async for _, data in session.output()])
