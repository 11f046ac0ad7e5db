"""Check results + thresholds -> Health. The one judge that controller and balancer both obey."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from portway.core.app import HealthCheck


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
    """The verdict on one instance and the run of equal results that led to it."""

    status: HealthStatus = HealthStatus.UNKNOWN
    passes: int = 0
    failures: int = 0
    detail: str = ""
    since_ms: int = 0


def judge(health: Health, result: CheckResult, check: HealthCheck, *, started_at_ms: int) -> Health:
    """The verdict after one more result.

    A status changes only after `healthy_threshold` passes or `unhealthy_threshold` failures in a
    row. An instance that never passed is failing once startup_deadline_ms() has gone by.
    """
    passes = health.passes + 1 if result.passed else 0
    failures = 0 if result.passed else health.failures + 1
    status = health.status
    if passes >= check.healthy_threshold:
        status = HealthStatus.PASSING
    elif failures and _is_failing(health, result, check, failures, started_at_ms):
        status = HealthStatus.FAILING
    return Health(
        status=status,
        passes=passes,
        failures=failures,
        detail=result.detail,
        since_ms=health.since_ms if status is health.status else result.at_ms,
    )


def startup_deadline_ms(check: HealthCheck, *, started_at_ms: int) -> int:
    """Until when an instance may stay without a first pass."""
    grace_s = check.start_period_s + check.unhealthy_threshold * check.interval_s
    return started_at_ms + int(grace_s * 1000)


def _is_failing(
    health: Health, result: CheckResult, check: HealthCheck, failures: int, started_at_ms: int
) -> bool:
    # Start-up is polled fast, so counting results there would give up within a second.
    if health.status is HealthStatus.UNKNOWN:
        return result.at_ms >= startup_deadline_ms(check, started_at_ms=started_at_ms)
    return failures >= check.unhealthy_threshold
