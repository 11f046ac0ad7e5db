"""The controller: observe -> reconcile -> save the decisions -> act. The only `while True` of portway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import structlog

from portway.balancers.base import Balancer
from portway.controller.balancing.balancing import Addresses, Balancing
from portway.controller.clock import Clock
from portway.controller.ecs.scribe import Scribe
from portway.controller.executor import Executor
from portway.controller.health.probes import Checker, Prober
from portway.controller.journal import Journal, blocked, gist
from portway.controller.observer import Observer
from portway.controller.ownership import Ownership
from portway.controller.policing import PolicyFile
from portway.controller.ports.leases import Leases, adopted_leases, listener_leases
from portway.controller.rest import Rest
from portway.controller.saving import Doubts, to_the_end
from portway.controller.settle import is_unsettled, settle_stack
from portway.controller.strangers import clear_away, lingering
from portway.controller.telemetry.access_log import AccessLog
from portway.controller.telemetry.metrics import Metrics
from portway.controller.telemetry.receipts import Receipts
from portway.controller.world import World, app_of
from portway.core.errors import BalancerError, StoreError
from portway.core.instance import Phase
from portway.core.ownership import ALWAYS
from portway.core.plan import Blocked, Plan
from portway.core.reconcile import reconcile
from portway.core.request import ServedRequest
from portway.core.resume import resumed
from portway.core.state import AppState
from portway.engines.base import InstanceEngine
from portway.store.base import Batch, Store

log = structlog.get_logger()

RESYNC_S = 5.0
LOOKED_AT_MAX = 30  # Apps and instances in one go: less than a millisecond
CLAIM_TRIES = 50
CLAIM_AGAIN_MS = 500
STORE_RETRY_MS = 1000
FORGET_TIMEOUT_S = 20.0
RECALLED = 1000  # of the newest events


class Controller:
    """Drives every App towards its target. One App is looked at at a time; actions run beside it."""

    def __init__(
        self,
        *,
        engine: InstanceEngine,
        balancer: Balancer,
        store: Store,
        leases: Leases,
        checker: Checker,
        clock: Clock,
        publish_address: str,
        access_log: AccessLog | None = None,
        policy: PolicyFile | None = None,
        addresses: Addresses | None = None,
        target_checker: Checker | None = None,
    ) -> None:
        self.engine, self.balancer, self.store = engine, balancer, store
        self.leases, self.clock, self.world = leases, clock, World()
        self.journal, self.metrics, self.ownership = Journal(), Metrics(), Ownership()
        self.rest = Rest(self.world)
        self.access_log = access_log or AccessLog(None)
        self.policy = policy or PolicyFile(None)
        self.lock, self.is_open = asyncio.Lock(), False
        self.looked = asyncio.Event()  # everything was looked at once
        self.noticed: Callable[[Sequence[str]], None] = _nobody  # who else wants to know of changes
        self._dirty: set[str] = set()
        self._wakes: dict[str, int] = {}
        self._journalled: dict[str, frozenset[str]] = {}
        self._signal = asyncio.Event()
        self._doubts = Doubts()
        self.prober = Prober(
            checker,
            clock,
            self.world.health,
            self._health_changed,
            readiness=self.world.readiness,
            parts=self.world.checks,
            metrics=self.metrics,
        )
        self.executor = self._make_executor()
        self.balancing = Balancing(
            self.world,
            store.documents,
            clock,
            addresses=addresses,
            touch=self.touch,
            checker=target_checker,
        )
        self.observer = Observer(
            self.world,
            engine,
            balancer,
            clock,
            publish_address=publish_address,
            balancing=self.balancing,
            metrics=self.metrics,
        )
        self.receipts = Receipts(self, also_reported=lambda: self.access_log.owners)
        self.scribe = Scribe(self, self.balancing)
        balancer.take_requests(self._take_requests)
        balancer.when_back(self.touch_all)

    def _make_executor(self) -> Executor:
        return Executor(
            self.world,
            self.engine,
            self.balancer,
            self.clock,
            engine_changed=self._engine_changed,
            routes_changed=self._routes_changed,
            metrics=self.metrics,
            ownership=self.ownership,
            policy=self.policy,
        )

    async def open(self) -> None:
        """Take over where the last controller stopped; nothing that runs is touched."""
        now_ms = self.clock.now_ms()
        found = await self.store.load()
        snapshot = replace(found, apps=tuple(resumed(state, now_ms) for state in found.apps))
        self.world.restore(snapshot)
        self.leases.restore(snapshot.apps, snapshot.cooling, now_ms=now_ms)
        self.world.recall(await self.store.events(after=-1, limit=RECALLED))
        past = await self.store.past(at_ms=ALWAYS)
        self.ownership.restore(past, snapshot.apps, now_ms=now_ms)
        self.access_log.note(Batch(apps=snapshot.apps))
        self.receipts.resume()
        await self.balancing.open(self.serve_certificates)
        self.scribe.resume()
        await self.observer.marks.load(self.store.documents)
        with suppress(BalancerError):
            await self.serve_certificates()
        self.is_open = True

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.executor.run())
            group.create_task(self.prober.run())
            group.create_task(self.balancing.run())
            group.create_task(self.receipts.run())
            group.create_task(self.scribe.run())
            group.create_task(self._watch_engine())
            group.create_task(self._resync())
            group.create_task(self._work())

    def touch(self, *app_ids: str) -> None:
        """Look at these Apps again soon."""
        if app_ids:
            self._dirty.update(app_ids)
            self._signal.set()
            self.noticed(app_ids)

    def touch_all(self) -> None:
        """Look at every App again, at what belongs to none, and at all that is served."""
        self.observer.served_is_stale = True
        self.touch(*self.world.apps, *(self.world.instances or ()), *(self.world.served or ()))

    async def serve_certificates(self) -> None:
        """A balancer that does not take them now is asked again; it serves what it has meanwhile."""
        try:
            found = (*self.world.certificates.values(), *self.balancing.certificates.values())
            await self.balancer.certificates(found)
            self.world.problems.pop("certificates", None)
        except BalancerError as error:
            self.world.problems["certificates"] = str(error)
            raise

    async def save(self, batch: Batch, *, then: Callable[[], None] | None = None) -> None:
        """Save, then remember: the one way anything stored is changed. The caller holds `lock`.

        `then` happens in the same moment, so that nobody sees the one without the other.
        """
        # What is stored and what is remembered must not part.
        await to_the_end(self._save_whole(batch, then))

    async def _save_whole(self, batch: Batch, then: Callable[[], None] | None) -> None:
        batch = self._doubts.settled(batch, self.world)
        entry = self.ownership.enter(batch, now_ms=self.clock.now_ms())
        try:
            with self.metrics.saving():
                events = await self.store.save(entry.batch)
        except StoreError:
            self._doubts.note(batch)
            raise
        self._doubts.forget()
        self.ownership.saved(entry)
        self.metrics.note_saved(batch.apps, self.world.apps, events)
        self.world.problems.pop("store", None)
        self.world.remember(batch)
        self.access_log.note(batch)
        self.receipts.note(batch)
        self.scribe.note(batch)
        if then is not None:
            then()
        self.touch(*(state.app_id for state in batch.apps))
        self.journal.publish(events)

    @asynccontextmanager
    async def changing(self) -> AsyncGenerator[World]:
        """Alone with what is stored: no App is planned meanwhile."""
        async with self.lock:
            yield self.world

    def _take_requests(self, requests: Sequence[ServedRequest], skipped: int) -> None:
        self.receipts.measure(requests, skipped)
        self.access_log.write(requests)

    def _engine_changed(self, app_id: str) -> None:
        self.observer.engine_is_stale = True
        self.touch(app_id)

    def _routes_changed(self, app_id: str) -> None:
        for name in (app_id, *self.balancing.apps_of(app_id)):
            self.observer.note_routes_changed(name)
            self.touch(name)

    def _health_changed(self, instance_id: str) -> None:
        self.metrics.event_seen(app_of(instance_id), "health")
        self.touch(app_of(instance_id))

    async def _watch_engine(self) -> None:
        while True:
            try:
                async for change in self.engine.changes():
                    self.observer.engine_is_stale = True
                    if change.instance_id:
                        self.metrics.event_seen(app_of(change.instance_id), "engine")
                        self.touch(app_of(change.instance_id))
                    else:
                        self.touch_all()
            except Exception:
                log.exception("watching_the_engine_broke")
            # Without hints there is still the look every few seconds.
            await asyncio.sleep(RESYNC_S)

    async def _resync(self) -> None:
        """Events can be lost; a full look every few seconds makes that harmless."""
        while True:
            self.observer.engine_is_stale = True
            self.observer.served_is_stale = True
            self.touch(*self.rest.restless())
            self._signal.set()
            if self.ownership.waiting:  # confirmed by the balancer, and no decision took it along
                with suppress(StoreError):
                    async with self.lock:
                        await self.save(Batch())
            if "certificates" in self.world.problems:
                with suppress(BalancerError):
                    await self.serve_certificates()
            await asyncio.sleep(RESYNC_S)

    async def _work(self) -> None:
        while True:
            await self._wait()
            await self.work_once()

    async def work_once(self) -> None:
        """One round: look, and decide for every App whose time has come."""
        with self.metrics.passing():
            await self._observe()
            looked_at = 0
            for app_id in self._due():
                await self._step_guarded(app_id)
                state = self.world.apps.get(app_id)
                looked_at += 1 + (len(state.instances) if state else 0)
                # A long round must not keep callers and checks waiting.
                if looked_at >= LOOKED_AT_MAX:
                    looked_at = 0
                    await asyncio.sleep(0)
            await asyncio.sleep(0)
        self.looked.set()

    async def _wait(self) -> None:
        """Until something changed or an App's time has come."""
        if not self._dirty:
            wake_at_ms = min(self._wakes.values(), default=None)
            timeout_s = None
            if wake_at_ms is not None:
                timeout_s = max(0.0, (wake_at_ms - self.clock.now_ms()) / 1000)
            try:
                async with asyncio.timeout(timeout_s):
                    await self._signal.wait()
            except TimeoutError:
                pass
        self._signal.clear()

    def _ripe(self) -> set[str]:
        """The Apps whose time has come, and those that something happened to."""
        now_ms = self.clock.now_ms()
        return self._dirty | {app_id for app_id, at_ms in self._wakes.items() if at_ms <= now_ms}

    def _due(self) -> list[str]:
        """The Apps to look at now. One whose routes are being changed is touched again when they are."""
        # An App whose routes were changed after the balancer was last read waits for the next reading.
        due = self._ripe() - self.observer.unread
        self._dirty &= self.observer.unread
        self.metrics.queue_length = len(due)
        for app_id in due:
            self._wakes.pop(app_id, None)
        return sorted(app_id for app_id in due if not self._is_being_routed(app_id))

    def _is_being_routed(self, app_id: str) -> bool:
        """Whether its Routes, or those of a load balancer it is behind, are being changed; it is touched when they are."""
        state = self.world.apps.get(app_id)
        owners = self.balancing.owners_of(state) if state is not None else ()
        return any(self.executor.is_applying(owner) for owner in (app_id, *owners))

    async def _observe(self) -> None:
        self.touch(*await self.observer.refresh(self._ripe()))
        self.receipts.look()
        for app_id in self._ripe():
            targets = self.observer.new_probe_targets(app_id)
            if targets is not None:
                self.prober.sync(app_id, targets)

    async def _step_guarded(self, app_id: str) -> None:
        try:
            async with self.lock:
                with self.metrics.stepping():
                    await self._step(app_id)
        except StoreError as error:
            self.metrics.failed("store")
            log.error("store_failed", error=str(error))
            self.world.problems["store"] = str(error)
            self._wakes[app_id] = self.clock.now_ms() + STORE_RETRY_MS
        except Exception:
            # Ours to mend; this App's loop stops and shouts, the others go on.
            log.exception("planning_broke", app=app_id)
            self.metrics.failed("planning")
            self.world.problems[app_id] = "planning this app failed inside portway; see the log"
            self._wakes[app_id] = self.clock.now_ms() + 10_000

    async def _step(self, app_id: str) -> None:
        """One look at one App."""
        if self.balancing.is_owner(app_id):
            self._look_at_balancer(app_id)
            return
        state = self.world.apps.get(app_id)
        self.executor.perform(clear_away(self.world, app_id))
        if state is None:
            return
        await self.observer.fetch_last_words(state)
        self.metrics.event_planned(app_id)
        plan = self._plan(state)
        changed = plan.state is not state and plan.state != state
        if changed or plan.events:
            try:
                await self._save_plan(plan)
            except BaseException:
                if self.world.apps.get(app_id) is state:  # else it was saved all the same
                    self.leases.unclaim(plan.taken)
                raise
        self.world.problems.pop(app_id, None)
        self.executor.perform(plan.actions)
        if not self.executor.is_applying(app_id):
            self.metrics.event_settled(app_id)
        if plan.wake_at_ms is not None:
            self._wakes[app_id] = plan.wake_at_ms
        stack = app_id.rpartition("/")[0]
        waits = is_unsettled(self.world.stacks.get(stack), plan.state)
        self.rest.note(app_id, plan, settled=not waits)
        if changed:
            self.touch(*self.balancing.owners_of(plan.state))
        if changed or waits:
            self.touch(*(s.app_id for s in self.world.dependents(plan.state)))
            await self.settle(stack)
        await self._note_blocked(app_id, plan)

    def _look_at_balancer(self, owner: str) -> None:
        look = self.balancing.look(owner)
        self.executor.perform(look.actions)
        if look.wake_at_ms is not None:
            self._wakes[owner] = look.wake_at_ms

    def _note_leases(self, plan: Plan) -> None:
        """The decisions are saved: ports change hands, and those an engine found taken are kept away from."""
        now_ms, app_id = self.clock.now_ms(), plan.state.app_id
        self.leases.take(plan.taken, app_id)
        self.leases.free(plan.freed, app_id, now_ms=now_ms)
        for record in plan.state.instances:
            failure = self.world.start_failures.get(record.id)
            if failure is not None and failure.port_taken and record.phase is Phase.GONE:
                for lease in record.identity.leases:
                    self.leases.refuse(lease, failure.reason, now_ms=now_ms)
        self.world.forget_gone(plan.state)

    def _plan(self, state: AppState) -> Plan:
        """A plan whose ports are really free: claimed, and bind-tested in the kernel."""
        why = ""
        for _ in range(CLAIM_TRIES):
            now_ms = self.clock.now_ms()
            observed = self.observer.observed(
                state,
                occupied=self.leases.occupied(now_ms=now_ms),
                underway=self.executor.underway(state),
            )
            plan = reconcile(
                state,
                observed,
                host_pool=self.leases.host_pool,
                service_pool=self.leases.service_pool,
                now_ms=now_ms,
            )
            adopted = adopted_leases(state, plan.state, self.world.seen(state.app_id) or {})
            new = [lease for lease in plan.taken if lease not in adopted]
            why = self.leases.claim_all(new, now_ms=now_ms)
            if not why:
                self.leases.claim_running(adopted)
                return plan
            log.info("host_port_skipped", app=state.app_id, why=why)
        # Those refused are kept away from for a while, so the range is gone through in the end.
        reason = f"many host ports in a row are taken, the last one: {why}; others are tried"
        return Plan(
            state=state,
            blocked=(Blocked(app_id=state.app_id, reason=reason),),
            wake_at_ms=self.clock.now_ms() + CLAIM_AGAIN_MS,
        )

    async def _save_plan(self, plan: Plan) -> None:
        now_ms = self.clock.now_ms()
        changed = plan.taken or plan.freed
        await self.save(
            Batch(
                apps=(plan.state,),
                events=plan.events,
                cooling=self.leases.cooling_with(plan.freed, now_ms=now_ms) if changed else None,
            ),
            then=lambda: self._note_leases(plan),
        )

    async def _note_blocked(self, app_id: str, plan: Plan) -> None:
        """A reason is journalled when it is new, not each time it is met again."""
        if app_id not in self.world.apps:
            return
        reasons = self.world.note_blocked(app_id, plan.blocked)
        known = self._journalled.get(app_id, frozenset())
        fresh = [one for one in plan.blocked if gist(one.reason) not in known]
        if fresh:
            now_ms = self.clock.now_ms()
            await self.save(Batch(events=tuple(blocked(one, now_ms=now_ms) for one in fresh)))
        self._journalled[app_id] = frozenset(map(gist, reasons))

    async def settle(self, stack_name: str) -> None:
        """Do what the end of an App's deployment means for its stack. The caller holds `lock`."""
        stack = self.world.stacks.get(stack_name)
        if stack is None:
            return
        states = self.world.of_stack(stack.name)
        left = lingering(self.world, states, self.executor.is_applying)
        batch = settle_stack(stack, states, now_ms=self.clock.now_ms(), lingering=left)
        if batch is None:
            return
        if stack.name in batch.deleted_stacks:
            batch = replace(batch, deleted_certificates=self.world.certificates_of(stack.name))
        # Who is told that a stack is gone may end the server at once; what it had outside goes all the same.
        await to_the_end(self._carry_out(batch, states, stack.name))

    async def _carry_out(self, batch: Batch, states: Sequence[AppState], stack: str) -> None:
        forgotten = [state for state in states if state.app_id in batch.deleted_apps]
        await self.save(batch, then=lambda: self._forget_apps(forgotten))
        await self.balancing.forget(forgotten)
        self.touch(*(state.app_id for state in self.world.of_stack(stack)))
        if stack in batch.deleted_stacks:
            await self.forget_stack(stack)

    def _forget_apps(self, states: Sequence[AppState]) -> None:
        for state in states:
            self.leases.free(listener_leases(state), state.app_id, now_ms=self.clock.now_ms())
            self._journalled.pop(state.app_id, None)
            self._wakes.pop(state.app_id, None)
        self.noticed([state.app_id for state in states])

    async def forget_stack(self, stack: str) -> None:
        """Delete what the world outside still has of a stack that is deleted."""
        try:
            async with asyncio.timeout(FORGET_TIMEOUT_S):
                with suppress(BalancerError):
                    await self.serve_certificates()
                await self.engine.remove_stack(stack)
        except Exception as error:  # what stays behind is an empty network, not the user's data
            log.warning("stack_left_behind", stack=stack, error=str(error))


def _nobody(app_ids: Sequence[str]) -> None:
    """Before anybody wants to know."""
