"""Probes: ask every running instance whether it is well, and keep the judge's verdict on each.

Fast at first (`start_interval_s`), then at the check's own pace. A checker that fails itself says
nothing about the App: the verdict stays as it was.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from portway.controller.clock import Clock
from portway.controller.metrics import CHECKS, Metrics
from portway.core.app import CheckKind, HealthCheck
from portway.core.health import CheckResult, Health, HealthStatus, judge
from portway.engines.base import InstanceEngine

log = structlog.get_logger()

STATUS_LINE_BYTES_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTarget:
    """One instance to check. `address`/`port_number` are its own endpoint and nothing else (no SSRF)."""

    instance_id: str
    check: HealthCheck
    address: str
    port_number: int | None
    started_at_ms: int
    engine_health: str = ""


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
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

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
            case CheckKind.TCP:
                return await self._connected(target, http=False)
            case CheckKind.HTTP | CheckKind.HTTPS:
                return await self._connected(target, http=True)

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
        output = result.output.strip().splitlines()
        said = f": {output[-1][:200]}" if output else ""
        return result.exit_code == 0, f"the health command exited with {result.exit_code}{said}"

    async def _connected(self, target: ProbeTarget, *, http: bool) -> tuple[bool, str]:
        where = f"{target.address}:{target.port_number}"
        if not target.address or target.port_number is None:
            return False, "it has no address yet"
        try:
            async with asyncio.timeout(target.check.timeout_s):
                return await (self._http(target) if http else self._tcp(target, where))
        except TimeoutError:
            return False, f"no answer from {where} within {target.check.timeout_s:g} s"
        except ConnectionRefusedError:
            return False, f"nothing listens on {where} (connection refused)"
        except (OSError, ssl.SSLError) as error:
            return False, f"{where}: {error.strerror or error}"

    async def _tcp(self, target: ProbeTarget, where: str) -> tuple[bool, str]:
        _, writer = await asyncio.open_connection(target.address, target.port_number)
        writer.close()
        return True, f"{where} accepts connections"

    async def _http(self, target: ProbeTarget) -> tuple[bool, str]:
        check = target.check
        tls = self._tls if check.kind is CheckKind.HTTPS else None
        reader, writer = await asyncio.open_connection(
            target.address, target.port_number, ssl=tls, limit=STATUS_LINE_BYTES_MAX
        )
        try:
            head = f"GET {check.path} HTTP/1.1\r\nHost: {target.address}:{target.port_number}\r\n"
            writer.write(f"{head}User-Agent: portway-health\r\nConnection: close\r\n\r\n".encode())
            status = _status_of(await reader.readline())
        except (ValueError, asyncio.LimitOverrunError):
            status = None
        finally:
            writer.close()
        if status is None:
            return False, f"the answer from {check.path} is not HTTP"
        passed = check.status_min <= status <= check.status_max
        return passed, f"HTTP {status} from {check.path}"


def _status_of(line: bytes) -> int | None:
    parts = line.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/") or not parts[1].isdigit():
        return None
    return int(parts[1])


class Prober:
    """One task an instance; `on_change` is told whenever a verdict changes."""

    def __init__(
        self,
        checker: Checker,
        clock: Clock,
        health: dict[str, Health],
        on_change: Callable[[str], None],
        *,
        metrics: Metrics | None = None,
    ) -> None:
        self._checker = checker
        self._clock = clock
        self._health = health
        self._on_change = on_change
        self._metrics = metrics or Metrics()
        self._targets: dict[str, ProbeTarget] = {}
        self._ids: dict[str, frozenset[str]] = {}  # by App
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Probe until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._begin(self._targets)
            await asyncio.Event().wait()

    def sync(self, app_id: str, targets: Mapping[str, ProbeTarget]) -> None:
        """Of this App, probe exactly these from now on."""
        for instance_id in self._ids.pop(app_id, frozenset()) - targets.keys():
            self._targets.pop(instance_id, None)
            self._health.pop(instance_id, None)
            if task := self._tasks.pop(instance_id, None):
                task.cancel()
        if targets:
            self._ids[app_id] = frozenset(targets)
            self._targets.update(targets)
            self._begin(targets)

    def _begin(self, instance_ids: Iterable[str]) -> None:
        for instance_id in instance_ids:
            task = self._tasks.get(instance_id)
            if self._group is not None and (task is None or task.done()):
                self._tasks[instance_id] = self._group.create_task(self._probe(instance_id))

    async def _probe(self, instance_id: str) -> None:
        while (target := self._targets.get(instance_id)) is not None:
            await self._probe_once(target)
            health = self._health.get(instance_id, Health())
            check = target.check
            starting = health.status is HealthStatus.UNKNOWN
            first = starting and check.start_interval_s < check.interval_s
            await asyncio.sleep(check.start_interval_s if first else check.interval_s)

    async def _probe_once(self, target: ProbeTarget) -> None:
        try:
            passed, detail = await self._checker.check(target)
        except Exception as error:  # a broken checker must not condemn the App
            log.warning("check_failed_itself", instance=target.instance_id, error=str(error))
            self._metrics.count(CHECKS, "broken")
            return
        self._metrics.count(CHECKS, "passed" if passed else "failed")
        before = self._health.get(target.instance_id, Health())
        result = CheckResult(at_ms=self._clock.now_ms(), passed=passed, detail=detail)
        after = judge(before, result, target.check, started_at_ms=target.started_at_ms)
        if target.instance_id not in self._targets:
            return
        self._health[target.instance_id] = after
        if after.status is not before.status:
            self._on_change(target.instance_id)
