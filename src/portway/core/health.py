"""Check results + thresholds -> Health. The one judge that controller and balancer both obey."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from portway.core.app import HealthCheck

STATUS_RANGES_MAX = 20


class HealthStatus(StrEnum):
    """UNKNOWN until the first verdict; a checker that fails itself leaves the verdict as it was."""

    UNKNOWN = "unknown"
    PASSING = "passing"
    FAILING = "failing"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One answer of a check. `detail` is a sentence: "HTTP 503 from /healthz", "connection refused"."""

    at_ms: int
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The verdict on one instance and the run of equal results that led to it.

    `unchecked`: why the last check could not be made, "" when it was; that is not the instance's fault. `spared`: what
    fails is no check that may end an instance.
    """

    status: HealthStatus = HealthStatus.UNKNOWN
    passes: int = 0
    failures: int = 0
    detail: str = ""
    since_ms: int = 0
    unchecked: str = ""
    spared: bool = False


def judge(health: Health, result: CheckResult, check: HealthCheck, *, started_at_ms: int) -> Health:
    """The verdict after one more result.

    A status changes only after `healthy_threshold` passes or `unhealthy_threshold` failures in a
    row; the first passing one may take fewer (`first_threshold`). An instance that never passed is
    failing once startup_deadline_ms() has gone by.
    """
    passes = health.passes + 1 if result.passed else 0
    failures = 0 if result.passed else health.failures + 1
    status = health.status
    is_first = status is HealthStatus.UNKNOWN and check.first_threshold
    if passes >= (check.first_threshold if is_first else check.healthy_threshold):
        status = HealthStatus.PASSING
    elif failures and _is_failing(health, result, check, failures, started_at_ms):
        status = HealthStatus.FAILING
    return Health(
        status=status,
        passes=passes,
        failures=failures,
        detail=result.detail,
        since_ms=health.since_ms if status is health.status else result.at_ms,
        spared=not check.lethal,
    )


def unjudged(health: Health, why: str) -> Health:
    """The verdict after a check that could not be made: the same one, and why it is not newer."""
    return replace(health, unchecked=why)


def together(verdicts: Sequence[Health]) -> Health:
    """One verdict of several checks on one instance: failing where one fails, passing where all pass."""
    failing = [v for v in verdicts if v.status is HealthStatus.FAILING]
    failing.sort(key=lambda v: v.spared)
    unknown = [v for v in verdicts if v.status is HealthStatus.UNKNOWN]
    leading = (failing or unknown or list(verdicts))[0]
    return replace(
        leading,
        passes=min(v.passes for v in verdicts),
        failures=max(v.failures for v in verdicts),
        since_ms=leading.since_ms if failing else max(v.since_ms for v in verdicts),
        unchecked=next((v.unchecked for v in verdicts if v.unchecked), ""),
    )


def startup_deadline_ms(check: HealthCheck, *, started_at_ms: int) -> int:
    """Until when an instance may stay without a first pass."""
    grace_s = check.delay_s + check.start_period_s + check.unhealthy_threshold * check.interval_s
    return started_at_ms + int(grace_s * 1000)


def _is_failing(
    health: Health, result: CheckResult, check: HealthCheck, failures: int, started_at_ms: int
) -> bool:
    # Start-up is polled fast, so counting results there would give up within a second.
    if health.status is HealthStatus.UNKNOWN:
        return result.at_ms >= startup_deadline_ms(check, started_at_ms=started_at_ms)
    return failures >= check.unhealthy_threshold


def is_confirmed(health: Health, check: HealthCheck) -> bool:
    """Whether a failing verdict has stood a second round of checks."""
    return health.failures >= 2 * check.unhealthy_threshold


def parse_statuses(text: str) -> tuple[tuple[int, int], ...] | None:
    """ "200" or "200-299,401" as ranges; None when it is neither, or names what is no HTTP status."""
    ranges: list[tuple[int, int]] = []
    for part in text.split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if not _is_status(first) or (dash and not _is_status(last)):
            return None
        ranges.append((int(first), int(last or first)))
        if ranges[-1][0] > ranges[-1][1]:
            return None
    return tuple(ranges) if len(ranges) <= STATUS_RANGES_MAX else None


def _is_status(word: str) -> bool:
    return len(word) == 3 and word.isascii() and word.isdecimal() and 200 <= int(word) <= 599


def statuses_text(ranges: Sequence[tuple[int, int]]) -> str:
    """Ranges as they are written: 200-299,401."""
    return ",".join(f"{a}" if a == b else f"{a}-{b}" for a, b in ranges)


def matches_status(ranges: Sequence[tuple[int, int]], status: int) -> bool:
    """Whether an answer with this HTTP status passes."""
    return any(first <= status <= last for first, last in ranges)
