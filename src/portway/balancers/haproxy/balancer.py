"""HAProxyBalancer: the wanted routes, and the one loop that makes HAProxy agree with them.

Every change goes one way: remember what is wanted, write the files, tell the running worker, read it back.
Calls that come together share one pass. Where only servers come and go, a pass is about their listeners alone,
and the files follow a moment later. Decides nothing about instances.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import structlog

from portway.balancers.base import BalancerInfo
from portway.balancers.haproxy import binding, live
from portway.balancers.haproxy.admission import Problem, admit, problem_of, raise_all
from portway.balancers.haproxy.counters import Counters
from portway.balancers.haproxy.listeners import Listener, build_listener, route_problem
from portway.balancers.haproxy.pem import make_fallback_pem, pem_problem
from portway.balancers.haproxy.process import MasterProcess, wait_end
from portway.balancers.haproxy.reading import Reader, read_servers
from portway.balancers.haproxy.render import CONFIG, Rendered, Settings, render, structure_mark
from portway.balancers.haproxy.report import served_routes
from portway.balancers.haproxy.request_log import RequestLog, TakeRequests
from portway.balancers.haproxy.runtime import UNREACHABLE, Runtime, info, unreachable
from portway.balancers.haproxy.state import (
    SavedState,
    load_state,
    prepare,
    remove_others,
    save_state,
    write_files,
)
from portway.balancers.haproxy.told import Told
from portway.balancers.haproxy.workers import (
    RestartPause,
    await_first_answer,
    await_release,
    replace_workers,
    stop_oldest_workers,
)
from portway.core.errors import BalancerError
from portway.core.routes import Route, ServedRoute
from portway.core.stack import Certificate

log = structlog.get_logger(__name__)

_OBSERVE_S = 3.0
_HOUSEKEEPING_S = 0.5
_WRITTEN_EVERY = 4  # times of housekeeping
_RESTART_RETRY_S = 0.2


class HAProxyBalancer:
    """The Balancer protocol over one HAProxy master per home.

    `public_addresses` () = all of this machine's. `describe_holder` completes "it is held by ...".
    A worker replaced in a reload keeps its connections up to `hard_stop_after_s`, and only the
    newest `old_workers_max` of them are kept.
    """

    def __init__(
        self,
        home: Path,
        *,
        executable: str = "haproxy",
        public_addresses: Sequence[str] = (),
        describe_holder: binding.DescribeHolder = binding.nobody,
        hard_stop_after_s: float = 6 * 3600.0,
        old_workers_max: int = 16,
        request_delay_ms: int = 30_000,
    ) -> None:
        self._directory = (home / "haproxy").absolute()
        self._public_addresses = tuple(public_addresses) or binding.all_addresses()
        self._describe_holder = describe_holder
        self._old_workers_max = old_workers_max
        self._settings = Settings(
            connections_max=binding.connections_max(),
            user=binding.worker_user(),
            hard_stop_after_s=hard_stop_after_s,
            request_delay_ms=request_delay_ms,
        )
        self._process = MasterProcess(self._directory, executable)
        self._runtime = Runtime(self._directory, alive=lambda: self._process.find() is not None)
        self._reader = Reader(self._runtime)
        self._requests = RequestLog(self._directory)
        self._told = Told(self._runtime, self._requests)
        self._reported: frozenset[str] = frozenset()
        self._lock = asyncio.Lock()
        self._wanted = 0
        self._done = 0
        self._routes: dict[str, tuple[Route, ...]] = {}
        self._certificates: dict[str, str] = {}
        self._fallback_pem = ""
        self._bound: dict[str, tuple[tuple[str, ...], int]] = {}
        self._problems: list[Problem] = []
        self._refused_certificates: list[Problem] = []
        self._changed: set[str] = set()  # owners whose routes are not yet what HAProxy was told
        self._is_whole = False  # there is a pass to go on from: only routes changed since
        self._is_unwritten = False  # whether files are behind what HAProxy was told
        self._reloads = 0
        self._restarts = 0
        self._ever_started = False
        self._pause = RestartPause()
        self._saved: SavedState | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._tell_back: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Adopt the HAProxy that already runs for this home, or start it with the state saved last."""
        self._process.program()
        prepare(self._directory)
        self._restore(load_state(self._directory))
        running = self._process.find()
        self._ever_started = running is not None
        # One that was started without the pipe must not be told to write to that descriptor.
        has_log = running is not None and self._requests.is_written_by(running)
        self._settings = replace(self._settings, has_log=has_log)
        await self._settle()
        self._requests.open()
        loop = asyncio.get_running_loop()
        # They live from open() to close(), longer than any block could hold a TaskGroup.
        self._tasks = {loop.create_task(self._supervise()), loop.create_task(self._keep_house())}

    async def close(self) -> None:
        """Stop supervising; HAProxy goes on serving."""
        await self._stop_tasks()
        self._requests.close()
        with suppress(BalancerError, *UNREACHABLE):
            await self._reader.statistics()
        self._write_down()
        self._save()
        self._process.forget()

    async def shutdown(self) -> None:
        """Stop HAProxy with all its workers; what it should serve stays on disk."""
        await self._stop_tasks()
        self._requests.close()
        async with self._lock:
            with suppress(BalancerError, *UNREACHABLE):
                await self._reader.statistics()
            self._reader.counters.keep(())
            if self._saved is not None:  # never opened: what is on disk is all there is to know
                self._save()
            await self._process.stop()

    async def apply(self, owner: str, routes: Sequence[Route]) -> None:
        """Make `owner`'s routes exactly these; other owners' listeners never notice."""
        assert all(route.owner == owner for route in routes), owner
        if routes:
            self._routes[owner] = tuple(sorted(routes, key=lambda route: route.key))
        else:
            self._routes.pop(owner, None)
        self._changed.add(owner)
        await self._settle()
        raise_all([problem for problem in self._problems if problem.owner == owner])

    async def certificates(self, certificates: Sequence[Certificate]) -> None:
        """Make the set of certificates exactly these, without a reload unless one is very large."""
        wrong = {c.name: problem for c in certificates if (problem := pem_problem(c.pem))}
        before = self._certificates
        self._certificates = {c.name: c.pem for c in certificates if c.name not in wrong}
        self._certificates |= {name: before[name] for name in wrong if name in before}
        await self._settle(whole=True)
        if wrong:
            sentences = [f"Certificate {name} is not used: {why}" for name, why in wrong.items()]
            raise BalancerError("\n".join(sentences), retryable=False)
        raise_all(self._refused_certificates)

    def take_requests(self, take: TakeRequests) -> None:
        """Who is handed the requests of reported owners, in batches, with the number of those left out."""
        self._requests.take_with(take)

    def when_back(self, tell: Callable[[], None]) -> None:
        """Who is told each time that HAProxy had ended and runs again."""
        self._tell_back = tell

    async def report(self, owners: Collection[str]) -> None:
        """Report every request of exactly these owners; those of others cost next to nothing."""
        before, self._reported = self._reported, frozenset(owners)
        self._changed |= before ^ self._reported
        await self._settle()

    async def observe(self, owners: Collection[str] | None = None) -> tuple[ServedRoute, ...]:
        """What HAProxy really serves, old workers' connections included."""
        deadline_s = time.monotonic() + _OBSERVE_S
        while True:
            try:
                return await self._observe(owners)
            except UNREACHABLE as error:
                if time.monotonic() > deadline_s:
                    raise unreachable(error) from error
            await asyncio.sleep(0.02)

    async def info(self) -> BalancerInfo:
        """Version, processes, reloads."""
        try:
            current, old = await self._runtime.workers()
            async with self._runtime.session() as session:
                version = (await info(session)).version
        except UNREACHABLE as error:
            raise unreachable(error) from error
        return BalancerInfo(
            name="haproxy",
            version=version,
            process_id=self._process.find() or 0,
            worker_ids=(*current, *old),
            reloads=self._reloads,
            restarts=self._restarts,
        )

    async def _settle(self, *, whole: bool = False) -> None:
        """Return once a pass that began after now has ended; calls that wait together share one."""
        self._is_whole &= not whole
        self._wanted += 1
        mine = self._wanted
        async with self._lock:
            if self._done >= mine:
                return
            await asyncio.sleep(0)
            seen = self._wanted
            try:
                await self._converge()
            except BaseException:
                self._is_whole = False  # nobody knows how far it went
                raise
            self._done = seen

    async def _converge(self) -> None:
        for attempt in (1, 2, 3):
            try:
                if self._process.find() is None:
                    await self._revive()
                await self._converge_running()
            except UNREACHABLE as error:
                self._is_whole = False
                if attempt == 3:
                    raise unreachable(error) from error
                await asyncio.sleep(0.05)
            else:
                return

    async def _converge_running(self) -> None:
        async with self._runtime.session() as session:
            running = (await info(session)).description
        changed, self._changed = self._changed, set()
        if (
            self._is_whole
            and running == self._told.mark
            and (news := self._news(changed)) is not None
        ):
            await self._follow(news)
            return
        self._is_whole = True
        # A worker of this very structure listens where we know; only for another one is it asked where.
        listeners = self._admit(frozenset(self._bound))
        rendered = render(listeners, self._settings)
        if self._needs_reload(running, rendered, listeners):
            frontends = (await self._reader.statistics())[0].frontends
            listeners, rendered = await self._validate(self._admit(frontends))
        self._save()
        if self._needs_reload(running, rendered, listeners):
            write_files(self._directory, rendered.files)
            await self._reload(listeners, rendered)
        # Files are for who starts or reloads HAProxy, and that writes them first: traffic need not wait.
        await self._sync(listeners)
        self._told.mark = structure_mark(rendered.structure)
        self._write(listeners, rendered)
        self._save()

    def _news(self, changed: Collection[str]) -> list[Listener] | None:
        """The listeners of these owners as they shall be; None where more than their servers differs."""
        routes = [route for owner in changed for route in self._routes.get(owner, ())]
        if any(problem.owner in changed for problem in self._problems) or any(
            map(route_problem, routes)
        ):
            return None
        news = [self._build(route) for route in routes]
        return news if self._told.differ_in_servers_only(changed, news) else None

    async def _follow(self, news: Sequence[Listener]) -> None:
        """Servers came and went behind some listeners; the files say so a moment later."""
        await self._told.tell_servers(news, has_log=self._settings.has_log)
        self._is_unwritten = True
        self._save()

    def _write_down(self) -> None:
        """Bring the files up to what HAProxy was told; who starts or reloads it writes them first."""
        if self._is_unwritten:
            listeners = self._told.listeners
            self._write(listeners, render(listeners, self._settings))

    def _write(self, listeners: Sequence[Listener], rendered: Rendered) -> None:
        write_files(self._directory, rendered.files)
        self._reader.counters.forget_all_but({n for one in listeners for n in one.counted})
        remove_others(self._directory, rendered.files)
        self._is_unwritten = False

    def _needs_reload(
        self, running: str, rendered: Rendered, listeners: Sequence[Listener]
    ) -> bool:
        is_another = running != structure_mark(rendered.structure)
        return is_another or self._told.needs_reload(listeners)

    def _admit(self, running: frozenset[str]) -> tuple[Listener, ...]:
        """The listeners that can be served; the others become problems."""
        self._problems = []
        sound: list[Listener] = []
        for route in [route for owned in self._routes.values() for route in owned]:
            sentence = route_problem(route)
            if sentence:
                message = f"Port {route.key.service_port} cannot be served: {sentence}"
                self._problems.append(problem_of(route, message, retryable=False))
            else:
                sound.append(self._build(route))
        listeners, problems = admit(
            sound,
            bound={name: at for name, at in self._bound.items() if name in running},
            bind_problem=lambda address, number: binding.bind_problem(
                address, number, self._describe_holder
            ),
        )
        self._problems += problems
        return listeners

    def _build(self, route: Route) -> Listener:
        return build_listener(
            route,
            public_addresses=self._public_addresses,
            certificates=self._certificates,
            fallback_pem=self._fallback_pem,
            is_reported=route.owner in self._reported,
        )

    async def _validate(
        self, listeners: Sequence[Listener]
    ) -> tuple[tuple[Listener, ...], Rendered]:
        """Leave out what HAProxy would not load, so that one listener never holds up the others.

        A listener that was served before goes on as it was, with the endpoints of now.
        """
        if not await self._check(listeners):
            return tuple(listeners), render(listeners, self._settings)
        sound: list[Listener] = []
        for listener in listeners:
            reason = await self._check([listener])
            if not reason:
                sound.append(listener)
                continue
            number = listener.route.key.service_port
            message = f"HAProxy cannot serve port {number} of {listener.route.owner} as asked."
            self._problems.append(
                problem_of(listener.route, message, hint=f"It said: {reason}", retryable=False)
            )
            before = self._told.accepted.get(listener.name)
            if before is not None:
                sound.append(before.with_endpoints_of(listener))
        reason = await self._check(sound)
        if reason:
            raise BalancerError("HAProxy refuses its configuration.", hint=f"It said: {reason}")
        return tuple(sound), render(sound, self._settings)

    async def _check(self, listeners: Sequence[Listener]) -> str:
        files = dict(render(listeners, self._settings).files)
        config = files.pop(CONFIG)
        candidate = f"{CONFIG}.candidate"
        write_files(self._directory, {**files, candidate: config})
        try:
            return await self._process.check(candidate)
        finally:
            (self._directory / candidate).unlink(missing_ok=True)

    async def _reload(self, listeners: Sequence[Listener], rendered: Rendered) -> None:
        await self._retire_removed({listener.name for listener in listeners})
        await replace_workers(
            self._process, self._runtime, description=structure_mark(rendered.structure)
        )
        self._reloads += 1
        kept = {listener.name for listener in listeners}
        removed = [bound for name, bound in self._bound.items() if name not in kept]
        self._took(listeners)
        await await_release(removed)
        await stop_oldest_workers(self._runtime, keep=self._old_workers_max)
        log.info("balancer_reloaded", listeners=len(listeners), reloads=self._reloads)

    async def _retire_removed(self, names: set[str]) -> None:
        """Close what listeners that are about to go still hold."""
        _, old = await self._runtime.workers()
        async with self._runtime.session() as session:
            for key in await read_servers(session):
                if key.backend.rpartition(".")[0] not in names:
                    await live.take_out(session, self._runtime, key, old)

    def _took(self, listeners: Sequence[Listener]) -> None:
        """Note what a fresh worker has loaded from the files."""
        self._bound = {one.name: (one.addresses, one.route.key.service_port) for one in listeners}
        self._told.loads(listeners)

    async def _sync(self, listeners: Sequence[Listener]) -> None:
        """Tell the running worker what changed, and read it back."""
        problems = await self._told.tell(listeners, has_log=self._settings.has_log)
        self._problems += problems
        self._refused_certificates = problems

    async def _revive(self) -> None:
        """Start HAProxy with all that can be served, after whatever is left of the last one is gone."""
        await self._pause.wait()
        await self._process.kill_members()
        self._reader.counters.keep(())
        self._is_whole = False
        self._told.loads(())
        self._settings = replace(self._settings, has_log=self._requests.make())
        await await_release(self._bound.values())
        listeners, rendered = await self._validate(self._admit(frozenset()))
        write_files(self._directory, rendered.files)
        await self._process.start(with_log=self._settings.has_log)
        self._pause.begin()
        if self._ever_started:
            self._restarts += 1
            log.warning("balancer_restarted", restarts=self._restarts)
            self._tell_back()
        for problem in self._problems:
            log.warning("balancer_listener_left_out", owner=problem.owner, reason=problem.message)
        self._ever_started = True
        self._took(listeners)
        await await_first_answer(self._runtime)

    async def _supervise(self) -> None:
        """Bring HAProxy back whenever its master ends (it ends itself when a worker is killed)."""
        while True:
            master = self._process.find()
            if master is not None:
                await wait_end(master)
                log.warning("balancer_ended", process_id=master)
            try:
                await self._settle(whole=True)
            except BalancerError as error:
                log.error("balancer_not_restarted", error=str(error))
                await asyncio.sleep(_RESTART_RETRY_S)

    async def _keep_house(self) -> None:
        """Delete servers once their idle connections are closed; take ports once they are free; write down what was told."""
        for turn in itertools.count():
            await asyncio.sleep(_HOUSEKEEPING_S)
            if any(problem.retryable for problem in self._problems):
                with suppress(BalancerError):
                    await self._settle(whole=True)
            async with self._lock:
                if turn % _WRITTEN_EVERY == 0:
                    self._write_down()
                await self._told.tidy()

    async def _stop_tasks(self) -> None:
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _observe(self, owners: Collection[str] | None) -> tuple[ServedRoute, ...]:
        served = self._told.listeners_of(owners)
        asked = None if owners is None else served
        readings = await self._reader.statistics(asked)
        return served_routes(
            served,
            endpoints=self._told.endpoints,
            servers=await self._reader.servers(asked),
            readings=readings,
            counters=self._reader.counters,
        )

    def _restore(self, saved: SavedState) -> None:
        self._routes = saved.owned
        self._certificates = dict(saved.certificates)
        self._fallback_pem = saved.fallback_pem or make_fallback_pem()
        self._bound = dict(saved.bound)
        self._reader.counters = Counters(saved.counted)
        self._reported = frozenset(saved.reported)
        self._reloads = saved.reloads
        self._restarts = saved.restarts

    def _save(self) -> None:
        state = SavedState(
            routes=tuple(r for owner in sorted(self._routes) for r in self._routes[owner]),
            certificates=dict(sorted(self._certificates.items())),
            fallback_pem=self._fallback_pem,
            bound=self._bound,
            traffic=self._reader.counters.gone,
            reported=tuple(sorted(self._reported)),
            reloads=self._reloads,
            restarts=self._restarts,
        )
        if state != self._saved:
            save_state(self._directory, state)
            self._saved = state
