"""Watched: one deployment while it runs, and what was seen of it: its instances, its requests, what they drained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from portway.core.instance import InstanceRecord
from portway.core.latency import Latencies
from portway.core.receipt import (
    AppReceipt,
    Receipt,
    drain_time_ms,
    failures,
    stage_times,
    took_part,
)
from portway.core.request import ServedRequest
from portway.core.state import AppState, DeploymentStatus
from portway.core.traffic import Traffic

NOT_WATCHED = "portway was restarted meanwhile: latencies and reasons are known only from then on"
NO_COUNTERS = "the balancer could not be read, so requests are not known"
NOT_HTTP = "latency is unknown: plain TCP has no requests to time"
NOT_TIMED = "latency is unknown: the balancer reported no request one by one"
COUNTED_ONLY = "some requests were only counted, there were too many to look at each"


@dataclass(slots=True, kw_only=True)
class WatchedApp:
    """What was seen of one App."""

    status: str = ""
    records: dict[str, InstanceRecord] = field(default_factory=dict)
    drained: dict[str, int] = field(default_factory=dict)  # connections by draining instance
    latencies: Latencies = field(default_factory=Latencies)
    failed: Counter[str] = field(default_factory=Counter)
    seen: int = 0
    aborted: int = 0
    streams: int = 0
    has_listener: bool = False
    baking_since_ms: int | None = None
    bakes: list[tuple[int, int]] = field(
        default_factory=list
    )  # of its steps so far, from when to when

    def note_baking(self, is_baking: bool, now_ms: int) -> None:
        """Take in whether a step is being observed."""
        if is_baking and self.baking_since_ms is None:
            self.baking_since_ms = now_ms
        elif not is_baking and self.baking_since_ms is not None:
            self.bakes.append((self.baking_since_ms, now_ms))
            self.baking_since_ms = None


@dataclass(slots=True, kw_only=True)
class Watched:
    """One deployment of a stack. `is_whole`: this process saw it begin."""

    stack: str
    deployment: str
    release: str
    started_at_ms: int
    is_whole: bool = True
    apps: dict[str, WatchedApp] = field(default_factory=dict)
    before: Mapping[str, Traffic] | None = None  # by App id
    skipped: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    ended_at_ms: int | None = None
    begun: bool = False
    tries: int = 0

    def note(self, state: AppState, now_ms: int) -> None:
        """Take in what was decided about one of its Apps."""
        app = self.apps.setdefault(state.app_id, WatchedApp())
        app.note_baking(_is_baking(state, self.deployment), now_ms)
        for record in state.instances:
            if took_part(record, started_at_ms=self.started_at_ms):
                app.records[record.id] = record

    def measure(self, request: ServedRequest) -> None:
        """Take in one request of one of its Apps."""
        app = self.apps[request.owner]
        app.seen += 1
        app.aborted += request.aborted
        app.streams += not request.is_http
        if request.failure:
            app.failed[request.failure] += 1
        if request.is_timed:
            app.latencies.add(request.total_ms)
            self.latencies.add(request.total_ms)

    def opening(self, before: Mapping[str, Traffic]) -> Receipt:
        """What is kept from the beginning, so that the next portway can go on from it."""
        return Receipt(
            deployment=self.deployment,
            release=self.release,
            started_at_ms=self.started_at_ms,
            before=before,
        )

    def receipt(self, after: Mapping[str, Traffic] | None) -> Receipt:
        """What it cost in the end."""
        ended_at_ms = self.ended_at_ms or self.started_at_ms
        p99_ms, worst_ms = _latency(self.latencies)
        return Receipt(
            deployment=self.deployment,
            release=self.release,
            status=self._status(),
            started_at_ms=self.started_at_ms,
            ended_at_ms=ended_at_ms,
            stages_ms=self._times(self.apps.values(), ended_at_ms),
            unknown=() if self.is_whole else (NOT_WATCHED,),
            apps=tuple(
                self._of_app(app_id, app, after, ended_at_ms)
                for app_id, app in sorted(self.apps.items())
            ),
            p99_ms=p99_ms,
            worst_ms=worst_ms,
        )

    def _status(self) -> str:
        """The worst of its Apps': one that failed takes the others back."""
        found = [app.status for app in self.apps.values()]
        return next((s for s in ("failed", "cancelled", "superseded") if s in found), "done")

    def _times(self, apps: Collection[WatchedApp], ended_at_ms: int) -> dict[str, int]:
        return stage_times(
            (record for app in apps for record in app.records.values()),
            started_at_ms=self.started_at_ms,
            ended_at_ms=ended_at_ms,
            bakes=[bake for app in apps for bake in app.bakes],
        )

    def _of_app(
        self, app_id: str, app: WatchedApp, after: Mapping[str, Traffic] | None, ended_at_ms: int
    ) -> AppReceipt:
        records = tuple(app.records.values())
        counted = self._counted(app_id, after)
        found = failures(
            app.failed, counted, all_seen=self.is_whole and app.seen >= counted.requests
        )
        p99_ms, worst_ms = _latency(app.latencies)
        return AppReceipt(
            app=app_id.rpartition("/")[2],
            status=app.status,
            stages_ms=self._times((app,), ended_at_ms),
            started=sum(1 for r in records if r.planned_at_ms >= self.started_at_ms),
            stopped=sum(1 for r in records if r.stopping_at_ms or r.gone_at_ms),
            requests=max(counted.requests, app.seen),
            failed=sum(one.count for one in found),
            failures=found,
            aborted=app.aborted if app.seen else counted.client_aborts,
            denied=counted.denied + counted.malformed,
            retried=counted.retried,
            timed=app.latencies.count,
            p99_ms=p99_ms,
            worst_ms=worst_ms,
            drained_connections=sum(app.drained.values()),
            drained_ms=drain_time_ms(records, ended_at_ms=ended_at_ms),
            unknown=self._unknown(app, counted, after),
        )

    def _counted(self, app_id: str, after: Mapping[str, Traffic] | None) -> Traffic:
        if after is None or self.before is None:
            return Traffic()
        return after.get(app_id, Traffic()).since(self.before.get(app_id, Traffic()))

    def _unknown(
        self, app: WatchedApp, counted: Traffic, after: Mapping[str, Traffic] | None
    ) -> tuple[str, ...]:
        if not app.has_listener:
            return ()
        if after is None or self.before is None:
            return (NO_COUNTERS,)
        sentences = [COUNTED_ONLY] if self.skipped else []
        if not app.latencies.count and counted.requests:
            sentences.append(NOT_HTTP if app.streams else NOT_TIMED)
        return tuple(sentences)


def _is_baking(state: AppState, deployment: str) -> bool:
    one = state.deployment
    return (
        one is not None
        and one.id == deployment
        and one.status is DeploymentStatus.RUNNING
        and one.baking_since_ms is not None
    )


def _latency(latencies: Latencies) -> tuple[float | None, float | None]:
    if not latencies.count:
        return None, None
    return round(latencies.quantile_ms(0.99), 2), round(latencies.worst_ms, 2)
