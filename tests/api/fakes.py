"""FakeOperations: the whole contract in memory, with what a test needs to see: calls, gates and closed iterators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from portway.controller.balancing.balancing import Balancing
from portway.controller.clock import SystemClock
from portway.controller.ecs.task_index import TaskIndex
from portway.controller.machine.base import Finding, Severity
from portway.controller.overview import Overview
from portway.controller.views import (
    AccessLine,
    AppView,
    CertificateView,
    DeploymentView,
    EnvView,
    InstanceView,
    MapEndpoint,
    MapRoute,
    PlanChange,
    PlanView,
    PortHistory,
    PromotionView,
    ReleaseRequest,
    ReleaseView,
    ServerView,
    StackView,
    StrategyRequest,
)
from portway.controller.world import World
from portway.core.app import Build
from portway.core.errors import ManifestError, Problem, RequestError
from portway.core.events import Event
from portway.core.facts import Diagnosis, Verdict
from portway.core.placement import NodeView
from portway.engines.base import ExecRequest, LogLine, Progress, Stream
from portway.store.documents import MemoryDocuments
from tests.api.fake_values import ACCESS_LINE, PORT


class FakeSession:
    """A command that answers each input with its upper case, and ends with exit code 3 when its input ends; "deaf" never reads."""

    def __init__(self, request: ExecRequest) -> None:
        self.request = request
        self.sizes: list[tuple[int, int]] = []
        self.closed = False
        self.held = asyncio.Event()
        self._out: asyncio.Queue[tuple[Stream, bytes] | None] = asyncio.Queue()
        if request.argv[0] == "large":
            self._out.put_nowait((Stream.STDOUT, b"x" * 200_000))

    async def write(self, data: bytes) -> None:
        if data == b"crash":
            raise AssertionError("canary-of-a-bug")
        if self.request.argv[0] == "deaf":
            self.held.set()
            await asyncio.Event().wait()
        stream = Stream.STDERR if data.startswith(b"!") else Stream.STDOUT
        await self._out.put((stream, data.upper()))

    async def close_input(self) -> None:
        await self._out.put(None)

    async def output(self) -> AsyncIterator[tuple[Stream, bytes]]:
        while (item := await self._out.get()) is not None:
            yield item

    async def resize(self, *, rows: int, columns: int) -> None:
        self.sizes.append((rows, columns))
        await self._out.put((Stream.STDOUT, f"{rows}x{columns}".encode()))

    async def wait(self) -> int:
        return 3


class FakeOperations:
    """One stack, httpd, with one App, web. `failures` maps an operation's name to what it raises."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failures: dict[str, Exception] = {}
        self.midway: Exception | None = None
        self.gate = asyncio.Event()
        self.waiting = asyncio.Event()
        self.closed: list[str] = []
        self.sessions: list[FakeSession] = []
        self.variables: dict[str, str] = {"LEVEL": "info"}
        self.documents = MemoryDocuments()
        world = World(
            nodes=(NodeView(name="node-1", address="127.0.0.1"),), instances={}, served={}
        )
        self.balancing = Balancing(world, self.documents, SystemClock(), touch=lambda *_: None)
        self.kept: list[ReleaseView] = []
        self.chain: list[CertificateView] = []
        self.uploaded_bytes = 0
        self.shutdown_requested = asyncio.Event()

    def _called(self, name: str, stack: str = "httpd", /, **arguments: Any) -> None:
        self.calls.append((name, {"stack": stack, **arguments}))
        if name in self.failures:
            raise self.failures[name]
        if stack not in ("", "httpd"):
            raise RequestError(
                f'There is no stack "{stack}".', hint="`portway apps` lists them.", http_status=404
            )

    def _promotion(self, release: str = "RUAENUMAQBS") -> PromotionView:
        deployment = DeploymentView(
            id="d1",
            app="web",
            release=release,
            status="running",
            reason="",
            desired=2,
            started=0,
            healthy=0,
            old=2,
            started_at_ms=1,
        )
        return PromotionView(stack="httpd", release=release, deployments=(deployment,), sequence=7)

    def _release(self, **changes: Any) -> ReleaseView:
        fields = {
            "id": "RUAENUMAQBS",
            "stack": "httpd",
            "created_at_ms": 1,
            "active": True,
            "apps": ("web",),
        }
        return ReleaseView(**{**fields, **changes})

    async def nodes(self) -> tuple[NodeView, ...]:
        return (NodeView(name="local", address="127.0.0.1"),)

    async def server(self) -> ServerView:
        self._called("server")
        return ServerView(
            version="0",
            pid=1,
            home="/home",
            engine="memory",
            listen="",
            public_address="",
            store="sqlite",
            balancer="memory",
            balancer_pid=0,
            balancer_reloads=0,
            balancer_restarts=0,
            host_ports="31000-32000",
            host_ports_leased=2,
            started_at_ms=1,
        )

    async def metrics(self) -> str:
        self._called("metrics")
        return "portway_build_info 1\n"

    async def stacks(self) -> tuple[StackView, ...]:
        self._called("stacks")
        return (await self.stack("httpd"),)

    async def stack(self, name: str) -> StackView:
        self._called("stack", name)
        app = AppView(
            name="web",
            count=2,
            running=2,
            healthy=2,
            release="RUAENUMAQBS",
            image="httpd",
            status="running",
            blocked="",
            ports=(PORT,),
        )
        return StackView(
            name=name,
            status="running",
            release="RUAENUMAQBS",
            created_at_ms=1,
            apps=(app,),
            urls=("http://127.0.0.1:8000/",),
        )

    async def delete_stack(self, name: str, *, drain: bool = True) -> PromotionView:
        self._called("delete_stack", name, drain=drain)
        return self._promotion()

    async def secrets(self, names: Sequence[str]) -> Mapping[str, str]:
        self._called("secrets", *names)
        return {}

    async def plan(
        self, stack: str, request: ReleaseRequest, *, within_policy: bool = False
    ) -> PlanView:
        self._called("plan", stack, request=request)
        change = PlanChange(app="web", action="create", why="it is new", count=2, ports=(PORT,))
        return PlanView(stack=stack, changes=(change,))

    async def create_release(
        self, stack: str, request: ReleaseRequest, *, within_policy: bool = False
    ) -> ReleaseView:
        bound = {"within_policy": True} if within_policy else {}
        self._called("create_release", stack, request=request, **bound)
        if "wrong" in request.manifest:
            problem = Problem(
                message="is not a port",
                path="services.web.ports[0]",
                hint="Write 80:80.",
                file="docker-compose.yml",
                line=4,
                column=7,
            )
            raise ManifestError([problem])
        self.kept.append(self._release(manifest=request.manifest, active=False))
        return self.kept[-1]

    async def releases(self, stack: str, *, limit: int = 20) -> tuple[ReleaseView, ...]:
        self._called("releases", stack, limit=limit)
        return (*self.kept, self._release())[:limit]

    async def release(self, stack: str, release_id: str) -> ReleaseView:
        self._called("release", stack, release_id=release_id)
        return self._release(id=release_id, manifest="services: {}")

    async def promote(
        self,
        stack: str,
        release_id: str,
        *,
        force: bool = False,
        strategy: StrategyRequest | None = None,
    ) -> PromotionView:
        self._called("promote", stack, release_id=release_id, force=force, **_given(strategy))
        return self._promotion(release_id)

    async def rollback(
        self, stack: str, *, to: str = "", strategy: StrategyRequest | None = None
    ) -> PromotionView:
        self._called("rollback", stack, to=to, **_given(strategy))
        return self._promotion(to or "RBEFORE")

    async def cancel(self, stack: str) -> PromotionView:
        self._called("cancel", stack)
        return self._promotion()

    async def pause(self, stack: str) -> PromotionView:
        self._called("pause", stack)
        return self._promotion()

    async def resume(self, stack: str) -> PromotionView:
        self._called("resume", stack)
        return self._promotion()

    async def scale(self, stack: str, counts: Mapping[str, int]) -> PromotionView:
        self._called("scale", stack, counts=dict(counts))
        return self._promotion()

    async def restart(
        self, stack: str, app: str = "", *, strategy: StrategyRequest | None = None
    ) -> PromotionView:
        self._called("restart", stack, app=app, **_given(strategy))
        return self._promotion()

    async def instances(self, stack: str = "") -> tuple[InstanceView, ...]:
        self._called("instances", stack)
        return (self._instance("web.1.7"),)

    async def overview(
        self, stack: str = "", *, app_ids: Collection[str] | None = None
    ) -> Overview:
        self._called("overview", app_ids=app_ids)
        return Overview(home_id="home")

    async def tasks(self) -> TaskIndex:
        return TaskIndex()

    async def stop_instance(self, stack: str, instance: str) -> InstanceView:
        self._called("stop_instance", stack, instance=instance)
        return self._instance(instance)

    def _instance(self, name: str) -> InstanceView:
        return InstanceView(
            id=name,
            stack="httpd",
            app="web",
            slot=1,
            release="RUAENUMAQBS",
            node="local",
            phase="ready",
            health="passing",
            health_detail="HTTP 200 from /",
            ports=(PORT,),
            command="httpd-foreground",
            planned_at_ms=1,
            started_at_ms=2,
        )

    async def environment(self, stack: str) -> EnvView:
        self._called("environment", stack)
        return EnvView(stack=stack, environment=dict(self.variables))

    async def change_environment(
        self,
        stack: str,
        *,
        set_: Mapping[str, str],
        unset: Sequence[str],
        within_policy: bool = False,
    ) -> EnvView:
        self._called("change_environment", stack, set=dict(set_), unset=tuple(unset))
        self.variables.update(set_)
        for name in unset:
            self.variables.pop(name, None)
        return EnvView(stack=stack, environment=dict(self.variables), release="RNEW")

    async def certificates(self, stack: str) -> tuple[CertificateView, ...]:
        self._called("certificates", stack)
        return tuple(self.chain)

    async def put_certificate(
        self, stack: str, target: str, *, certificate_pem: str, key_pem: str, replace: bool
    ) -> CertificateView:
        arguments = {"certificate_pem": certificate_pem, "key_pem": key_pem, "replace": replace}
        self._called("put_certificate", stack, target=target, **arguments)
        view = CertificateView(
            name="c1",
            target=target,
            stack=stack,
            domains=("localhost",),
            expires_at_ms=9,
            fingerprint="ab",
            self_signed=not key_pem,
        )
        self.chain = [view]
        return view

    async def delete_certificate(
        self, stack: str, target: str, *, name: str = ""
    ) -> CertificateView:
        self._called("delete_certificate", stack, target=target, name=name)
        return CertificateView(
            name=name or "c1",
            target=target,
            stack=stack,
            domains=(),
            expires_at_ms=9,
            fingerprint="ab",
            self_signed=True,
        )

    async def doctor(self) -> tuple[Finding, ...]:
        self._called("doctor")
        return (Finding(check="disk", severity=Severity.OK, text="it has room"),)

    async def why(self, subject: str, *, stack: str = "") -> Diagnosis:
        self._called("why", stack, subject=subject)
        return Diagnosis(subject=subject, verdict=Verdict.OK, sentence=f"{subject} answers")

    async def map(self, stack: str = "") -> tuple[MapRoute, ...]:
        self._called("map", stack)
        endpoint = MapEndpoint(
            instance="web.1.7",
            slot_name="web.1",
            host_address="127.0.0.1",
            host_port=31004,
            container_port=80,
            target_address="172.17.0.2",
            target_port=80,
            state="ready",
        )
        route = MapRoute(
            stack="httpd",
            app="web",
            port_name="http",
            exposure="public",
            protocol="http",
            address="0.0.0.0",
            service_port=8000,
            url="http://127.0.0.1:8000/",
            tls=False,
            endpoints=(endpoint,),
        )
        return (route,)

    async def map_at(self, at_ms: int, *, stack: str = "") -> tuple[MapRoute, ...]:
        self._called("map_at", stack, at_ms=at_ms)
        return ()

    async def port_history(
        self, number: int, *, at_ms: int | None = None, limit: int = 1000
    ) -> PortHistory:
        self._called("port_history", number=number, at_ms=at_ms, limit=limit)
        return PortHistory(number=number, at_ms=at_ms or 9, held=(), changes=())

    async def events_around(
        self, at_ms: int, *, stack: str = "", limit: int = 50
    ) -> tuple[Event, ...]:
        self._called("events_around", stack, at_ms=at_ms, limit=limit)
        return (Event(at_ms=at_ms, kind="instance.gone", message="m", sequence=9),)

    async def events(
        self, *, after: int = 0, stack: str = "", follow: bool = False, limit: int = 1000
    ) -> AsyncIterator[Event]:
        self._called("events", stack, after=after, follow=follow, limit=limit)
        first, last = max(after, 0) + 1, 3
        for number in range(first, min(last, first + limit - 1) + 1):
            yield Event(at_ms=number, kind="instance.started", message="m", sequence=number)
        await self._linger("events", forever=follow)
        yield Event(at_ms=9, kind="instance.gone", message="late", sequence=9)

    async def logs(
        self,
        stack: str,
        *,
        app: str = "",
        instance: str = "",
        follow: bool = False,
        tail: int | None = None,
    ) -> AsyncIterator[tuple[str, LogLine]]:
        self._called("logs", stack, app=app, instance=instance, follow=follow, tail=tail)
        yield "web.1.7", LogLine(at_ms=1, stream=Stream.STDERR, text="ready \u2713 \u2028")
        await self._linger("logs", forever=follow)

    async def access_log(
        self, stack: str, *, app: str = "", follow: bool = False, tail: int | None = None
    ) -> AsyncIterator[AccessLine]:
        self._called("access_log", stack, app=app, follow=follow, tail=tail)
        yield ACCESS_LINE
        await self._linger("access_log", forever=follow)

    async def _linger(self, name: str, *, forever: bool) -> None:
        """Wait at the gate, or end; the fake notes when its stream is closed."""
        if not forever:
            if self.midway:
                raise self.midway
            return
        try:
            self.waiting.set()
            await self.gate.wait()
            if self.midway:
                raise self.midway
        finally:
            self.closed.append(name)
            self.waiting.clear()

    @asynccontextmanager
    async def exec(
        self, stack: str, instance: str, request: ExecRequest
    ) -> AsyncIterator[FakeSession]:
        self._called("exec", stack, instance=instance, request=request)
        session = FakeSession(request)
        self.sessions.append(session)
        try:
            yield session
        finally:
            session.closed = True
            self.closed.append("exec")

    async def run(
        self, stack: str, app: str, argv: Sequence[str]
    ) -> AsyncIterator[tuple[str, LogLine] | int]:
        self._called("run", stack, app=app, argv=tuple(argv))
        yield "web.run.1", LogLine(at_ms=1, stream=Stream.STDOUT, text=" ".join(argv))
        await self._linger("run", forever=argv[0] == "forever")
        yield 4

    async def build(
        self, stack: str, app: str, build: Build, context: AsyncIterator[bytes]
    ) -> AsyncIterator[Progress]:
        self._called("build", stack, app=app, build=build)
        try:
            async for chunk in context:
                self.uploaded_bytes += len(chunk)
                self.waiting.set()
                yield Progress(text=f"got {self.uploaded_bytes}")
        finally:
            self.closed.append("build")
        yield Progress(text="built", image="sha256:1")

    async def pull(self, image: str) -> AsyncIterator[Progress]:
        self._called("pull", image=image)
        yield Progress(text="layer 1/1")
        await self._linger("pull", forever=image == "forever")
        yield Progress(text="pulled", image="sha256:2")

    async def request_shutdown(self) -> None:
        self._called("request_shutdown")
        self.shutdown_requested.set()


def _given(strategy: StrategyRequest | None) -> dict[str, object]:
    return {"strategy": strategy} if strategy is not None else {}
