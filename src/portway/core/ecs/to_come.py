"""The instance of a task that was asked for and has none: as it will be, or as one that never could be. Pure."""

from __future__ import annotations

from dataclasses import replace

from portway.core.instance import InstanceIdentity, InstanceRecord, Phase, instance_id


def record_to_come(app_id: str, revision: str, node: str, at_ms: int) -> InstanceRecord:
    """The first instance of an App as it will be."""
    identity = InstanceIdentity(
        id=instance_id(app_id, slot=1, serial=1),
        app_id=app_id,
        slot=1,
        serial=1,
        revision=revision,
        release=revision,
        node=node,
    )
    return InstanceRecord(identity=identity, planned_at_ms=at_ms)


def never_to_come(record: InstanceRecord, why: str, *, now_ms: int) -> InstanceRecord:
    """The same, given up before it began."""
    return replace(record, phase=Phase.GONE, failed=True, reason=why, gone_at_ms=now_ms)
