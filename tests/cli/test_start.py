from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portway.cli.foreground import Foreground, run_foreground
from portway.controller.views import (
    MapRoute,
    PromotionView,
    ReleaseRequest,
    ReleaseView,
    StackView,
)
from portway.core.app import App, ListenerProtocol, ListenerSpec, PortSpec
from portway.core.errors import ImageMissingError, RequestError, WorldError
from portway.core.events import Event
from portway.engines.base import LogLine, Progress, Stream
from tests.cli import views
from tests.cli.conftest import Run

WEB = App(
    id="httpd/web",
    image="httpd",
    count=2,
    ports=(
        PortSpec(
            name="443",
            container_port=80,
            service_ports=(443,),
            listener=ListenerSpec(protocol=ListenerProtocol.HTTPS),
        ),
    ),
)


@dataclass
class FakeOperations:
    """Answers like an operations object whose Apps start at once; keeps what it was asked."""

    status: str = "done"
    missing: bool = False
    asked: list[str] = field(default_factory=list)
    left_looks: int = 2
    events_told: tuple[Event, ...] = ()
    deleted: bool = False

    async def create_release(self, stack: str, request: ReleaseRequest) -> ReleaseView:
        self.asked.append("create_release")
        if self.missing:
            self.missing = False
            raise ImageMissingError("web: there is no image httpd here", image="httpd")
        return msgspec.convert(views.release(), ReleaseView)

    async def pull(self, image: str) -> AsyncIterator[Progress]:
        self.asked.append(f"pull {image}")
        yield Progress(text="pulled", image="sha256:1")

    async def promote(self, stack: str, release_id: str, *, force: bool = False) -> PromotionView:
        self.asked.append("promote")
        return msgspec.convert(views.promotion(), PromotionView)

    async def put_certificate(self, stack: str, target: str, **_: Any) -> None:
        self.asked.append(f"certificate {target}")

    async def stack(self, name: str) -> StackView:
        if self.deleted:
            self.left_looks -= 1
            if self.left_looks < 0:
                raise RequestError("no stack", http_status=404)
        deployment = views.deployment(status=self.status, reason="exited with 1\noh no")
        return msgspec.convert(views.stack(apps=[views.app(deployment=deployment)]), StackView)

    async def map(self, stack: str = "") -> tuple[MapRoute, ...]:
        return (msgspec.convert(views.route(), MapRoute),)

    async def events(self, **_: Any) -> AsyncIterator[Event]:
        yield Event(at_ms=1, kind="port.moved", message="web.1.1 moves to 31006")
        await asyncio.sleep(0)  # the log line comes first
        for event in self.events_told:
            yield event
        await asyncio.Event().wait()

    async def logs(self, stack: str, **_: Any) -> AsyncIterator[tuple[str, LogLine]]:
        yield "web.1.1", LogLine(at_ms=1, stream=Stream.STDOUT, text="hello")
        await asyncio.Event().wait()

    async def delete_stack(self, name: str, *, drain: bool = True) -> None:
        assert not drain, "whoever presses Ctrl-C waits for no connection"
        self.asked.append("delete_stack")
        self.deleted = True


def failed(instance: str, message: str) -> Event:
    return Event(
        at_ms=1,
        kind="instance.failed",
        message=message,
        instance_id=f"httpd/{instance}",
        data={"failed": "1"},
    )


async def run_to_its_end(
    operations: FakeOperations,
    *,
    last_line: str,
    columns: int | None = None,
    hurries: bool = False,
) -> list[str]:
    """Run it, stop it once a line contains `last_line`, and give back every line."""
    lines: list[str] = []
    stop, hurry = asyncio.Event(), asyncio.Event()

    def say(line: str) -> None:
        lines.append(line)
        if last_line in line:
            stop.set()
        if hurries and "Stopping." in line:
            hurry.set()

    run = Foreground(
        stack="httpd",
        apps=(WEB,),
        request=ReleaseRequest(manifest=""),
        needs_images=True,
        say=say,
        stop=stop,
        hurry=hurry,
        columns=columns,
    )
    async with asyncio.timeout(20):
        await run_foreground(operations, run)  # type: ignore[arg-type]
    return lines


def plain(lines: list[str]) -> list[str]:
    import click

    return [click.unstyle(line) for line in lines]


async def test_output_is_prefixed_and_padded_and_everything_is_removed_at_the_end() -> None:
    operations = FakeOperations()
    lines = plain(await run_to_its_end(operations, last_line="Ctrl-C stops it"))
    assert "web.1   | hello" in lines
    assert "portway | web.1.1 moves to 31006" in lines
    assert "portway | httpd is running: release RUAENUMAQBS, 2/2 healthy" in lines
    assert lines[-1] == "portway | Stopping. Ctrl-C again kills what takes long."
    assert operations.asked == ["create_release", "promote", "certificate web:443", "delete_stack"]
    assert operations.left_looks < 0, "it must wait until nothing is left"


async def test_a_missing_image_is_pulled_and_the_release_made_again() -> None:
    operations = FakeOperations(missing=True)
    await run_to_its_end(operations, last_line="Ctrl-C stops it")
    assert operations.asked[:3] == ["create_release", "pull httpd", "create_release"]


async def test_where_lines_have_a_width_the_port_map_keeps_to_it() -> None:
    operations = FakeOperations()
    lines = plain(await run_to_its_end(operations, last_line="Ctrl-C stops it", columns=80))
    assert max(len(line) for line in lines if "->" in line) <= 80
    assert sum("127.0.0.1:31" in line for line in lines) == 2, "one instance a line"


async def test_told_to_hurry_it_waits_for_nothing_any_more() -> None:
    operations = FakeOperations(left_looks=10**9)
    lines = await run_to_its_end(operations, last_line="Ctrl-C stops it", hurries=True)
    assert "Stopping." in lines[-1]
    assert operations.asked[-1] == "delete_stack"


async def test_the_last_lines_of_an_instance_that_nobody_heard_are_told_with_its_failure() -> None:
    operations = FakeOperations(
        events_told=(
            failed("web.1.1", "exited\n    heard"),
            failed("web.2.2", "exited\n    unheard"),
        )
    )
    lines = plain(await run_to_its_end(operations, last_line="    unheard"))
    assert "portway |     unheard" in lines
    assert not any(line.endswith("    heard") for line in lines)


async def test_an_app_that_fails_is_told_and_everything_is_removed() -> None:
    operations = FakeOperations(status="failed")
    with pytest.raises(WorldError) as caught:
        await run_to_its_end(operations, last_line="never")
    assert "web could not be deployed" in caught.value.message
    assert caught.value.hint == "exited with 1\noh no"
    assert operations.asked[-1] == "delete_stack"


async def test_stopped_before_anything_ran_it_still_cleans_up() -> None:
    operations = FakeOperations(status="running")
    lines = await run_to_its_end(operations, last_line="hello")
    assert operations.asked[-1] == "delete_stack"
    assert not any("is running" in line for line in lines)


def test_ports_in_use_are_named_before_anything_starts(
    run: Run, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    monkeypatch.setenv("PORTWAY_ENGINE", "process")
    with socket.create_server(("0.0.0.0", 0)) as listener:
        number = listener.getsockname()[1]
        (workdir / "docker-compose.yml").write_text(
            f"services:\n  web:\n    command: sleep 9\n    ports: ['{number}:80']\n"
        )
        outcome = run("start")
    assert outcome.code == 2
    assert outcome.err.startswith(f"ERROR: web: {number} is held by ")
    assert "portway start --shift 1000" in outcome.err


def test_start_runs_until_interrupted_and_leaves_nothing(home: Path, workdir: Path) -> None:
    (workdir / "docker-compose.yml").write_text(
        "services:\n  web:\n    image: httpd\n    ports: ['18080:80']\n"
    )
    child = subprocess.Popen(
        [
            sys.executable,
            "-u",
            "-m",
            "portway.cli",
            "start",
            "--engine",
            "memory",
            "--shift",
            "1000",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PORTWAY_HOME": str(home), "TMPDIR": str(home)},
        cwd=workdir,
    )
    assert child.stdout is not None
    lines: list[str] = []
    try:
        for line in child.stdout:
            lines.append(line)
            if "Ctrl-C stops it" in line:
                child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30) == 0, lines
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.wait()
        child.stdout.close()
    assert any("http://127.0.0.1:19080/  ->  web" in line for line in lines), lines
    assert "| Stopping." in lines[-1]
    assert list(home.iterdir()) == []
