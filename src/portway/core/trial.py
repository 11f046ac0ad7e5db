"""The trial of a new release that already has traffic: do more of its requests fail than of the old one's?

The balancer's own counters by instance decide. A request counts as failed where the instance answered 500
or above, could not be connected to, or broke off; one that another instance then answered counts too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from portway.core.draft import Draft
from portway.core.routes import ServedRoute
from portway.core.state import AppState, Deployment
from portway.core.strategy import is_on_trial, is_stepwise
from portway.core.traffic import Traffic, total

LOOK_AGAIN_MS = 1000


def note_traffic_before(draft: Draft) -> None:
    """Remember what was counted when a deployment by steps began: only what comes after it is judged."""
    deployment, served = draft.state.deployment, draft.observed.served
    if deployment is None or served is None or deployment.traffic_before is not None:
        return
    if is_stepwise(draft.state):
        before = {k: v for k, v in by_instance(served.values()).items() if v != Traffic()}
        draft.change(deployment=replace(deployment, traffic_before=before))


def failed_requests(draft: Draft) -> str:
    """Why the requests of the new instances end the deployment, as a sentence; "" as long as they do not."""
    state, served = draft.state, draft.observed.served
    deployment = state.deployment
    if deployment is None or not served or not is_on_trial(state):
        return ""
    draft.wake_at(draft.now_ms + LOOK_AGAIN_MS)
    if deployment.traffic_before is None:
        return ""
    now = by_instance(served.values())
    before = deployment.traffic_before
    since = {name: count.since(before.get(name, Traffic())) for name, count in now.items()}
    fresh = _fresh_ids(state, deployment)
    return verdict(
        total(count for name, count in since.items() if name in fresh),
        total(count for name, count in since.items() if name not in fresh),
        allowed_percent=deployment.strategy.max_failed_percent,
        requests_min=deployment.strategy.min_requests,
    )


def verdict(new: Traffic, old: Traffic, *, allowed_percent: float, requests_min: int) -> str:
    """What is wrong where the new ones' share of failed requests is too far above the old ones'; else "".

    Nothing is said before there are enough requests. Old ones without requests count as without failures.
    """
    if not new.requests or new.requests < requests_min:
        return ""
    if percent_failed(new) - percent_failed(old) <= allowed_percent:
        return ""
    theirs = f"{_said(old)} to the old" if old.requests else "none to the old"
    return (
        f"{_said(new)} to the new release failed ({_kinds(new)}), {theirs}; "
        f"at most {allowed_percent:g}% more may fail (portway.deploy.max_failed)"
    )


def percent_failed(traffic: Traffic) -> float:
    """How many in a hundred of its requests failed."""
    return 100 * _failures(traffic) / traffic.requests if traffic.requests else 0.0


def by_instance(routes: Iterable[ServedRoute]) -> dict[str, Traffic]:
    """What was counted for each instance, over all of its listeners."""
    found: dict[str, Traffic] = {}
    for route in routes:
        for endpoint in route.endpoints:
            known = found.get(endpoint.instance_id)
            counted = endpoint.traffic
            found[endpoint.instance_id] = counted if known is None else known + counted
    return found


def _fresh_ids(state: AppState, deployment: Deployment) -> frozenset[str]:
    return frozenset(r.id for r in state.live if r.identity.revision == deployment.to_revision)


def _failures(traffic: Traffic) -> int:
    all_of_them = traffic.failed + traffic.errors_5xx + traffic.redispatched
    return min(traffic.requests, all_of_them)


def _said(traffic: Traffic) -> str:
    share = percent_failed(traffic)
    share_text = f"{round(share, 1 if share < 10 else None):g}%"
    return f"{_failures(traffic)} of {traffic.requests} requests ({share_text})"


def _kinds(traffic: Traffic) -> str:
    """Of what kinds its failures are, the most frequent first."""
    kinds: Mapping[str, int] = {
        "answered 5xx": traffic.errors_5xx,
        "could not connect": traffic.not_connected + traffic.redispatched,
        "broke off": traffic.broken_off,
    }
    order = sorted(kinds, key=lambda kind: -kinds[kind])
    return ", ".join(f"{kinds[kind]} {kind}" for kind in order if kinds[kind])
