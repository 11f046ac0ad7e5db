"""Observer: keeps the World's picture of engine and balancer fresh. A failed look is "unknown", never "gone"."""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar, cast

import structlog

from portway.balancers.base import Balancer
from portway.controller.balancing.balancing import Balancing
from portway.controller.clock import Clock
from portway.controller.doubt import DOUBTED, doubted
from portway.controller.health.probes import ProbeTarget
from portway.controller.node_marks import Marks
from portway.controller.telemetry.metrics import Metrics
from portway.controller.why.inspecting import inspect
from portway.controller.world import World, unmet_dependency
from portway.core.app import App, CheckKind, HealthCheck, Protocol
from portway.core.errors import PortwayError
from portway.core.health import Health
from portway.core.inside import explain
from portway.core.instance import EngineState, InstanceRecord, ObservedInstance, Phase
from portway.core.observed import UNSEEN, Observed
from portway.core.ports import Holder
from portway.core.routes import RouteKey, ServedRoute
from portway.core.routing import is_failing, number_of, wants_listener
from portway.core.served import serves_alike
from portway.core.state import AppState
from portway.core.strategy import is_on_trial
from portway.engines.base import InstanceEngine, Node, PartlySeenError

log = structlog.get_logger()

T = TypeVar("T")

LAST_WORDS_LINES = 8
LAST_WORDS_TIMEOUT_S = 2.0
LOOK_TIMEOUT_S = 20.0
SERVED_AGE_MS_MAX = 40
LOOKS_MAX = 3
EXPLAINED_AFTER_FAILURES = 10
EXPLAIN_TIMEOUT_S = 0.3


class Observer:
    """Reads engine and balancer when told that they may have changed, and compares."""

    def __init__(
        self,
        world: World,
        engine: InstanceEngine,
        balancer: Balancer,
        clock: Clock,
        *,
        publish_address: str,
        balancing: Balancing | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._world = world
        self._balancing = balancing
        self._metrics = metrics or Metrics()
        self._engine = engine
        self._balancer = balancer
        self._clock = clock
        self._publish_address = publish_address
        self._served_at_ms = 0  # when all of it was read last
        self._read_at_ms: dict[str, int] = {}  # and some Apps since then
        # By instance: look into it again after so many failures, or when its check says something else.
        self._explained: dict[str, tuple[int, str]] = {}
        self.marks = Marks()
        # By App: what its probes were last made of.
        self._probed: dict[str, tuple[AppState, Mapping[str, ObservedInstance]]] = {}
        self.engine_is_stale = True
        self.served_is_stale = True
        self.unread: set[str] = set()  # Apps whose routes were changed after the balancer was read

    def note_routes_changed(self, app_id: str) -> None:
        """The balancer was told something for this App: what was read before says nothing about it now."""
        self.unread.add(app_id)

    async def refresh(self, app_ids: Iterable[str]) -> set[str]:
        """Look again where the picture is stale for these Apps; all Apps whose picture changed."""
        changed: set[str] = set()
        for _ in range(LOOKS_MAX):
            if not self.engine_is_stale:
                break
            # What ends while the engine is being listed makes that listing old at once.
            self.engine_is_stale = False
            changed |= await self._refresh_engine()
        world = self._world
        self.engine_is_stale |= "engine" in world.problems or bool(world.doubted)
        return changed | await self._refresh_where_stale(app_ids)

    async def _refresh_where_stale(self, app_ids: Iterable[str]) -> set[str]:
        """Read the balancer: of everything when that is due, else of the Apps that something follows for."""
        if self.served_is_stale or self._world.served is None:
            self.served_is_stale = False
            self.unread = set()
            return await self.refresh_served()
        wanted = self.unread | {a for a in app_ids if self._is_old(a) and self._must_be_fresh(a)}
        if not wanted:
            return set()
        self.unread = set()
        return await self.refresh_served(wanted | self._balancers_of(wanted))

    def _is_old(self, app_id: str) -> bool:
        read_at_ms = max(self._served_at_ms, self._read_at_ms.get(app_id, 0))
        return self._clock.now_ms() - read_at_ms > SERVED_AGE_MS_MAX

    def _balancers_of(self, app_ids: Collection[str]) -> set[str]:
        """The load balancers that these Apps are behind."""
        states = [state for a in app_ids if (state := self._world.apps.get(a)) is not None]
        if self._balancing is None:
            return set()
        return {owner for state in states for owner in self._balancing.owners_of(state)}

    async def _refresh_engine(self) -> set[str]:
        world = self._world
        before = world.instances
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                nodes, seen, partly = await self._look()
        except Exception as error:
            world.instances = None
            self._note_unseen("engine", error)
            return set(world.apps) if before is not None else set()
        if partly is None:
            world.note_read("engine")
        else:
            self._note_unseen("engine", partly)
        hidden = self._hide(partly)
        for app_id in self._probed.keys() - world.apps.keys():
            del self._probed[app_id]
        views = self.marks.views(nodes)
        # What is hidden is shown as it was seen last; nothing is decided by it.
        found = _by_app(seen) | {a: m for a, m in (before or {}).items() if a in world.hidden}
        changed = _differences(before, found) | self._doubt(found) | hidden
        if views != world.nodes:
            world.nodes = views
            changed |= set(world.apps)
        return changed

    async def _look(
        self,
    ) -> tuple[tuple[Node, ...], tuple[ObservedInstance, ...], PartlySeenError | None]:
        """The nodes, what runs, and why that is not all."""
        nodes = await self._engine.nodes()
        try:
            return nodes, await self._engine.list(), None
        except PartlySeenError as error:
            return nodes, error.seen, error

    def _note_unseen(self, part: str, error: Exception) -> None:
        why = _why_unseen(part, error)
        self._world.note_unread(part, why, now_ms=self._clock.now_ms())
        self._metrics.failed(part)

    def _hide(self, partly: PartlySeenError | None) -> set[str]:
        """Note which Apps run where nothing was seen; those of which that is new, or over."""
        world = self._world
        before, world.hidden = world.hidden, frozenset[str]()
        if partly is not None:
            states = world.apps.values()
            world.hidden = frozenset(
                s.app_id for s in states if any(map(partly.hides, _apps_of(s)))
            )
        return {*(before ^ world.hidden)}

    def _doubt(self, found: dict[str, dict[str, ObservedInstance]]) -> set[str]:
        """Take the listing over; the Apps that are doubted now, or no more."""
        world = self._world
        before, world.instances = world.doubted, found
        now_ms = self._clock.now_ms()
        looked_at = (s for s in world.apps.values() if s.app_id not in world.hidden)
        world.doubted = doubted(looked_at, found, before, now_ms=now_ms)
        for app_id in world.doubted.keys() - before.keys():
            log.warning("listing_doubted", app=app_id, seen=len(found.get(app_id, ())))
        return before.keys() ^ world.doubted.keys()

    async def refresh_served(self, owners: Collection[str] | None = None) -> set[str]:
        """Read the balancer back, of all or of these owners; those whose routes are not what they were."""
        before = self._world.served
        owners = None if before is None else owners
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                routes = await self._balancer.observe(owners)
        except Exception as error:
            self._world.served = None
            self._note_unseen("balancer", error)
            self.served_is_stale = True
            return set()
        self._world.note_read("balancer")
        served: dict[str, dict[RouteKey, ServedRoute]] = {}
        for route in routes:
            served.setdefault(route.owner, {})[route.key] = route
        known = before
        if before is not None and owners is not None:
            known = {owner: before[owner] for owner in owners if owner in before}
        changed = _differences(known, served)
        self._note_served(served, owners)
        # What is merely counted wakes nobody, or an App with traffic would never rest.
        return {
            app_id
            for app_id in changed
            if self._must_be_fresh(app_id)
            or not _is_served_alike((known or {}).get(app_id), served.get(app_id))
        }

    def _note_served(
        self, served: dict[str, dict[RouteKey, ServedRoute]], owners: Collection[str] | None
    ) -> None:
        """Take a reading over, of all or of these owners."""
        now_ms, before = self._clock.now_ms(), self._world.served
        if owners is None or before is None:
            self._served_at_ms, self._read_at_ms = now_ms, {}
            self._world.served = served
            return
        self._read_at_ms |= dict.fromkeys(owners, now_ms)
        kept = {owner: routes for owner, routes in before.items() if owner not in owners}
        self._world.served = kept | served

    def _must_be_fresh(self, app_id: str) -> bool:
        """Whether something is decided by what the balancer counts: one drains, or a release is on trial."""
        state = self._world.apps.get(app_id)
        if state is None:
            return False
        return is_on_trial(state) or any(
            record.phase in (Phase.DRAINING, Phase.STOPPING) for record in state.instances
        )

    def observed(
        self,
        state: AppState,
        *,
        occupied: Mapping[tuple[Protocol, int], Holder],
        underway: frozenset[str] = frozenset(),
    ) -> Observed:
        """The world around one App."""
        world, app_id = self._world, state.app_id
        waiting = unmet_dependency(world, state.target) if state.target else ""
        if wants_listener(state):
            # Both are only read.
            both = cast(
                "tuple[dict[tuple[Protocol, int], Holder], ...]", (world.listening, occupied)
            )
            occupied = ChainMap(*both)
        found = Observed(
            instances=world.seen(app_id),
            unseen=DOUBTED if app_id in world.doubted else UNSEEN,
            served=world.served_by(app_id),
            applied=world.applied.get(app_id),
            health=world.health,
            readiness=world.readiness,
            nodes=world.nodes,
            emptied=world.emptied(),
            node_load=world.load,
            node_use=world.used,
            node_groups=world.groups_for(state),
            occupied=occupied,
            certificates=world.certificates_for(app_id),
            start_failures=world.start_failures,
            last_words=world.last_words,
            explanations=world.explanations,
            underway=underway,
            waiting_for=waiting,
            route_error=world.route_errors.get(app_id, ""),
            publish_address=self._publish_address,
        )
        return self._with_pools(state, found)

    def _with_pools(self, state: AppState, found: Observed) -> Observed:
        """The same, with how the App's instances stand as targets of load balancers."""
        if self._balancing is None or not self._balancing.owners_of(state):
            return found
        verdicts = self._balancing.verdicts(state, found.health)
        return replace(
            found,
            health=ChainMap(verdicts, cast("dict[str, Health]", found.health)),
            pooled=self._balancing.pooled(state),
            drain_timeout_s=self._balancing.drain_timeout_s(state),
        )

    async def fetch_last_words(self, state: AppState) -> None:
        """The last log lines of instances that ended or never became healthy, before they are removed."""
        seen = self._world.seen(state.app_id) or {}
        troubled = [
            (record, instance)
            for record in state.instances
            if record.phase < Phase.DRAINING
            and (instance := seen.get(record.id)) is not None
            and (record.phase < Phase.READY or instance.state is EngineState.EXITED)
        ]
        if not troubled:
            return
        self._explained = {k: v for k, v in self._explained.items() if k in self._world.health}
        async with asyncio.TaskGroup() as group:
            for record, instance in troubled:
                ended = instance.state is EngineState.EXITED
                hopeless = record.phase < Phase.READY and is_failing(self._as_seen(), record.id)
                if (ended or hopeless) and record.id not in self._world.last_words:
                    group.create_task(self._fetch_last_lines(record.id))
                if record.phase < Phase.READY and instance.state is EngineState.RUNNING:
                    await self._explain(state, record, instance)

    async def _fetch_last_lines(self, instance_id: str) -> None:
        self._world.last_words[instance_id] = await self.last_lines(instance_id)

    async def _explain(
        self, state: AppState, record: InstanceRecord, seen: ObservedInstance
    ) -> None:
        """Look inside an instance whose checks fail for long: it may listen somewhere else, or speak something else."""
        health = self._world.health.get(record.id)
        if health is None or health.failures < EXPLAINED_AFTER_FAILURES:
            return
        again_after, detail = self._explained.get(record.id, (0, ""))
        if detail == health.detail and health.failures < again_after:
            return
        # Looking costs time, and what is wrong seldom changes: less and less often.
        self._explained[record.id] = (2 * health.failures, health.detail)
        target = _target(state, record, seen, self._clock.now_ms())
        if target is not None and target.port_number is not None:
            inside = await inspect(state, record, seen, timeout_s=EXPLAIN_TIMEOUT_S)
            self._world.explanations[record.id] = explain(inside) if inside else ""

    def _as_seen(self) -> Observed:
        return Observed(instances=None, served=None, health=self._world.health)

    async def last_lines(self, instance_id: str) -> str:
        """The last lines an instance printed; "" when they cannot be had in time."""
        lines: list[str] = []
        try:
            async with asyncio.timeout(LAST_WORDS_TIMEOUT_S):
                async for line in self._engine.logs(instance_id, tail=LAST_WORDS_LINES):
                    text = line.text[:400]
                    lines.append(f"{line.container}: {text}" if line.container else text)
        except (PortwayError, TimeoutError) as error:
            log.info("last_words_unreadable", instance=instance_id, error=str(error))
        return "\n".join(lines[-LAST_WORDS_LINES:])

    def new_probe_targets(self, app_id: str) -> dict[str, ProbeTarget] | None:
        """What to probe of the App from now on; None where it cannot be told, or stays what it is."""
        state, seen = self._world.apps.get(app_id), self._world.seen(app_id)
        if seen is None:
            return None
        if state is None:
            return {}
        before = self._probed.get(app_id)
        if before is not None and before[0] is state and before[1] is seen:
            return None
        self._probed[app_id] = (state, seen)
        return self.probe_targets(app_id)

    def probe_targets(self, app_id: str) -> dict[str, ProbeTarget]:
        """The checks of the App's running instances that may become or stay healthy, by key."""
        targets: dict[str, ProbeTarget] = {}
        state = self._world.apps.get(app_id)
        seen = self._world.seen(app_id) or {}
        for record in state.instances if state else ():
            instance = seen.get(record.id)
            if record.phase >= Phase.DRAINING or instance is None or state is None:
                continue
            target = _target(state, record, instance, self._clock.now_ms())
            if target is not None:
                for one in _checks_of(state, record, instance, target):
                    targets[one.key] = one
                if readiness := _readiness_target(state, record, instance, target):
                    targets[readiness.key] = readiness
        return targets


def _apps_of(state: AppState) -> Iterator[App]:
    """The App as it is wanted, and as its instances run it."""
    if state.target is not None:
        yield state.target.app
    for record in state.instances:
        revision = state.revisions.get(record.identity.revision)
        if record.phase is not Phase.GONE and revision is not None:
            yield revision.app


def _why_unseen(part: str, error: Exception) -> str:
    if isinstance(error, PortwayError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"the {part} does not answer"
    log.error("looking_broke", part=part, exc_info=error)
    return f"portway could not read what the {part} says ({type(error).__name__}); see the log"


def _target(
    state: AppState, record: InstanceRecord, seen: ObservedInstance, now_ms: int
) -> ProbeTarget | None:
    revision = state.revisions.get(record.identity.revision)
    if seen.state is not EngineState.RUNNING or revision is None:
        return None
    check = revision.app.health
    started = record.started_at_ms or now_ms  # by our clock; the engine's may be another
    return ProbeTarget(
        instance_id=record.id,
        check=check,
        address=seen.address,
        port_number=_checked_port(revision.app, check, record, seen),
        started_at_ms=started,
        engine_health=seen.engine_health,
        is_proven=record.phase >= Phase.READY,
    )


def _checks_of(
    state: AppState, record: InstanceRecord, seen: ObservedInstance, first: ProbeTarget
) -> tuple[ProbeTarget, ...]:
    """Every health check of an instance, the App's first one as it is."""
    app = state.revisions[record.identity.revision].app
    first = replace(first, of=1 + len(app.further_checks))
    others = (
        replace(
            first,
            check=check,
            port_number=_checked_port(app, check, record, seen),
            engine_health="",
            nth=nth,
        )
        for nth, check in enumerate(app.further_checks, start=1)
    )
    return (first, *others)


def _readiness_target(
    state: AppState, record: InstanceRecord, seen: ObservedInstance, health: ProbeTarget
) -> ProbeTarget | None:
    """The same instance, asked whether it is ready; None where its App has no check for that."""
    app = state.revisions[record.identity.revision].app
    check = app.readiness
    if check is None:
        return None
    return replace(
        health,
        check=check,
        port_number=_checked_port(app, check, record, seen),
        engine_health="",
        is_readiness=True,
    )


def _checked_port(
    app: App, check: HealthCheck, record: InstanceRecord, seen: ObservedInstance
) -> int | None:
    """The port a check asks: the one it names, or the first of TCP; None where there is none to ask."""
    if check.kind in (CheckKind.NONE, CheckKind.COMMAND):
        return None
    held = {lease.port_name for lease in record.identity.leases}
    for spec in app.ports:
        is_there = spec.name in held or not spec.leased
        if spec.protocol is Protocol.TCP and is_there and check.port_name in (None, spec.name):
            return number_of(record, app, spec, reaches_container=seen.reaches_container)
    return None


def _by_app(seen: tuple[ObservedInstance, ...]) -> dict[str, dict[str, ObservedInstance]]:
    found: dict[str, dict[str, ObservedInstance]] = {}
    for instance in seen:
        found.setdefault(instance.identity.app_id, {})[instance.id] = instance
    return found


def _is_served_alike(
    before: Mapping[RouteKey, ServedRoute] | None, after: Mapping[RouteKey, ServedRoute] | None
) -> bool:
    if before is None or after is None or before.keys() != after.keys():
        return False
    return all(serves_alike(before[key], route) for key, route in after.items())


def _differences(before: Mapping[str, T] | None, after: dict[str, T]) -> set[str]:
    """What is not as it was. What is, becomes the very value it was: to see that costs nothing from then on."""
    if before is None:
        return set(after)
    changed = before.keys() - after.keys()
    for key, value in after.items():
        known = before.get(key)
        if known is not None and known == value:
            after[key] = known
        else:
            changed.add(key)
    return changed
