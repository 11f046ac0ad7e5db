"""Receipts as people read them: where the seconds went, what became of the requests meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from portway.cli.client import Client, segment
from portway.cli.times import ago
from portway.controller.views import PromotionView, ReleaseView
from portway.core.errors import PortwayError
from portway.core.receipt import AppReceipt, Receipt

_WAIT_S = 3.0
_LOOK_S = 0.01  # its end is known a few hundredths of a second after that of the deployment
_VERBS = {
    "done": "deployed in",
    "failed": "failed after",
    "cancelled": "cancelled after",
    "superseded": "superseded after",
}
_SHOWN_MS = 50  # less than a tenth of a second is not worth a word


def receipt_of(client: Client, promotion: PromotionView) -> Receipt | None:
    """The receipt of a change that is over; None when it changed no instance or no receipt was kept."""
    if not promotion.deployments:
        return None
    begun = promotion.deployments[0]
    releases = [one for one in dict.fromkeys((begun.release, promotion.release)) if one]
    deadline = time.monotonic() + _WAIT_S
    while True:
        try:
            views = [_release(client, promotion.stack, name) for name in releases]
        except PortwayError:
            return None
        found = [r for view in views for r in view.receipts if r.deployment == begun.id]
        if found and found[0].ended_at_ms is not None:
            return found[0]
        if time.monotonic() > deadline:
            return None
        time.sleep(_LOOK_S)


def _release(client: Client, stack: str, release: str) -> ReleaseView:
    path = f"/stacks/{segment(stack)}/releases/{segment(release)}"
    return client.view(ReleaseView, "GET", path)


def receipt_lines(receipt: Receipt) -> list[str]:
    """One line that says it all, and one for whatever an App has to say besides."""
    parts = [_seconds(receipt), _requests(receipt), _drained(receipt.apps)]
    lines = [" · ".join(part for part in parts if part)]
    lines += [f"  {app.app}: {remark}" for app in receipt.apps for remark in _remarks(app)]
    return lines + [f"  {sentence}" for sentence in receipt.unknown]


def history_lines(receipts: Sequence[Receipt], *, now_ms: int) -> list[str]:
    """The deployments of a release, oldest first."""
    lines: list[str] = []
    for receipt in receipts:
        when = ago(receipt.started_at_ms, now_ms=now_ms)
        if receipt.ended_at_ms is None:
            lines.append(f"  {when}: it is under way, or its end was not seen")
            continue
        first, *others = receipt_lines(receipt)
        lines += [f"  {when}: {first}", *(f"  {line}" for line in others)]
    return lines


def _seconds(receipt: Receipt) -> str:
    stages = [(name, spent) for name, spent in receipt.stages_ms.items() if spent >= _SHOWN_MS]
    where = ", ".join(f"{name} {spent / 1000:.1f}" for name, spent in stages)
    verb = _VERBS.get(receipt.status, "ended after")
    return f"{verb} {receipt.total_ms / 1000:.1f} s" + (f": {where}" if where else "")


def _requests(receipt: Receipt) -> str:
    requests = sum(app.requests for app in receipt.apps)
    if not requests:
        return ""
    failed = sum(app.failed for app in receipt.apps)
    text = f"{_count(requests, 'request')} meanwhile, {failed} failed"
    timed = sum(app.timed for app in receipt.apps)
    if receipt.p99_ms is None or receipt.worst_ms is None:
        return text
    of = f" (of {timed} timed)" if timed < requests else ""
    return f"{text}, p99 {_ms(receipt.p99_ms)}, worst {_ms(receipt.worst_ms)}{of}"


def _drained(apps: Iterable[AppReceipt]) -> str:
    connections = sum(app.drained_connections for app in apps)
    if not connections:
        return ""
    longest_ms = max(app.drained_ms for app in apps)
    return f"{_count(connections, 'connection')} drained in {longest_ms / 1000:.1f} s"


def _remarks(app: AppReceipt) -> Iterable[str]:
    for failure in app.failures:
        yield f"{_count(failure.count, 'request')} failed: {failure.reason}"
    if app.aborted:
        yield f"{_count(app.aborted, 'request')} given up by the client"
    if app.denied:
        yield f"{_count(app.denied, 'request')} not let through: malformed or forbidden"
    if app.retried:
        yield f"{_count(app.retried, 'connection')} to an instance tried again"
    if app.requests or app.failed or not app.timed:
        yield from app.unknown


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _ms(time_ms: float) -> str:
    return f"{time_ms:.1f} ms" if time_ms < 10 else f"{time_ms:.0f} ms"
