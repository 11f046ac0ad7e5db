"""Marathon's API with many apps: how soon lists, posts and events come, how that grows, and how soon many instances run.

    .venv/bin/python benchmarks/marathon.py            100 and 10,000 apps; 50, 100 and 500 instances of one app
    .venv/bin/python benchmarks/marathon.py --quick    100 and 2,000 apps; 50 instances

Lists, posts and events are those of the whole face, without a socket, over an engine, a balancer and a store in memory that find
their apps as they should be; few and many are asked turn by turn. Every third list comes after a change. "SSE event" is from sending a
POST to the `api_post_event` of it in the hands of who listens. The instances are those of a server of its own with its store on disk, asked over
its socket: from the POST of an app to its `deployment_success`, on the engine in memory and as processes behind HAProxy.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import statistics
import sys
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from control_plane import LONG_AGO_MS, Fleet
from measure import Figure, arguments, percentile, ratio, report, seconds
from rig import free_port, portway
from tests.api.marathon.client import Client

from portway.api.app import create_app
from portway.api.settings import ApiSettings
from portway.controller.marathon.catalogue import APP, Entry
from portway.controller.marathon.making import app_of_entry
from portway.core.marathon.names import app_id_of, time_text
from portway.core.observed import Observed
from portway.core.routing import project_routes
from portway.core.stack import Stack
from portway.core.state import AppState, Revision
from portway.manifests.marathon.accept import accept_app
from portway.manifests.marathon.settings import Settings
from portway.store.memory import MemoryDisk

SERVED_FROM = 20_000  # below are those that are assigned
PATIENCE_S = 900.0
LIST_AIM_MS, POST_AIM_MS, EVENT_AIM_MS, RUN_AIM_S = 300.0, 50.0, 20.0, 8.0
PUBLISHED_S = {50: 6.2, 100: 6.1, 500: 14.2}
LISTED = "/v2/apps?embed=apps.tasks"
ONE = "/v2/apps/g0/a7?embed=app.tasks"
VERSION = time_text(LONG_AGO_MS)
HEADERS = {"Content-Type": "application/json"}


def app(nth: int, **more: Any) -> dict[str, Any]:
    """One small app with a port, a label and a variable."""
    mappings = [{"containerPort": 80, "servicePort": SERVED_FROM + nth}]
    return {
        "id": f"/g{nth // 100}/a{nth}",
        "args": ["serve"],
        "container": {"type": "DOCKER", "docker": {"image": "web"}, "portMappings": mappings},
        "networks": [{"mode": "container/bridge"}],
        "env": {"COLOUR": "green"},
        "labels": {"team": f"t{nth % 7}"},
        "cpus": 0.001,
        "mem": 1,
        **more,
    }


class MarathonFleet(Fleet):
    """So many apps of Marathon, of one instance each, all of them as they should be."""

    def __init__(self, apps: int, nodes: int) -> None:
        self.entries: list[Entry] = []
        super().__init__(apps, nodes)

    def _add(self, disk: MemoryDisk, nth: int) -> None:
        said = accept_app(app(nth), Settings())
        path = str(said["id"])
        entry = Entry(
            path=path, kind=APP, definition={**said, "version": VERSION}, app_id=app_id_of(path),
            config_version=VERSION, scaled_version=VERSION,
        )  # fmt: skip
        self.entries.append(entry)
        self.template = app_of_entry(entry)
        revision = Revision(id="R1", release="R1", app=self.template)
        record = self._record(entry.app_id, nth, 1)
        state = AppState(
            app_id=entry.app_id, target=revision, revisions={"R1": revision}, count=1, next_serial=2,
            instances=(record,), service_ports={self.template.ports[0].name: SERVED_FROM + nth}, version=1,
        )  # fmt: skip
        observed = Observed(
            instances={record.id: self._run(record, revision)}, served=None, publish_address="127.0.0.1"
        )  # fmt: skip
        for route in project_routes(state, observed):
            self.balancer.served[route.key] = route
        disk.apps[entry.app_id] = state
        stack = entry.app_id.partition("/")[0]
        disk.stacks[stack] = Stack(name=stack, created_at_ms=LONG_AGO_MS, loose=True)


@asynccontextmanager
async def opened(count: int) -> AsyncGenerator[Client]:
    """The face over so many apps at rest, controller and runner at work."""
    fleet = MarathonFleet(count, 100)
    await fleet.open()
    marathon = fleet.operations.marathon
    for entry in fleet.entries:
        await marathon.documents.put_entry(marathon.catalogue, entry)
    await marathon.open()
    loop = asyncio.get_running_loop()
    work = [loop.create_task(fleet.controller.run()), loop.create_task(marathon.run())]
    try:
        yield Client(app=create_app(fleet.operations, ApiSettings(), marathon=marathon), portway=fleet)  # type: ignore[arg-type]  # fmt: skip
    finally:
        for task in work:
            task.cancel()
        await asyncio.wait(work)


async def rested(client: Client) -> None:
    """Wait until no deployment runs."""
    async with asyncio.timeout(PATIENCE_S):
        while client.marathon.catalogue.deployments:
            await asyncio.sleep(0.02)


async def took_ms(client: Client, method: str, path: str, body: Any = None) -> float:
    """How long a request takes."""
    began_s = time.perf_counter()
    reply = await client(method, path, body)
    ended_s = time.perf_counter()
    assert reply.status < 300, reply.body[:300]
    return (ended_s - began_s) * 1000


async def lists(few: Client, many: Client, turns: int) -> tuple[dict[str, list[float]], ...]:
    """The whole list with every task, and one app, turn by turn."""
    found: tuple[dict[str, list[float]], ...] = ({LISTED: [], ONE: []}, {LISTED: [], ONE: []})
    for client in (few, many):
        await client("GET", LISTED)  # what is written once is written
    for nth in range(turns):
        for client, times in zip((few, many), found, strict=True):
            if nth % 3 == 2:
                await client("PUT", f"/v2/apps/g0/a{nth % 90}", {"labels": {"turn": str(nth)}})
                await rested(client)
            for path in (LISTED, ONE):
                times[path].append(await took_ms(client, "GET", path))
    return found


async def posts(few: Client, many: Client, turns: int) -> tuple[dict[str, list[float]], ...]:
    """One more app at a time, and when whoever listens hears of it."""
    found: tuple[dict[str, list[float]], ...] = ({"post": [], "event": []}, {"post": [], "event": []})  # fmt: skip
    for nth in range(turns):
        for client, times in zip((few, many), found, strict=True):
            with client.marathon.happenings.listening(("api_post_event",)) as listener:
                heard = asyncio.get_running_loop().create_task(_heard(listener))
                await asyncio.sleep(0)
                began_s = time.perf_counter()
                made = app(nth, id=f"/new/n{nth}")
                made["container"]["portMappings"][0]["servicePort"] = 0
                times["post"].append(await took_ms(client, "POST", "/v2/apps", made))
                times["event"].append((await heard - began_s) * 1000)
            await rested(client)
    return found


async def _heard(listener: Any) -> float:
    async for _ in listener:
        return time.perf_counter()
    raise RuntimeError("the stream ended")


async def asked(counts: tuple[int, int], turns: int) -> list[Figure]:
    """All that is asked of few and of many apps."""
    async with opened(counts[0]) as few, opened(counts[1]) as many:
        listed = await lists(few, many, turns)
        posted = await posts(few, many, turns)
    rows = (
        ("GET /v2/apps?embed=apps.tasks,", listed, LISTED, LIST_AIM_MS),
        ("GET one app with its tasks, of", listed, ONE, None),
        ("POST one app to", posted, "post", POST_AIM_MS),
        ("its SSE event,", posted, "event", EVENT_AIM_MS),
    )
    return [
        figure
        for name, found, key, aim_ms in rows
        for figure in compared(name, counts, found[0][key], found[1][key], aim_ms)
    ]


def compared(
    name: str, counts: tuple[int, int], few: list[float], many: list[float], aim_ms: float | None
) -> list[Figure]:
    """p50 and p99 among many, the aim about p99; and the medians as a ratio."""
    half, most = percentile(many, 50), percentile(many, 99)
    against = f"{counts[0]:,} apps: {percentile(few, 50):.1f} ms, {percentile(few, 99):.1f} ms"
    return [
        Figure(name=f"{name} {counts[1]:,} apps, p50, p99", ours=f"{half:.1f} ms, {most:.1f} ms", value=most,
               rival=against, aim=aim_ms, unit="ms"),
        Figure(name=f"{name} {counts[1]:,} apps against {counts[0]:,}, medians", ours=f"{half:.1f} ms",
               value=ratio(many, few), rival=f"{statistics.median(few):.1f} ms", unit="x"),
    ]  # fmt: skip


class Face:
    """Marathon's API of one server, on one connection."""

    def __init__(self, home: Path) -> None:
        self.path = home / "portway.sock"
        self._connection = connected(self.path)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON; RuntimeError on a refusal."""
        self._connection.request(method, path, None if body is None else json.dumps(body), HEADERS)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text) if text else None

    def rested(self) -> None:
        """Wait until no deployment runs."""
        deadline_s = time.monotonic() + PATIENCE_S
        while self.ask("GET", "/v2/deployments"):
            if time.monotonic() > deadline_s:
                raise RuntimeError("deployments do not end")
            time.sleep(0.05)


def connected(path: Path) -> http.client.HTTPConnection:
    """A connection to the server's socket."""
    made = http.client.HTTPConnection("portway", timeout=PATIENCE_S)
    made.sock = socket.socket(socket.AF_UNIX)
    made.sock.settimeout(PATIENCE_S)
    made.sock.connect(str(path))
    return made


class Listener:
    """Somebody on /v2/events who notes when each event of a kind came."""

    def __init__(self, home: Path, *kinds: str) -> None:
        self._connection = connected(home / "portway.sock")
        query = "&".join(f"event_type={kind}" for kind in kinds)
        self._connection.request("GET", f"/v2/events?{query}", headers={"Accept": "text/event-stream"})  # fmt: skip
        self._answer = self._connection.getresponse()
        self._came = threading.Condition()
        self._found: list[tuple[float, dict[str, Any]]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            while line := self._answer.readline():
                if line.startswith(b"data:"):
                    at_s = time.perf_counter()
                    with self._came:
                        self._found.append((at_s, json.loads(line[5:])))
                        self._came.notify_all()
        except (OSError, ValueError, AttributeError):
            return  # it is closed

    def at_s(self, wanted: Any) -> float:
        """When the first event came of which `wanted` is true."""
        with self._came:

            def came() -> float | None:
                return next((at_s for at_s, event in self._found if wanted(event)), None)

            if not self._came.wait_for(lambda: came() is not None, PATIENCE_S):
                raise RuntimeError("the event does not come")
            found = came()
            assert found is not None
            return found


def deployed(face: Face, nth: int, body: dict[str, Any]) -> float:
    """Seconds from the POST of an app to its deployment_success."""
    listener = Listener(face.path.parent, "deployment_success")
    name = f"/many/m{nth}"
    began_s = time.perf_counter()
    known = face.ask("POST", "/v2/apps", {**body, "id": name})["deployments"][0]["id"]

    def is_ours(event: dict[str, Any]) -> bool:
        return bool(event["id"] == known)

    took_s = listener.at_s(is_ours) - began_s
    face.ask("DELETE", f"/v2/apps{name}")
    face.rested()
    return took_s


def instances(
    face: Face, engine: str, body: dict[str, Any], sizes: tuple[int, ...]
) -> list[Figure]:
    """A table of one app with more and more instances."""
    figures: list[Figure] = []
    for nth, size in enumerate(sizes):
        took_s = deployed(face, nth, {**body, "instances": size})
        published = f"Marathon, published: {PUBLISHED_S[size]:g} s" if size in PUBLISHED_S else ""
        figures.append(
            Figure(name=f"POST to deployment_success, {size} instances of one app, {engine}", ours=seconds(took_s),
                   value=took_s, rival=published, aim=RUN_AIM_S if size == 500 else None, unit="s")
        )  # fmt: skip
    return figures


def processes(sizes: tuple[int, ...]) -> list[Figure]:
    """The same with real processes behind a real HAProxy."""
    first = free_port()
    variables = {
        "PORTWAY_HOST_PORTS": f"{first + 11}-{first + 1010}",
        "PORTWAY_SERVICE_PORTS": f"{first + 1}-{first + 10}",
        "PORTWAY_HOLD_DOWN_S": "0",
    }
    body = {"cmd": "exec busybox httpd -f -p 127.0.0.1:$PORT0", "cpus": 0.001, "mem": 1}
    with portway("process", **variables) as machine:
        return instances(Face(machine.home), "processes", body, sizes)


def remembered(sizes: tuple[int, ...]) -> list[Figure]:
    """The same with nothing but portway's own work."""
    body = {key: value for key, value in app(0).items() if key not in ("id", "container")}
    body["container"] = {"type": "DOCKER", "docker": {"image": "web"}}
    with portway("memory", PORTWAY_MEMORY_NODES="10") as machine:
        return instances(Face(machine.home), "engine in memory", body, sizes)


def main() -> int:
    """Print the table; 1 when an aim is missed."""
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    options = arguments(__doc__)
    counts = (100, 2_000) if options.quick else (100, 10_000)
    sizes = (50,) if options.quick else (50, 100, 500)
    figures = asyncio.run(asked(counts, 20 if options.quick else 100))
    figures += [*remembered(sizes), *processes(sizes)]
    return report(figures, options)


if __name__ == "__main__":
    sys.exit(main())
