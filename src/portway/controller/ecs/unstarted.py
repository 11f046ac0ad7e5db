"""A task of RunTask that finds no host port has failed to start, as the agent of ECS has it: it does not wait for one."""

from __future__ import annotations

from typing import Any

from portway.controller.ecs.facts import task_facts
from portway.controller.world import World
from portway.core.aws_names import AwsNames
from portway.core.ecs.containers import host_config_error
from portway.core.ecs.tasks import shown_task
from portway.core.ecs.to_come import never_to_come, record_to_come
from portway.core.state import AppState


def failed_to_start(
    state: AppState, world: World, names: AwsNames, *, zone: str, now_ms: int
) -> dict[str, Any] | None:
    """The stopped task that such an App becomes; None while it may still start, or has."""
    if state.instances or state.target is None:
        return None
    for one in world.obstacles.get(state.app_id, ()):
        if host_config_error(one.reason):
            asked_at_ms = state.deployment.started_at_ms if state.deployment else now_ms
            record = record_to_come(state.app_id, state.target.id, one.node, asked_at_ms)
            record = never_to_come(record, one.reason, now_ms=now_ms)
            facts = task_facts(record, state, names, None, zone=zone)
            return shown_task(facts, names) if facts else None
    return None
