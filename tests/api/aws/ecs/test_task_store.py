"""Tasks as they are found: those that live, those that have stopped, and one that is only just asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from portway.api.aws.ecs.task_store import Task, find_task, keys_named, tasks_named
from portway.api.aws.face import Face
from portway.controller.ecs.histories import keep_stopped
from portway.controller.ecs.task_index import TaskIndex
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

    async def tasks(self) -> TaskIndex:
        index = TaskIndex()
        for app_id in self.seen.apps:
            index.note(app_id)
        index.refresh(self.seen.apps, "h", "local")
        return index


def face_of(*states: AppState) -> Face:
    return made_face(Overviewed(*states), home_id="h")


async def live(face: Face, cluster: str = "c") -> list[Task]:
    """Every task of the cluster that the planner knows."""
    index = await face.operations.tasks()
    ids = [
        key.task_id for wanted in (True, False) for key in index.after(cluster, "", wanted=wanted)
    ]
    return [*(await tasks_named(face, cluster, ids)).values()]


def asked_for(*records: Any) -> AppState:
    """An App that RunTask made."""
    origin = Origin(kind=TASK, cluster="c", task_definition=f"{ARNS}task-definition/web:1", task_id=TASK_ID)  # fmt: skip
    labelled = replace(app(), labels=labels_of(origin))
    found = state(*records, of=labelled)
    assert found.target is not None
    return replace(found, target=replace(found.target, app=labelled), revisions={"R1": replace(found.target, app=labelled)})  # fmt: skip


async def test_every_instance_of_a_service_is_a_task() -> None:
    records = (record(1, Phase.READY), record(2, Phase.PLANNED))
    face = face_of(state(*records))
    found = {task["taskArn"]: task["lastStatus"] for task in await live(face)}
    told = ("RUNNING", "PROVISIONING")
    arns = [NAMES.task_arn("c", task_id_of(one, NAMES)) for one in records]
    assert found == dict(zip(arns, told, strict=True))
    assert await live(face, "d") == []


async def test_a_task_that_was_only_just_asked_for_is_there_already() -> None:
    [task] = await live(face_of(asked_for()))
    assert (task["taskArn"], task["lastStatus"]) == (f"{ARNS}task/c/{TASK_ID}", "PROVISIONING")


async def test_an_app_that_is_no_matter_of_ecs_has_no_tasks() -> None:
    plain = replace(app(), labels={})
    of = state(record(1, Phase.READY), of=plain)
    assert of.target is not None
    bare = replace(of.target, app=plain)
    assert await live(face_of(replace(of, target=bare, revisions={"R1": bare}))) == []


async def test_how_a_task_ended_outlives_what_is_seen_of_it() -> None:
    face = face_of(state(record(1, Phase.STOPPING)))
    [leaving] = await live(face)
    await keep_stopped(face.documents, {**leaving, "lastStatus": "STOPPED", "stoppedAt": 9}, APP_ID)
    assert [task["lastStatus"] for task in await live(face)] == ["STOPPED"]


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
async def test_a_task_goes_by_id_or_arn(wanted: str, is_found: bool) -> None:
    face = face_of(asked_for())
    tasks = await tasks_named(face, "c", [TASK_ID])
    assert (find_task(face, tasks, "c", wanted) is not None) is is_found
    assert bool(await keys_named(face, "c", [wanted])) is is_found
    assert await keys_named(face, "d", [TASK_ID]) == {}


async def test_only_the_tasks_that_are_asked_for_are_put_together() -> None:
    face = face_of(state(record(1, Phase.READY), record(2, Phase.READY)))
    wanted, other = await live(face)
    named = await tasks_named(face, "c", [wanted["taskArn"], "nope"])
    assert named == {wanted["taskArn"]: wanted}
    kept = {**other, "taskArn": f"{ARNS}task/c/{TASK_ID}", "lastStatus": "STOPPED"}
    await keep_stopped(face.documents, kept, APP_ID)
    assert await tasks_named(face, "c", [TASK_ID]) == {kept["taskArn"]: kept}
