"""The instance of a task that was asked for and has none."""

from __future__ import annotations

from portway.core.ecs.tasks import never_ran
from portway.core.ecs.to_come import never_to_come, record_to_come
from portway.core.instance import Phase, instance_id


def test_a_task_to_come_is_the_first_instance_of_its_app() -> None:
    record = record_to_come("c/web-1", "R1", "local", 7)
    assert record.id == instance_id("c/web-1", slot=1, serial=1)
    assert (record.phase, record.planned_at_ms, record.identity.node) == (Phase.PLANNED, 7, "local")
    assert record.identity.revision == record.identity.release == "R1"


def test_one_that_never_comes_has_ended_without_running() -> None:
    gone = never_to_come(record_to_come("c/web-1", "R1", "local", 7), "no port", now_ms=9)
    assert (gone.phase, gone.failed, gone.reason, gone.gone_at_ms) == (Phase.GONE, True, "no port", 9)  # fmt: skip
    assert never_ran(gone)
