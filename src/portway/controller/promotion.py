"""Release -> the Apps' new targets. Pure: what changes, what stays as it is, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from portway.controller.strategies import with_strategy
from portway.controller.views import StrategyRequest
from portway.core.app import App, ListenerSpec, Placement, PortSpec, Rollout
from portway.core.stack import Release, Stack
from portway.core.state import AppState, Deployment, Revision
from portway.core.strategy import is_running

OUR_LABELS = ("convox.", "portway.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What a promote saves. `states` are only those that change; `changed` those of them whose instances do."""

    states: tuple[AppState, ...]
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    leaving: tuple[str, ...]
    scales: Mapping[str, int]


def promote_states(
    stack: Stack,
    states: Sequence[AppState],
    release: Release,
    *,
    deployment_id: str,
    now_ms: int,
    force: bool = False,
    asked: StrategyRequest | None = None,
) -> Promotion:
    """Aim every App of the stack at the release.

    An App whose spec and variables are what already runs keeps its instances (unless `force`); what
    only the balancer sees changes in place.
    """
    existing = {s.app_id.rpartition("/")[2]: s for s in states}
    named = {app.name for app in release.apps}
    results: list[AppState] = []
    changed: list[str] = []
    unchanged: list[str] = []
    scales = {name: count for name, count in stack.scales.items() if name in named}
    for app in release.apps:
        before = existing.get(app.name) or AppState(app_id=app.id, target=None)
        count = wanted_count(app, before, scales)
        after = _aimed(
            before, app, release, count, deployment_id=deployment_id, now_ms=now_ms, force=force
        )
        after = with_strategy(before, after, asked)
        results.append(after)
        (changed if _moves(before, after) else unchanged).append(app.name)
    leaving = [s for name, s in existing.items() if name not in named and s.target is not None]
    results.extend(replace(s, leaving=True) for s in leaving)
    return Promotion(
        states=tuple(s for s in results if existing.get(s.app_id.rpartition("/")[2]) != s),
        changed=tuple(changed),
        unchanged=tuple(unchanged),
        leaving=tuple(s.app_id.rpartition("/")[2] for s in leaving),
        scales=scales,
    )


def _moves(before: AppState, after: AppState) -> bool:
    """Whether instances come or go, rather than a listener or check being changed in place."""
    one, other = before.target, after.target
    return one is None or other is None or one.id != other.id or before.count != after.count


def wanted_count(app: App, before: AppState, scales: dict[str, int]) -> int:
    """What `scale` set stays until the manifest's own number changes."""
    changed = before.target is not None and before.target.app.count != app.count
    if app.name in scales and app.count is not None and changed:
        del scales[app.name]
    return scales.get(app.name, 1 if app.count is None else app.count)


def _aimed(
    before: AppState,
    app: App,
    release: Release,
    count: int,
    *,
    deployment_id: str,
    now_ms: int,
    force: bool,
) -> AppState:
    target = before.target
    environment = release.environment
    same = (
        target is not None
        and not before.halted
        and not force
        and runs_alike(target, app, environment)
    )
    if same and target is not None:
        revision = replace(target, app=app, environment=environment)
        after = replace(before, target=revision, leaving=False, count=count)
        if count == before.count and revision == target:
            return after
    else:
        revision = Revision(
            id=free_revision_id(before, release.id),
            release=release.id,
            app=app,
            environment=environment,
            within_policy=release.within_policy,
            made_at_ms=now_ms,
        )
        after = replace(before, target=revision, leaving=False, count=count)
    return deploying(
        after,
        before,
        release=release.id,
        deployment_id=deployment_id,
        now_ms=now_ms,
    )


def deploying(
    after: AppState, before: AppState, *, release: str, deployment_id: str, now_ms: int
) -> AppState:
    """`after`, with a fresh deployment from what `before` was; old failures no longer count."""
    assert after.target is not None
    revisions = dict(after.revisions)
    if before.target is not None:
        revisions[before.target.id] = before.target
    revisions[after.target.id] = after.target
    old = before.target
    in_place = old is not None and old.id == after.target.id and old.app != after.target.app
    from_count = before.count if old is not None else None
    from_app = old.app if in_place and old is not None else None
    if (taken_over := before.deployment) is not None and is_running(before):
        # What it has not finished is nothing to go back to.
        from_count, from_app = taken_over.from_count, taken_over.from_app
    deployment = Deployment(
        id=deployment_id,
        release=release,
        to_revision=after.target.id,
        from_revision=_going_back_to(before),
        from_count=from_count,
        from_app=from_app,
        started_at_ms=now_ms,
        progressed_at_ms=now_ms,
    )
    return replace(
        after,
        deployment=deployment,
        revisions=revisions,
        failures=(),
        halted="",
        called_off=False,
    )


def _going_back_to(before: AppState) -> str | None:
    """The revision to return to: what was aimed at, unless that never came up."""
    if before.deployment is not None and (is_running(before) or before.halted):
        return before.deployment.from_revision
    if before.halted or before.target is None:
        return None
    return before.target.id


def scaled(state: AppState, count: int, *, deployment_id: str, now_ms: int) -> AppState:
    """The App with another count. A deployment that runs goes on, with the new one."""
    if (deployment := state.deployment) is not None and is_running(state) and deployment.release:
        kept = None if deployment.from_count is None else count
        return replace(state, count=count, deployment=replace(deployment, from_count=kept))
    after = replace(state, count=count)
    return deploying(after, state, release="", deployment_id=deployment_id, now_ms=now_ms)


def free_revision_id(state: AppState, release: str) -> str:
    """The release's id, or "RELEASE-n" when a revision of that name is known already."""
    known = set(state.revisions) | {r.identity.revision for r in state.instances}
    if state.target is not None:
        known.add(state.target.id)
    if release not in known:
        return release
    nth = 2
    while f"{release}-{nth}" in known:
        nth += 1
    return f"{release}-{nth}"


def runs_alike(revision: Revision, app: App, environment: Mapping[str, str]) -> bool:
    """Whether an instance of `revision` is what an instance of `app` would be."""
    return dict(revision.environment) == dict(environment) and _as_run(revision.app) == _as_run(app)


def _as_run(app: App) -> App:
    """The App less what no instance can tell: counts, rollout, how the balancer treats it.

    A check counts: one that is wrong must fail on a new instance, not on those that serve.
    """
    return replace(
        app,
        image=app.image if not app.image_id else None,
        containers=tuple(
            replace(other, image="") if other.image_id else other for other in app.containers
        ),
        build=None,
        count=None,
        rollout=Rollout(),
        depends_on=(),
        # What these ask for is in the other fields, as far as an instance can tell.
        labels={k: v for k, v in app.labels.items() if not k.startswith(OUR_LABELS)},
        ports=tuple(_as_bound(spec) for spec in app.ports),
        stop_grace_s=0.0,
        placement=Placement(),
        health_grace_s=0.0,
    )


def _as_bound(spec: PortSpec) -> PortSpec:
    return replace(spec, service_ports=(), listener=ListenerSpec())


def why_replaced(revision: Revision, app: App, environment: Mapping[str, str]) -> str:
    """Which parts of the spec differ, as a phrase; never a value, for it may be secret."""
    before, after = _as_run(revision.app), _as_run(app)
    names = [
        name
        for name in type(after).__dataclass_fields__
        if getattr(before, name) != getattr(after, name)
    ]
    words = {"image_id": "image", "command_text": "command", "ports": "ports"}
    parts = list(dict.fromkeys(words.get(name, name) for name in names))
    if dict(revision.environment) != dict(environment):
        parts.append("the stack's variables")
    return ", ".join(parts)
