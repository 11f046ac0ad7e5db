"""Receipt: what a deployment cost, in seconds and in requests. Kept with its release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from portway.core.instance import InstanceRecord
from portway.core.traffic import Traffic

KEPT_PER_RELEASE = 20


class Stage(StrEnum):
    """What a moment of a deployment was spent on; of several at once the first of these counts."""

    BUILD = "build"
    PULL = "pull"
    START = "start"
    HEALTH = "health"
    DRAIN = "drain"
    STOP = "stop"
    BAKE = "bake"  # a step of a canary or blue-green is observed, or holds
    OTHER = "other"  # deciding, saving, waiting for another App


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRequests:
    """So many requests that failed for one reason."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AppReceipt:
    """One App's part of a deployment.

    `timed` of its `requests` were measured one by one; without any, p99 and worst are None.
    `unknown` says what could not be found out, a sentence each.
    """

    app: str
    status: str = ""
    stages_ms: Mapping[str, int] = field(default_factory=dict)
    started: int = 0
    stopped: int = 0
    requests: int = 0
    failed: int = 0
    failures: tuple[FailedRequests, ...] = ()
    aborted: int = 0  # given up by their clients
    denied: int = 0  # not let through: malformed or forbidden
    retried: int = 0  # connections tried again, at the same instance or another
    timed: int = 0
    p99_ms: float | None = None
    worst_ms: float | None = None
    drained_connections: int = 0
    drained_ms: int = 0
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What one deployment of a stack cost. `before`: the counters when it began, while it runs.

    `stages_ms` add up to `total_ms`: no moment is counted twice.
    """

    deployment: str
    release: str
    status: str = "running"
    started_at_ms: int
    ended_at_ms: int | None = None
    stages_ms: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    apps: tuple[AppReceipt, ...] = ()
    p99_ms: float | None = None
    worst_ms: float | None = None
    before: Mapping[str, Traffic] = field(default_factory=dict)

    @property
    def total_ms(self) -> int:
        """All of it, building and pulling included."""
        return sum(self.stages_ms.values())


def put(receipts: Sequence[Receipt], receipt: Receipt) -> tuple[Receipt, ...]:
    """The receipts of a release with this one, the newest last; the oldest go when there are too many."""
    others = [one for one in receipts if one.deployment != receipt.deployment]
    return (*others, receipt)[-KEPT_PER_RELEASE:]


def stage_times(
    records: Iterable[InstanceRecord],
    *,
    started_at_ms: int,
    ended_at_ms: int,
    bakes: Iterable[tuple[int, int]] = (),
) -> dict[str, int]:
    """Where the time between the two moments went; the parts add up to all of it. `bakes`: from when to when."""
    spans = [span for record in records for span in _spans(record, ended_at_ms)]
    spans += [(Stage.BAKE, begin, end) for begin, end in bakes]
    edges: list[tuple[int, int, Stage]] = [(ended_at_ms, 0, Stage.OTHER)]
    for stage, begin, end in spans:
        begin, end = max(begin, started_at_ms), min(end, ended_at_ms)
        if begin < end:
            edges += [(begin, 1, stage), (end, -1, stage)]
    busy = dict.fromkeys(Stage, 0)
    spent = dict.fromkeys(Stage, 0)
    since_ms = started_at_ms
    for at_ms, change, stage in sorted(edges):
        spent[next((s for s in Stage if busy[s]), Stage.OTHER)] += max(0, at_ms - since_ms)
        since_ms = max(since_ms, at_ms)
        busy[stage] += change
    return {stage.value: spent[stage] for stage in Stage if spent[stage]}


def _spans(record: InstanceRecord, now_ms: int) -> list[tuple[Stage, int, int]]:
    """The stages of one instance's life. `now_ms` ends what has not ended."""
    steps = [
        (Stage.START, record.planned_at_ms),
        (Stage.HEALTH, record.started_at_ms),
        (None, record.ready_at_ms),
        (Stage.DRAIN, record.draining_at_ms),
        (Stage.STOP, record.stopping_at_ms),
        (None, record.gone_at_ms),
    ]
    known = [(stage, at_ms) for stage, at_ms in steps if at_ms is not None]
    ends = [*(at_ms for _, at_ms in known[1:]), now_ms]
    return [
        (stage, begin, end)
        for (stage, begin), end in zip(known, ends, strict=True)
        if stage is not None
    ]


def took_part(record: InstanceRecord, *, started_at_ms: int) -> bool:
    """Whether anything happened to the instance since then."""
    times = (record.planned_at_ms, record.draining_at_ms, record.stopping_at_ms, record.gone_at_ms)
    return any(at_ms is not None and at_ms >= started_at_ms for at_ms in times)


def drain_time_ms(records: Iterable[InstanceRecord], *, ended_at_ms: int) -> int:
    """The longest that any instance kept its connections after it got no new ones."""
    return max(
        (
            (record.stopping_at_ms or record.gone_at_ms or ended_at_ms) - record.draining_at_ms
            for record in records
            if record.draining_at_ms is not None
        ),
        default=0,
    )


def failures(
    named: Mapping[str, int], counted: Traffic, *, all_seen: bool
) -> tuple[FailedRequests, ...]:
    """Failed requests by reason, most first: those seen one by one, and what only the counters know of.

    Where every request was seen (`all_seen`), the counters add nothing.
    """
    found = dict(named)
    missing = max(counted.errors_5xx, counted.failed) - sum(named.values())
    if not all_seen and missing > 0:
        for reason, count in _counted_reasons(counted, missing):
            found[reason] = found.get(reason, 0) + count
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return tuple(FailedRequests(reason=reason, count=count) for reason, count in ordered)


def _counted_reasons(counted: Traffic, missing: int) -> Iterable[tuple[str, int]]:
    parts = (
        ("no instance could be connected to", counted.not_connected),
        ("an instance broke off before its answer was whole", counted.broken_off),
        ("answered 500 or above", missing),
    )
    for reason, count in parts:
        given = min(count, missing)
        missing -= given
        if given:
            yield reason, given
