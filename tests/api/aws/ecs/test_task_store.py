"""Tasks as they are found: those that live, those that have stopped, and one that is only just asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from portway.api.aws.ecs.task_store import (
    find_task,
    instance_of,
    live_tasks,
    tasks_in,
    tasks_named,
    tasks_of_service,
)
from portway.api.aws.face import Face
from portway.controller.ecs.histories import keep_stopped
from portway.controller.overview import Overview
from portway.core.ecs.labels import TASK, Origin, labels_of
from portway.core.ecs.tasks import task_id_of
from portway.core.instance import Phase
from portway.core.placement import NodeView
from portway.core.state import AppState
from tests.api.aws.faces import ARNS, made_face
from tests.api.fakes import FakeOperations
from tests.core.ecs.made import APP_ID, NAMES, app, record, state

TASK_ID = "0123456789abcdef0123456789abcdef"


class Overviewed(FakeOperations):
    """Sees these Apps."""

    def __init__(self, *states: AppState) -> None:
        super().__init__()
        nodes = (NodeView(name="local", address="10.0.0.1"),)
        apps = {one.app_id: one for one in states}
        self.seen = Overview(home_id="h", apps=apps, nodes=nodes)

    async def overview(self, stack: str = "", **_: Any) -> Overview:
        return self.seen


def face_of(*states: AppState) -> tuple[Face, Overview]:
    operations = Overviewed(*states)
    return made_face(operations, home_id="h"), operations.seen


def asked_for(*records: Any) -> AppState:
    """An App that RunTask made."""
    origin = Origin(kind=TASK, cluster="c", task_definition=f"{ARNS}task-definition/web:1", task_id=TASK_ID)  # fmt: skip
    labelled = replace(app(), labels=labels_of(origin))
    found = state(*records, of=labelled)
    assert found.target is not None
    return replace(found, target=replace(found.target, app=labelled), revisions={"R1": replace(found.target, app=labelled)})  # fmt: skip


def test_every_instance_of_a_service_is_a_task() -> None:
    records = (record(1, Phase.READY), record(2, Phase.PLANNED))
    face, overview = face_of(state(*records))
    found = live_tasks(face, overview, "c")
    assert [t["lastStatus"] for t in found] == ["RUNNING", "PROVISIONING"]
    assert found[0]["taskArn"] == NAMES.task_arn("c", task_id_of(records[0], NAMES))
    assert live_tasks(face, overview, "d") == []


def test_a_task_that_was_only_just_asked_for_is_there_already() -> None:
    face, overview = face_of(asked_for())
    [task] = live_tasks(face, overview, "c")
    assert (task["taskArn"], task["lastStatus"]) == (f"{ARNS}task/c/{TASK_ID}", "PROVISIONING")


def test_an_app_that_is_no_matter_of_ecs_has_no_tasks() -> None:
    plain = replace(app(), labels={})
    of = state(record(1, Phase.READY), of=plain)
    assert of.target is not None
    bare = replace(of.target, app=plain)
    face, overview = face_of(replace(of, target=bare, revisions={"R1": bare}))
    assert live_tasks(face, overview, "c") == []


async def test_how_a_task_ended_outlives_what_is_seen_of_it() -> None:
    face, overview = face_of(state(record(1, Phase.STOPPING)))
    [leaving] = live_tasks(face, overview, "c")
    stopped = {**leaving, "lastStatus": "STOPPED", "stoppedAt": 9}
    await keep_stopped(face.documents, stopped, APP_ID)
    other = {**stopped, "taskArn": f"{ARNS}task/d/1"}
    await keep_stopped(face.documents, other, "d/web")
    found = await tasks_in(face, "c")
    assert [t["lastStatus"] for t in found.values()] == ["STOPPED"]


@pytest.mark.parametrize(
    ("wanted", "is_found"),
    [
        (TASK_ID, True),
        (f"{ARNS}task/c/{TASK_ID}", True),
        (f"{ARNS}task/{TASK_ID}", True),
        (f"{ARNS}task/d/{TASK_ID}", False),
        (f"{ARNS}service/c/{TASK_ID}", False),
        ("", False),
        ("nope", False),
    ],
)
def test_a_task_goes_by_id_or_arn(wanted: str, is_found: bool) -> None:
    face, overview = face_of(asked_for())
    tasks = {t["taskArn"]: t for t in live_tasks(face, overview, "c")}
    assert (find_task(face, tasks, "c", wanted) is not None) is is_found


def test_the_instance_of_a_task_is_found_by_the_tasks_id() -> None:
    first, second = record(1, Phase.READY), record(2, Phase.READY)
    face, overview = face_of(state(first, second))
    _, task = live_tasks(face, overview, "c")
    of, found = instance_of(face, overview, task)
    assert of is not None
    assert found == second
    assert instance_of(face, overview, {"taskArn": f"{ARNS}task/c/nope"}) == (None, None)


def test_a_task_of_its_own_may_have_no_instance_yet() -> None:
    face, overview = face_of(asked_for())
    [task] = live_tasks(face, overview, "c")
    of, found = instance_of(face, overview, task)
    assert of is not None
    assert found is None
    face, overview = face_of(asked_for(record(1, Phase.STARTED)))
    [task] = live_tasks(face, overview, "c")
    assert instance_of(face, overview, task)[1] == record(1, Phase.STARTED)


async def test_only_the_tasks_that_are_asked_for_are_put_together() -> None:
    first, second = record(1, Phase.READY), record(2, Phase.READY)
    face, overview = face_of(state(first, second))
    wanted, other = live_tasks(face, overview, "c")
    named = await tasks_named(face, "c", [wanted["taskArn"], "nope"])
    assert named == {wanted["taskArn"]: wanted}
    kept = {**other, "taskArn": f"{ARNS}task/c/{TASK_ID}", "lastStatus": "STOPPED"}
    await keep_stopped(face.documents, kept, APP_ID)
    assert await tasks_named(face, "c", [TASK_ID]) == {kept["taskArn"]: kept}
    of_service = await tasks_of_service(face, "c", "web")
    assert set(of_service) == {wanted["taskArn"], other["taskArn"], kept["taskArn"]}
    await keep_stopped(face.documents, {**kept, "group": "family:x", "taskArn": f"{ARNS}task/c/x"}, "c/x")  # fmt: skip
    assert await tasks_of_service(face, "c", "web") == of_service
