"""The deployments[] of a service: one for the revision that should run, one for each older one that still does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portway.core.aws_names import AwsNames
from portway.core.ecs import words
from portway.core.ecs.labels import origin_of
from portway.core.instance import InstanceRecord, Phase
from portway.core.state import AppState, Deployment, DeploymentStatus, Revision

IN_PROGRESS, COMPLETED, FAILED = "IN_PROGRESS", "COMPLETED", "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCounts:
    """Of one revision, or of a whole service: tasks that run, tasks on their way, and those that should be."""

    desired: int = 0
    running: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDeployment:
    """One of deployments[]. `rollout_reason` is "" where AWS says nothing."""

    id: str
    is_primary: bool
    revision: Revision
    task_definition: str
    counts: TaskCounts
    failed_tasks: int
    created_at_ms: int
    updated_at_ms: int
    rollout_state: str
    rollout_reason: str

    @property
    def status(self) -> str:
        """PRIMARY, or ACTIVE for an older one."""
        return "PRIMARY" if self.is_primary else "ACTIVE"


def counts_of(records: Sequence[InstanceRecord], *, desired: int = 0) -> TaskCounts:
    """Tasks as DescribeServices counts them: one that is leaving no longer runs, one whose containers are not all up is pending."""
    return TaskCounts(
        desired=desired,
        running=sum(1 for r in records if r.phase in (Phase.STARTED, Phase.READY)),
        pending=sum(1 for r in records if r.phase is Phase.PLANNED),
    )


def service_counts(state: AppState) -> TaskCounts:
    """Of all its deployments together."""
    return counts_of(state.live, desired=state.count if state.target is not None else 0)


def is_count_change(deployment: Deployment) -> bool:
    """Whether it only changes how many run: to ECS that is no deployment."""
    return deployment.from_revision == deployment.to_revision


def is_steady(state: AppState) -> bool:
    """Whether exactly what should run does, healthy, and nothing else."""
    if state.target is None:
        return False
    ready = [
        r for r in state.live if r.phase is Phase.READY and r.identity.revision == state.target.id
    ]
    return len(ready) == len(state.live) == state.count


def deployments_of(state: AppState, names: AwsNames) -> tuple[ServiceDeployment, ...]:
    """The newest first, as ECS lists them."""
    if state.target is None:
        return ()
    target = state.target
    old = [
        revision
        for revision in state.revisions.values()
        if revision.id != target.id and any(r.identity.revision == revision.id for r in state.live)
    ]
    made = [_made(state, names, revision) for revision in (target, *old)]
    return (made[0], *sorted(made[1:], key=lambda d: -d.created_at_ms))


def deployment_id_of(state: AppState, names: AwsNames, revision: str) -> str:
    """What ECS calls the deployment of one revision of the App."""
    return names.deployment_id(state.app_id, revision)


def _made(state: AppState, names: AwsNames, revision: Revision) -> ServiceDeployment:
    assert state.target is not None
    is_primary = revision.id == state.target.id
    of_it = [r for r in state.instances if r.identity.revision == revision.id]
    live = [r for r in of_it if r.phase is not Phase.GONE]
    staying = sum(1 for r in live if r.phase < Phase.DRAINING)
    deployment = state.deployment
    brought_by = deployment if deployment and deployment.to_revision == revision.id else None
    created_at_ms = _created_at_ms(of_it, brought_by)
    origin = origin_of(revision.app)
    rollout_state, reason = _rollout(state, names, revision)
    return ServiceDeployment(
        id=names.deployment_id(state.app_id, revision.id),
        is_primary=is_primary,
        revision=revision,
        task_definition=origin.definition_arn(names) if origin else "",
        counts=counts_of(live, desired=state.count if is_primary else staying),
        failed_tasks=_failed_in_a_row(state, revision, of_it),
        created_at_ms=created_at_ms,
        updated_at_ms=_updated_at_ms(brought_by, created_at_ms),
        rollout_state=rollout_state,
        rollout_reason=reason,
    )


def _created_at_ms(records: Sequence[InstanceRecord], brought_by: Deployment | None) -> int:
    """A count change is younger than the deployment whose count it changes."""
    first_ms = min((r.planned_at_ms for r in records), default=None)
    if brought_by is None:
        return first_ms or 0
    if is_count_change(brought_by) and first_ms is not None:
        return min(first_ms, brought_by.started_at_ms)
    return brought_by.started_at_ms


def _updated_at_ms(brought_by: Deployment | None, created_at_ms: int) -> int:
    if brought_by is None:
        return created_at_ms
    return brought_by.ended_at_ms or max(brought_by.progressed_at_ms, brought_by.started_at_ms)


def _failed_in_a_row(state: AppState, revision: Revision, records: Sequence[InstanceRecord]) -> int:
    """Failures since a task of it last came up well."""
    well_ms = max((r.ready_at_ms or 0 for r in records if not r.failed), default=0)
    return sum(1 for f in state.failures if f.revision == revision.id and f.at_ms > well_ms)


def _rollout(state: AppState, names: AwsNames, revision: Revision) -> tuple[str, str]:
    """The rolloutState of one deployment and its reason."""
    deployment, this = state.deployment, names.deployment_id(state.app_id, revision.id)
    assert state.target is not None
    is_primary = revision.id == state.target.id
    if deployment is None or (is_count_change(deployment) and is_primary):
        return COMPLETED, words.completed(this)
    failed = deployment.status is DeploymentStatus.FAILED
    if revision.id == deployment.to_revision:
        if failed:
            return FAILED, words.BREAKER_FAILED
        if deployment.status is DeploymentStatus.RUNNING:
            return IN_PROGRESS, words.in_progress(this)
        return COMPLETED, words.completed(this)
    if is_primary and not is_steady(state):
        if failed:
            return IN_PROGRESS, words.breaker_rolls_back(this)
        if deployment.status is DeploymentStatus.CANCELLED:
            return IN_PROGRESS, words.asked_to_roll_back(this)
    return COMPLETED, words.completed(this)
