"""Probes: ask every running instance whether it is well and ready, and keep the judge's verdict on each.

Fast at first (`start_interval_s`), then at the check's own pace, counted from start to start. The checks of many
instances are spread over their interval, and a slow one holds up nobody else. A checker that fails itself says
nothing about the App: the verdict stays as it was.
"""

from __future__ import annotations

import asyncio
import heapq
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol
from zlib import crc32

import structlog

from portway.controller.clock import Clock
from portway.controller.health.asker import Asker
from portway.controller.health.checks import CheckNotMadeError, ours
from portway.controller.telemetry.metrics import CHECKS, Metrics
from portway.core.app import CheckKind, HealthCheck
from portway.core.errors import EngineError, EngineErrorKind
from portway.core.health import (
    CheckResult,
    Health,
    HealthStatus,
    judge,
    matches_status,
    together,
    unjudged,
)
from portway.engines.base import InstanceEngine

log = structlog.get_logger()

NETWORK_CHECKS_MAX = 1024
# A command is a process in the instance and, in Docker, three calls of its API.
COMMAND_CHECKS_MAX = 16
TICK_S = 0.005
BROKEN_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTarget:
    """One check of one instance. `address`/`port_number` are its own endpoint and nothing else (no SSRF).

    `is_readiness`: it is asked whether it wants traffic, not whether it is well. `is_proven`: it has passed
    before, perhaps in the time of another controller, and is taken at its word until it fails.
    """

    instance_id: str
    check: HealthCheck
    address: str
    port_number: int | None
    started_at_ms: int
    engine_health: str = ""
    is_readiness: bool = False
    is_proven: bool = False
    subject: str = ""  # the instance behind it, where it is not `instance_id` itself
    nth: int = 0  # which of the App's health checks it is
    of: int = 1  # how many it has

    @property
    def key(self) -> str:
        """What tells its checks apart."""
        if self.is_readiness:
            return f"{self.instance_id} readiness"
        return f"{self.instance_id} check {self.nth}" if self.nth else self.instance_id


class Checker(Protocol):
    """Asks one instance once."""

    async def check(self, target: ProbeTarget) -> tuple[bool, str]:
        """(passed, a sentence about the answer). Raises only when the asking itself is broken."""
        ...


class NetworkChecker:
    """Checks over the network and, for commands, inside the instance."""

    def __init__(self, engine: InstanceEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._asker = Asker("portway-health")

    async def check(self, target: ProbeTarget) -> tuple[bool, str]:
        if target.engine_health in ("starting", "unhealthy"):
            return False, f"the image's own health check says {target.engine_health}"
        match target.check.kind:
            case CheckKind.NONE:
                return True, "not checked"
            case CheckKind.COMMAND:
                return await self._command(target)
            case CheckKind.TCP if target.port_number is None:
                return self._settled(target)
            case CheckKind.TCP | CheckKind.HTTP | CheckKind.HTTPS | CheckKind.TLS:
                return await self._connected(target)

    def _settled(self, target: ProbeTarget) -> tuple[bool, str]:
        age_s = (self._clock.now_ms() - target.started_at_ms) / 1000
        if age_s >= target.check.settle_s:
            return True, f"it has run for {age_s:.0f} s"
        return False, f"it has run for only {age_s:.1f} s"

    async def _command(self, target: ProbeTarget) -> tuple[bool, str]:
        timeout_s = target.check.timeout_s
        try:
            result = await self._engine.run_check(
                target.instance_id, target.check.command, timeout_s=timeout_s
            )
        except TimeoutError:
            return False, f"the health command took longer than {timeout_s:g} s"
        except EngineError as error:
            if error.kind == EngineErrorKind.BAD_COMMAND:
                return False, f"the health command could not be run: {error.message}"
            raise CheckNotMadeError(error.message) from error
        output = result.output.strip().splitlines()
        said = f": {output[-1][:200]}" if output else ""
        return result.exit_code == 0, f"the health command exited with {result.exit_code}{said}"

    async def _connected(self, target: ProbeTarget) -> tuple[bool, str]:
        if not target.address or target.port_number is None:
            return False, "it has no address yet"
        where = f"{target.address}:{target.port_number}"
        try:
            status = await self._asker.ask(target.check, target.address, target.port_number)
            if target.check.kind in (CheckKind.TCP, CheckKind.TLS):
                return True, f"{where} accepts connections"
            return _judged(target.check, status)
        except TimeoutError:
            return False, f"no answer from {where} within {target.check.timeout_s:g} s"
        except ConnectionRefusedError:
            return False, f"nothing listens on {where} (connection refused)"
        except (OSError, ssl.SSLError) as error:
            if mine := ours(error):
                raise mine from error
            return False, f"{where}: {error.strerror or error}"


def _judged(check: HealthCheck, status: int | None) -> tuple[bool, str]:
    if status is None:
        return False, f"the answer from {check.path} is not HTTP"
    return matches_status(check.statuses, status), f"HTTP {status} from {check.path}"


def _nobody(instance_id: str, nth: int) -> None:
    """Whoever does not want to know."""


class Prober:
    """One timer for all of them, one short task a check; `on_change` is told whenever a verdict changes.

    `on_failed` is told of every failed health check that counts (none of start-up), by instance and which of its checks.
    """

    def __init__(
        self,
        checker: Checker,
        clock: Clock,
        health: dict[str, Health],
        on_change: Callable[[str], None],
        *,
        readiness: dict[str, Health] | None = None,
        parts: dict[str, dict[int, Health]] | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._checker = checker
        self._clock = clock
        self._health = health
        self._readiness: dict[str, Health] = {} if readiness is None else readiness
        self._on_change = on_change
        self.on_failed: Callable[[str, int], None] = _nobody
        self._metrics = metrics or Metrics()
        self._network_room = asyncio.Semaphore(NETWORK_CHECKS_MAX)
        self._command_room = asyncio.Semaphore(COMMAND_CHECKS_MAX)
        self._targets: dict[str, ProbeTarget] = {}
        self._keys: dict[str, frozenset[str]] = {}  # by App
        # By instance, where it has several checks.
        self._parts: dict[str, dict[int, Health]] = {} if parts is None else parts
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._due: dict[str, float] = {}  # by the loop's clock
        self._queue: list[tuple[float, str]] = []  # what is not as in `_due` no longer counts
        self._timer: asyncio.TimerHandle | None = None
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Probe until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for target in self._targets.values():
                    self._begin(target)
                await asyncio.Event().wait()
            finally:
                self._group = None
                if self._timer is not None:
                    self._timer.cancel()

    def sync(self, app_id: str, targets: Mapping[str, ProbeTarget]) -> None:
        """Of this App, probe exactly these from now on; they come by their key."""
        for key in self._keys.pop(app_id, frozenset()) - targets.keys():
            self._forget(key)
        if targets:
            self._keys[app_id] = frozenset(targets)
            for key, target in targets.items():
                is_new = key not in self._targets
                self._targets[key] = target
                is_asked = key in self._due or key in self._tasks
                if self._group is not None and (
                    is_new or not (is_asked or self._is_settled(target))
                ):
                    self._begin(target)

    def _forget(self, key: str) -> None:
        target = self._targets.pop(key, None)
        self._due.pop(key, None)
        if target is not None:
            self._verdicts(target).pop(target.instance_id, None)
            if target.of > 1:
                self._parts.pop(target.instance_id, None)
        if task := self._tasks.pop(key, None):
            task.cancel()

    def _verdicts(self, target: ProbeTarget) -> dict[str, Health]:
        return self._readiness if target.is_readiness else self._health

    def _verdict(self, target: ProbeTarget) -> Health:
        known = self._verdicts(target).get(target.instance_id)
        if target.of > 1:
            known = self._parts.get(target.instance_id, {}).get(target.nth)
        if known is not None:
            return known
        status = HealthStatus.PASSING if target.is_proven else HealthStatus.UNKNOWN
        return Health(status=status, since_ms=target.started_at_ms)

    def _settle(self, target: ProbeTarget, verdict: Health) -> bool:
        """Keep the verdict of one check; whether the instance is now judged otherwise."""
        before = self._verdicts(target).get(target.instance_id) or self._verdict(target)
        if target.of > 1:
            parts = self._parts.setdefault(target.instance_id, {})
            parts[target.nth] = verdict
            unknown = Health(since_ms=target.started_at_ms)
            proven = replace(unknown, status=HealthStatus.PASSING) if target.is_proven else unknown
            verdict = together([parts.get(nth, proven) for nth in range(target.of)])
        self._verdicts(target)[target.instance_id] = verdict
        return verdict.status is not before.status

    def _begin(self, target: ProbeTarget) -> None:
        """A new one is asked at once, or after its delay; one that is proven, some time within its interval."""
        wait_s = target.check.delay_s - self._age_s(target)
        if target.is_proven:
            wait_s = target.check.interval_s * _share(target.key)
        self._schedule(target.key, asyncio.get_running_loop().time() + max(0.0, wait_s))

    def _age_s(self, target: ProbeTarget) -> float:
        return (self._clock.now_ms() - target.started_at_ms) / 1000

    def _schedule(self, key: str, at_s: float) -> None:
        self._due[key] = at_s
        heapq.heappush(self._queue, (at_s, key))
        if self._queue[0] == (at_s, key):
            self._arm()

    def _arm(self) -> None:
        """Wake for the first one due; those of a few milliseconds are taken together."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._queue and self._group is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(self._queue[0][0], loop.time()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        until_s = asyncio.get_running_loop().time() + TICK_S
        while self._queue and self._queue[0][0] <= until_s:
            at_s, key = heapq.heappop(self._queue)
            if self._group is not None and self._due.get(key) == at_s:
                del self._due[key]
                self._tasks[key] = self._group.create_task(self._probe(self._targets[key]))
        self._arm()

    async def _probe(self, target: ProbeTarget) -> None:
        key = target.key
        before = self._verdict(target)
        is_command = target.check.kind is CheckKind.COMMAND
        async with self._command_room if is_command else self._network_room:
            began_s = asyncio.get_running_loop().time()
            await self._probe_once(target)
        if key in self._targets:
            self._tasks.pop(key, None)
            if self._is_settled(self._targets[key]):
                return
            self._schedule(key, began_s + self._gap_s(self._targets[key], before))

    def _is_settled(self, target: ProbeTarget) -> bool:
        """Without a check, who has once been found well is so for as long as it runs: nobody is asked."""
        is_well = self._verdict(target).status is HealthStatus.PASSING
        return is_well and target.check.kind is CheckKind.NONE and not target.engine_health

    def _gap_s(self, target: ProbeTarget, before: Health) -> float:
        """From the start of one check to the start of the next."""
        check, now = target.check, self._verdict(target)
        if now.status is HealthStatus.UNKNOWN:
            # Fast while that saves somebody time: what starts for half a minute is not asked ten times a second.
            fast_s = max(check.start_interval_s, self._age_s(target) / 50)
            return min(check.interval_s, max(fast_s, BROKEN_PAUSE_S) if now.unchecked else fast_s)
        if before.status is HealthStatus.UNKNOWN:
            return check.interval_s * _share(target.key)  # what started together parts here
        return check.interval_s

    async def _probe_once(self, target: ProbeTarget) -> None:
        try:
            passed, detail = await self._checker.check(target)
        except Exception as error:  # a broken checker must not condemn the App
            self._metrics.count(CHECKS, "broken")
            self._note_unchecked(target, error)
            return
        self._metrics.count(CHECKS, "passed" if passed else "failed")
        if target.key not in self._targets:
            return
        before = self._verdict(target)
        result = CheckResult(at_ms=self._clock.now_ms(), passed=passed, detail=detail)
        after = judge(before, result, target.check, started_at_ms=target.started_at_ms)
        if not (passed or target.is_readiness or after.status is HealthStatus.UNKNOWN):
            self.on_failed(target.instance_id, target.nth)
        if self._settle(target, after):
            self._on_change(target.instance_id)

    def _note_unchecked(self, target: ProbeTarget, error: Exception) -> None:
        before = self._verdict(target)
        why = str(error) if isinstance(error, CheckNotMadeError) else _broken(error)
        if why != before.unchecked:
            log.warning("check_failed_itself", instance=target.instance_id, error=why)
        if target.key in self._targets:
            self._settle(target, unjudged(before, why))


def _broken(error: Exception) -> str:
    return f"portway could not make the check ({str(error) or type(error).__name__})"


def _share(key: str) -> float:
    """Where in its interval this one is asked: more than 0, at most 1, always the same and different from the others."""
    return (crc32(key.encode()) + 1) / 2**32
