"""What the AWS face counts of itself, for Prometheus. Labels are names of the models, so they are bounded."""

from __future__ import annotations

from collections import Counter

from portway.core.exposition import Family, Histogram, Kind, Series, render

_LABELS = ("service", "operation", "code")
_REQUESTS = Family(
    name="portway_aws_requests_total",
    kind=Kind.COUNTER,
    help="Requests in AWS's language, by the error code they were answered with (none: success).",
    labels=_LABELS,
)
_DURATIONS = Family(
    name="portway_aws_request_duration_seconds",
    kind=Kind.HISTOGRAM,
    help="How long requests in AWS's language took, from the first byte read to the answer.",
    labels=("service",),
    buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)


class AwsMetrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._durations: dict[tuple[str, ...], Histogram] = {}

    def observe(self, service: str, operation: str, code: str, duration_s: float) -> None:
        """Count one request."""
        self._requests[service, operation, code] += 1
        found = self._durations.setdefault((service,), Histogram(_DURATIONS.buckets))
        found.observe(duration_s)

    def page(self) -> str:
        """The families, nothing while nobody ever asked in AWS's language."""
        if not self._requests:
            return ""
        counts: Series = dict(self._requests)
        return render([(_REQUESTS, counts), (_DURATIONS, dict(self._durations))])
