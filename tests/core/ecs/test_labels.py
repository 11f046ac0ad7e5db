"""Where an App came from, as labels."""

from __future__ import annotations

from portway.core.app import App
from portway.core.ecs.labels import TASK, Origin, labels_of, origin_of, origin_of_state
from tests.core.ecs import made


def test_an_origin_comes_back_from_its_labels() -> None:
    task = Origin(kind=TASK, cluster="C", task_definition="arn:x/job:2", started_by="me", group="g")
    for origin in (made.origin(), task):
        assert origin_of(App(id="c/x", labels=labels_of(origin))) == origin


def test_an_app_made_otherwise_has_none() -> None:
    assert origin_of(App(id="c/x", labels={"portway.ecs.kind": "other"})) is None
    assert origin_of(App(id="c/x")) is None


def test_a_task_belongs_to_its_service_or_family_unless_it_says_a_group() -> None:
    assert made.origin().task_group == "service:web"
    task = Origin(kind=TASK, cluster="c", task_definition="arn:x/job:2")
    assert task.family == "job"
    assert task.task_group == "family:job"
    assert Origin(kind=TASK, cluster="c", group="g").task_group == "g"


def test_an_app_on_its_way_out_is_known_by_what_it_ran() -> None:
    assert origin_of_state(made.state(target=None)) == made.origin()
