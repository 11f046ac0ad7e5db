"""How an instance ended, in Mesos' words. Pure."""

from __future__ import annotations

from portway.core.instance import InstanceRecord

FAILED, FINISHED, KILLED = "TASK_FAILED", "TASK_FINISHED", "TASK_KILLED"


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
