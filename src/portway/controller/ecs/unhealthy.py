"""Which tasks of a service are unhealthy at this moment, and the sentence of each: where it fails, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from portway.controller.balancing.registry import Registry
from portway.controller.world import World
from portway.core.app import TargetBinding
from portway.core.aws_names import AwsNames
from portway.core.balancing.classic_serving import FAILED as FAILED_CLASSIC
from portway.core.balancing.model import TargetGroup, TargetType, is_classic
from portway.core.balancing.serving import Standing
from portway.core.balancing.targets import FAILED, TIMED_OUT, TargetState, host_port_of
from portway.core.ecs import words
from portway.core.ecs.labels import Origin, revision_of
from portway.core.ecs.tasks import task_id_of
from portway.core.health import HealthStatus
from portway.core.instance import InstanceRecord, Phase
from portway.core.state import AppState, Revision

# How the reason of an instance begins that was let go for its checks.
_LET_GO = re.compile(r"(?:unhealthy: |it did not become healthy within \d+ s: )")


class Groups(Protocol):
    """What of the target groups is looked at."""

    @property
    def registry(self) -> Registry: ...
    def standings(self, group: TargetGroup) -> list[Standing]: ...


def unhealthy_words(
    state: AppState, origin: Origin, world: World, names: AwsNames, groups: Groups, *, now_ms: int
) -> Mapping[str, str]:
    """By instance, what is said of it. Within its grace period nothing is."""
    telling = _Telling(state, origin, names, groups)
    told: dict[str, str] = {}
    for record in state.live:
        revision = revision_of(state, record)
        if revision is None or _is_young(record, revision, now_ms):
            continue
        said = telling.of_targets(record, revision) or telling.of_its_end(record, revision)
        if not said and record.phase < Phase.DRAINING and _fails(world, record):
            said = telling.of_container(record)
        if said:
            told[record.id] = said
    return told


def _is_young(record: InstanceRecord, revision: Revision, now_ms: int) -> bool:
    grace_s = revision.app.health_grace_s
    if not grace_s or record.phase >= Phase.DRAINING:
        return False  # whoever let it go knew that it was not
    return now_ms < (record.started_at_ms or now_ms) + int(grace_s * 1000)


def _fails(world: World, record: InstanceRecord) -> bool:
    health = world.health.get(record.id)
    return health is not None and health.status is HealthStatus.FAILING


class _Telling:
    """The sentences of one service's tasks."""

    def __init__(self, state: AppState, origin: Origin, names: AwsNames, groups: Groups) -> None:
        self._origin, self._names, self._groups = origin, names, groups
        self._failing: dict[str, tuple[str, str]] = {}  # by instance: the group and its reason
        bound = {t.group for r in state.live if (v := revision_of(state, r)) for t in v.app.targets}
        for arn in sorted(bound):
            group = groups.registry.group(arn)
            for member, health in groups.standings(group) if group else ():
                if member.instance_id and health.state is TargetState.UNHEALTHY:
                    self._failing.setdefault(member.instance_id, (arn, health.description))

    def of_targets(self, record: InstanceRecord, revision: Revision) -> str:
        """Of one that a target group finds unhealthy now."""
        if record.id not in self._failing or record.phase >= Phase.DRAINING:
            return ""
        arn, reason = self._failing[record.id]
        binding = next((b for b in revision.app.targets if b.group == arn), None)
        return self._target(record, revision, binding, reason) if binding else ""

    def of_its_end(self, record: InstanceRecord, revision: Revision) -> str:
        """Of one that was let go: a target that drains has no health any more, but its reason has."""
        if not record.failed or record.phase not in (Phase.DRAINING, Phase.STOPPING):
            return ""
        detail = _LET_GO.sub("", record.reason.partition("\n")[0], count=1)
        bound = next(iter(revision.app.targets), None)
        if bound is not None and detail.startswith((FAILED, TIMED_OUT)):
            reason = FAILED_CLASSIC if is_classic(bound.group) else detail
            return self._target(record, revision, bound, reason)
        return self.of_container(record)

    def of_container(self, record: InstanceRecord) -> str:
        """Of one whose own check fails."""
        return words.failed_container_checks(self._origin.service, task_id_of(record, self._names))

    def _target(
        self, record: InstanceRecord, revision: Revision, binding: TargetBinding, reason: str
    ) -> str:
        group = self._groups.registry.group(binding.group)
        if group is not None and group.target_type is TargetType.IP:
            return words.unhealthy_address(
                self._origin.service,
                task=task_id_of(record, self._names),
                container_port=binding.container_port,
                group=binding.group,
                reason=reason,
            )
        return words.unhealthy_target(
            self._origin.service,
            ec2_instance=self._names.ec2_instance_id(record.identity.node),
            host_port=host_port_of(record, revision.app, binding) or 0,
            group=binding.group,
            reason=reason,
        )
