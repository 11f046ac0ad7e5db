"""What became of a task, and what it went through meanwhile."""

from __future__ import annotations

import pytest

from portway.controller.marathon.endings import ending_of, is_health_kill, states_since
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase

S, G, R, K = "TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"
KILLED, FAILED, FINISHED = "TASK_KILLED", "TASK_FAILED", "TASK_FINISHED"


def record(**given) -> InstanceRecord:
    identity = InstanceIdentity(
        id="a/b.1.1", app_id="a/b", slot=1, serial=1, revision="1", release="1", node="n"
    )
    return InstanceRecord(identity=identity, phase=Phase.GONE, planned_at_ms=1, **given)


@pytest.mark.parametrize(
    ("given", "ended"),
    [
        ({"exit_code": 0}, FINISHED),
        ({"exit_code": 3}, FAILED),
        ({"draining_at_ms": 2, "exit_code": 0}, KILLED),
        ({"stopping_at_ms": 2, "failed": True}, KILLED),
    ],
)
def test_how_it_ended_depends_on_who_ended_it(given, ended) -> None:
    assert ending_of(record(**given))[0] == ended
    assert is_health_kill(record(**given)) is bool(given.get("failed"))


RAN = {"started_at_ms": 2}
ASKED = {**RAN, "draining_at_ms": 3}


@pytest.mark.parametrize(
    ("before", "after", "given", "told"),
    [
        (None, S, {}, [S]),
        (S, S, {}, []),
        (None, R, RAN, [S, G, R]),
        (S, K, ASKED, [G, R, K]),
        (None, KILLED, ASKED, [S, G, R, K, KILLED]),
        (R, KILLED, ASKED, [K, KILLED]),
        (K, KILLED, ASKED, [KILLED]),
        (R, FAILED, RAN, [FAILED]),
        (S, FAILED, {}, [FAILED]),
        (None, FAILED, RAN, [S, G, R, FAILED]),
        (S, K, {"stopping_at_ms": 3}, [K]),
        (R, "TASK_UNREACHABLE", RAN, ["TASK_UNREACHABLE"]),
        ("TASK_UNREACHABLE", KILLED, ASKED, [K, KILLED]),
        ("TASK_UNREACHABLE", R, RAN, [R]),
    ],
)
def test_no_state_is_left_out_when_several_come_at_once(before, after, given, told) -> None:
    assert states_since(before, after, record(**given)) == told
