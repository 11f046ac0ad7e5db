"""The service deployments that a service has had: begun, ended, rolled back. Level-triggered: looking again changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from portway.core.app import App, TargetBinding
from portway.core.aws_names import AwsNames
from portway.core.ecs import words
from portway.core.ecs.deployments import is_count_change, is_steady
from portway.core.ecs.labels import origin_of
from portway.core.state import AppState, Deployment, DeploymentStatus, Revision

KEPT = 50  # of a service, the newest

IN_PROGRESS, SUCCESSFUL, STOPPED = "IN_PROGRESS", "SUCCESSFUL", "STOPPED"
ROLLING_BACK, ROLLED_BACK = "ROLLBACK_IN_PROGRESS", "ROLLBACK_SUCCESSFUL"
OPEN = (IN_PROGRESS, ROLLING_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastDeployment:
    """One service deployment, with what of its revision is shown when nothing runs it any more.

    `containers`: name, image and image id of each. `before`: the revision it replaces, `back_to` the one that it was
    rolled back to since `back_at_ms`; "" where there is none.
    """

    revision: str
    task_definition: str
    began_at_ms: int
    ended_at_ms: int | None = None
    status: str = IN_PROGRESS
    reason: str = ""
    count: int = 0
    before: str = ""
    back_to: str = ""
    back_at_ms: int | None = None
    containers: tuple[tuple[str, str, str], ...] = ()
    targets: tuple[TargetBinding, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether it still goes on, forwards or back."""
        return self.status in OPEN

    @property
    def is_tripped(self) -> bool:
        """Whether the circuit breaker ended it."""
        return self.reason.startswith(words.BREAKER)


def follow_deployments(
    known: tuple[PastDeployment, ...], state: AppState, names: AwsNames, *, now_ms: int
) -> tuple[PastDeployment, ...]:
    """What there has been by now, the newest first; the very same when nothing is new."""
    deployment = state.deployment
    current = deployment if deployment and not is_count_change(deployment) else None
    begun = tuple(_begun(known, state, current, names))
    after = tuple(_looked_at(one, state, current, names, now_ms) for one in (*begun, *known))
    return known if after == known else after[:KEPT]


def _begun(
    known: tuple[PastDeployment, ...],
    state: AppState,
    current: Deployment | None,
    names: AwsNames,
) -> Iterator[PastDeployment]:
    if current is None or any(one.revision == current.to_revision for one in known):
        return
    revision = _revision(state, current.to_revision)
    if revision is None:
        return  # it is being removed, or ended long ago
    origin = origin_of(revision.app)
    yield PastDeployment(
        revision=revision.id,
        task_definition=origin.definition_arn(names) if origin else "",
        began_at_ms=current.started_at_ms,
        before=current.from_revision or "",
        count=state.count,
        containers=tuple(_containers(revision.app)),
        targets=revision.app.targets,
    )


def _revision(state: AppState, wanted: str) -> Revision | None:
    if state.target is not None and state.target.id == wanted:
        return state.target
    return state.revisions.get(wanted)


def _containers(app: App) -> Iterator[tuple[str, str, str]]:
    yield app.container_name or app.name, app.image or "", app.image_id
    for other in app.containers:
        yield other.name, other.image, other.image_id


def _looked_at(
    one: PastDeployment,
    state: AppState,
    current: Deployment | None,
    names: AwsNames,
    now_ms: int,
) -> PastDeployment:
    if not one.is_open:
        return one
    target = state.target.id if state.target else ""
    if one.status == ROLLING_BACK:
        if target != one.back_to:
            return _ended(one, STOPPED, _why_stopped(target), now_ms)
        return _ended(one, ROLLED_BACK, one.reason, now_ms) if is_steady(state) else one
    if current is None or current.to_revision != one.revision:
        done = target == one.revision  # it ended, and its count has been changed since
        status = SUCCESSFUL if done else STOPPED
        why = words.completed(_id(state, names, one.revision)) if done else _why_stopped(target)
        return _ended(one, status, why, now_ms)
    return _followed(replace(one, count=state.count), state, current, names, target)


def _why_stopped(target: str) -> str:
    return words.SUPERSEDED if target else words.SERVICE_DELETED


def _followed(
    one: PastDeployment, state: AppState, current: Deployment, names: AwsNames, target: str
) -> PastDeployment:
    """By the App's own deployment, which it is."""
    this = _id(state, names, one.revision)
    ended_at_ms = current.ended_at_ms or current.progressed_at_ms
    if current.status is DeploymentStatus.RUNNING:
        return replace(one, reason=words.in_progress(this))
    if current.status is DeploymentStatus.DONE:
        return _ended(one, SUCCESSFUL, words.completed(this), ended_at_ms)
    asked = current.status is DeploymentStatus.CANCELLED
    if not target or target == one.revision:
        return _ended(one, STOPPED, words.STOPPED_DEPLOYMENT if asked else words.BREAKER_FAILED, ended_at_ms)  # fmt: skip
    back = _id(state, names, target)
    why = words.asked_to_roll_back(back) if asked else words.breaker_rolls_back(back)
    return replace(one, status=ROLLING_BACK, reason=why, back_to=target, back_at_ms=ended_at_ms)


def _ended(one: PastDeployment, status: str, reason: str, at_ms: int) -> PastDeployment:
    return replace(one, status=status, reason=reason, ended_at_ms=at_ms)


def _id(state: AppState, names: AwsNames, revision: str) -> str:
    return names.deployment_id(state.app_id, revision)
