"""What a deploy reads of this machine: the files of a project, and which belong together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portway.cli.project import read_project
from portway.core.errors import RequestError
from tests.cli.conftest import Run

TASK = json.dumps({"family": "web", "containerDefinitions": [{"name": "web", "image": "x", "memory": 64}]})  # fmt: skip
SERVICE = json.dumps({"serviceName": "front", "taskDefinition": "web", "desiredCount": 2})


@pytest.fixture(autouse=True)
def directory(workdir: Path) -> Path:
    (workdir / "taskdef.json").write_text(TASK)
    (workdir / "service.json").write_text(SERVICE)
    return workdir


def names(*sources: str) -> list[str]:
    return [app.id for app in read_project(*sources, stack=None).manifest.apps]


def test_a_directory_with_a_task_definition_takes_the_service_beside_it() -> None:
    assert names(".") == ["work/front"]


def test_a_file_that_is_named_is_taken_alone() -> None:
    assert names("taskdef.json") == ["work/web"]


def test_files_may_be_named_in_any_order() -> None:
    assert names("service.json", "taskdef.json") == ["work/front"]
    body = read_project("taskdef.json", "service.json", stack="s").body()
    assert (body["manifest_name"], body["files"]) == ("taskdef.json", {"service.json": SERVICE})


def test_a_compose_file_in_the_directory_goes_first(directory: Path) -> None:
    (directory / "compose.yml").write_text("services: {db: {image: x}}")
    assert names(".") == ["work/db"]
    with pytest.raises(RequestError, match="is deployed alone"):
        names("compose.yml", "taskdef.json")


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        (("taskdef.json", "none.json"), "There is no file none.json"),
        (("taskdef.json", "./taskdef.json"), "taskdef.json is given twice"),
    ],
)
def test_a_file_that_cannot_be_one_of_them_is_refused(sources: tuple[str, ...], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        names(*sources)


def test_start_says_what_runs_files_of_ecs(run: Run) -> None:
    done = run("start", "taskdef.json")
    assert done.code == 2
    assert "portway deploy taskdef.json runs it" in done.err


def test_a_marathon_file_is_found_in_its_directory_and_not_started_in_the_foreground(
    run: Run, workdir: Path
) -> None:
    for path in workdir.glob("*.json"):
        path.unlink()
    (workdir / "marathon.json").write_text('{"id": "/web", "cmd": "sleep 1000"}')
    assert names(".") == ["work/web"]
    assert "marathon.json is one of Marathon" in run("start").err
