"""How an instance ended, in Mesos' words. Pure."""

from __future__ import annotations

from portway.core.instance import InstanceRecord

FAILED, FINISHED, KILLED = "TASK_FAILED", "TASK_FINISHED", "TASK_KILLED"
STAGING, STARTING = "TASK_STAGING", "TASK_STARTING"
RUNNING, KILLING = "TASK_RUNNING", "TASK_KILLING"
_RANKS = {STAGING: 0, STARTING: 1, RUNNING: 2, "TASK_UNREACHABLE": 2, KILLING: 3}
_ENDED = 4


def ending_of(record: InstanceRecord) -> tuple[str, str]:
    """The state of the task of an instance that is gone, and a message about it."""
    left_by_itself = record.draining_at_ms is None and record.stopping_at_ms is None
    if is_health_kill(record):
        return KILLED, f"Task was killed since health check failed. Reason: {record.reason}"
    if left_by_itself and record.exit_code == 0:
        return FINISHED, record.reason or "the task ended with exit code 0"
    if left_by_itself or record.failed:
        return FAILED, record.reason or "the task ended"
    return KILLED, record.reason or "Task was killed"


def is_health_kill(record: InstanceRecord) -> bool:
    """Whether it was taken away because it was found to fail, not because it ended."""
    asked = record.draining_at_ms is not None or record.stopping_at_ms is not None
    return asked and record.failed


def states_since(before: str | None, after: str, record: InstanceRecord) -> list[str]:
    """The states a task went through since one was told, none left out because several came at once."""
    if before == after:
        return []
    rank_before = -1 if before is None else _RANKS.get(before, _ENDED)
    rank_after = _RANKS.get(after, _ENDED)
    asked = record.draining_at_ms is not None or record.stopping_at_ms is not None
    ran = record.started_at_ms is not None
    passed = {STAGING: True, STARTING: ran, RUNNING: ran, KILLING: asked}
    between = [s for s, was in passed.items() if was and rank_before < _RANKS[s] < rank_after]
    return [*between, after]
