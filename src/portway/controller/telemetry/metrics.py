"""Metrics: what is counted while it happens. The table of families is the whole list; scraping.py adds what is looked up.

Counting must never cost a request or a decision anything: a dictionary entry, no lock, no clock but the
monotonic one, and nothing is ever decided on a figure.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from time import perf_counter

from portway.core.events import Event
from portway.core.exposition import Family, Histogram, Kind, Labels, Series
from portway.core.state import AppState, Deployment, DeploymentStatus

_FAST_S = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
_REACTION_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_DEPLOYMENT_S = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


def _counter(name: str, help_: str, *labels: str) -> Family:
    return Family(name=name, kind=Kind.COUNTER, help=help_, labels=labels)


def _histogram(name: str, help_: str, buckets: Sequence[float], *labels: str) -> Family:
    return Family(name=name, kind=Kind.HISTOGRAM, help=help_, labels=labels, buckets=tuple(buckets))


PASSES = _counter("portway_controller_passes_total", "Rounds of looking and deciding.")
PASS_SECONDS = _histogram(
    "portway_controller_pass_seconds", "How long a round took, its looks included.", _FAST_S
)
STEP_SECONDS = _histogram(
    "portway_controller_step_seconds",
    "How long deciding on one App took, saving included.",
    _FAST_S,
)
ERRORS = _counter(
    "portway_controller_errors_total",
    "What failed: engine, balancer, store, planning (inside portway).",
    "kind",
)
SAVES = _counter("portway_store_saves_total", "Batches of decisions saved.")
SAVE_SECONDS = _histogram(
    "portway_store_save_seconds", "How long a batch took to be on the disk.", _FAST_S
)
EVENTS = _counter("portway_events_total", "Events written to the journal.", "kind")
DEPLOYMENTS_ENDED = _counter(
    "portway_deployments_total", "Deployments of Apps that ended.", "status"
)
DEPLOYMENT_SECONDS = _histogram(
    "portway_deployment_seconds", "How long a deployment of an App took.", _DEPLOYMENT_S, "status"
)
CHECKS = _counter(
    "portway_health_checks_total",
    "Health checks made; broken: the asking itself failed, which says nothing about the App.",
    "result",
)
REACTION_SECONDS = _histogram(
    "portway_event_to_balancer_seconds",
    "From an event of the engine or a health verdict to the balancer's confirmation.",
    _REACTION_S,
    "event",
)

COUNTED = (
    PASSES, PASS_SECONDS, STEP_SECONDS, ERRORS, SAVES, SAVE_SECONDS, EVENTS,
    DEPLOYMENTS_ENDED, DEPLOYMENT_SECONDS, CHECKS, REACTION_SECONDS,
)  # fmt: skip

_KNOWN = {
    ERRORS.name: ("engine", "balancer", "store", "planning"),
    DEPLOYMENTS_ENDED.name: ("done", "failed", "cancelled"),
    DEPLOYMENT_SECONDS.name: ("done", "failed", "cancelled"),
    CHECKS.name: ("passed", "failed", "broken"),
    REACTION_SECONDS.name: ("engine", "health"),
}


_Cause = tuple[str, float]  # which event, and when


class Metrics:
    """The figures of one controller since it started."""

    def __init__(self, *, now_s: Callable[[], float] = perf_counter) -> None:
        self.now_s = now_s
        self._series: dict[str, dict[Labels, float | Histogram]] = {}
        for family in COUNTED:
            known = ((),) if not family.labels else ((v,) for v in _KNOWN.get(family.name, ()))
            # A series that is there from the start lets `rate()` see its first step.
            self._series[family.name] = {labels: _nothing(family) for labels in known}
        self.queue_length = 0  # Apps waiting to be looked at, when last looked
        self._causes: dict[str, _Cause] = {}  # by App: what happened and is not planned for yet
        self._planned: dict[str, _Cause] = {}  # by App: what the plan being carried out follows

    def count(self, family: Family, *labels: str, by: float = 1) -> None:
        """Count something up."""
        series = self._series[family.name]
        before = series.get(labels, 0)
        assert not isinstance(before, Histogram), family.name
        series[labels] = before + by

    def observe(self, family: Family, value: float, *labels: str) -> None:
        """Put one value into its histogram."""
        histogram = self._series[family.name].setdefault(labels, Histogram(family.buckets))
        assert isinstance(histogram, Histogram), family.name
        histogram.observe(value)

    @contextmanager
    def passing(self) -> Generator[None]:
        """One round of the controller."""
        with self.timed(PASS_SECONDS):
            yield
        self.count(PASSES)

    def stepping(self) -> AbstractContextManager[None]:
        """Deciding on one App."""
        return self.timed(STEP_SECONDS)

    def saving(self) -> AbstractContextManager[None]:
        """One batch on its way to the disk."""
        return self.timed(SAVE_SECONDS)

    def failed(self, kind: str) -> None:
        """Something went wrong, and where."""
        self.count(ERRORS, kind)

    @contextmanager
    def timed(self, family: Family, *labels: str) -> Generator[None]:
        """How long the block took, whether it worked or not."""
        began_s = self.now_s()
        try:
            yield
        finally:
            self.observe(family, self.now_s() - began_s, *labels)

    def series(self, family: Family) -> Series:
        """What was counted in one family."""
        return self._series[family.name]

    def event_seen(self, app_id: str, event: str) -> None:
        """Something happened to an App that its routes may have to follow; the first event counts."""
        self._causes.setdefault(app_id, (event, self.now_s()))

    def event_planned(self, app_id: str) -> None:
        """The App is looked at with what happened; what happens from now on waits for the next look."""
        if cause := self._causes.pop(app_id, None):
            self._planned[app_id] = cause

    def event_settled(self, app_id: str) -> None:
        """What happened asked for no other routes."""
        self._planned.pop(app_id, None)

    def routes_confirmed(self, app_id: str) -> None:
        """The balancer serves what was decided."""
        if cause := self._planned.pop(app_id, None):
            event, since_s = cause
            self.observe(REACTION_SECONDS, self.now_s() - since_s, event)

    def note_saved(
        self, states: Sequence[AppState], before: Mapping[str, AppState], events: Sequence[Event]
    ) -> None:
        """A batch was saved; `before`: what was known until then."""
        self.count(SAVES)
        for state in states:
            self.note_deployment(before.get(state.app_id), state)
        for event in events:
            self.count(EVENTS, event.kind)

    def note_deployment(self, before: AppState | None, after: AppState) -> None:
        """An App was saved: its deployment may have ended with that."""
        old, new = before.deployment if before else None, after.deployment
        if old is not None and _is_running(old) and (new is None or new.id == old.id):
            ended = new or old
            if ended.status is not DeploymentStatus.RUNNING and ended.ended_at_ms is not None:
                self.count(DEPLOYMENTS_ENDED, ended.status.value)
                seconds = (ended.ended_at_ms - ended.started_at_ms) / 1000
                self.observe(DEPLOYMENT_SECONDS, max(0.0, seconds), ended.status.value)


def _nothing(family: Family) -> float | Histogram:
    return Histogram(family.buckets) if family.kind is Kind.HISTOGRAM else 0


def _is_running(deployment: Deployment) -> bool:
    return deployment.status is DeploymentStatus.RUNNING
