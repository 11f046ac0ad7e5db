"""Tasks by id and in order, without a look at those that did not change."""

from __future__ import annotations

from dataclasses import replace

from portway.controller.ecs.task_index import TaskIndex
from portway.core.ecs.tasks import task_id_of
from portway.core.instance import InstanceRecord, Phase
from portway.core.state import AppState
from tests.core.ecs.made import APP_ID, NAMES, record, state


class Around:
    """An index of the tasks of one service."""

    def __init__(self, *records: InstanceRecord) -> None:
        self.index, self.apps = TaskIndex(), dict[str, AppState]()
        self.has(*records)

    def has(self, *records: InstanceRecord) -> None:
        self.apps = {APP_ID: state(*records)} if records else {}
        self.index.note(APP_ID)
        self.refresh()

    def refresh(self) -> None:
        self.index.refresh(self.apps, NAMES.home_id, "local")

    def ids(self, *, wanted: bool = True, after: str = "") -> list[str]:
        return [key.task_id for key in self.index.after("c", after, wanted=wanted)]


def ids_of(*records: InstanceRecord) -> list[str]:
    return sorted(task_id_of(one, NAMES) for one in records)


def test_tasks_are_in_the_order_of_their_ids_and_found_by_them() -> None:
    records = tuple(record(n, Phase.READY) for n in range(1, 101))
    around = Around(*records)
    assert around.ids() == ids_of(*records)
    assert around.ids(after=around.ids()[89]) == around.ids()[90:]
    assert [key.task_id for key in around.index.of_app(APP_ID, around.ids()[89], wanted=True)] == around.ids()[90:]  # fmt: skip
    key = around.index.find(around.ids()[0])
    assert key is not None
    assert (key.app_id, key.cluster, key.is_service, key.group) == (APP_ID, "c", True, "service:web")  # fmt: skip
    assert around.index.find("nope") is None


def test_what_changes_comes_and_goes_is_so_at_the_next_look() -> None:
    first, second, third = (record(n, Phase.READY) for n in (1, 2, 3))
    around = Around(first, second)
    key = around.index.find(task_id_of(second, NAMES))
    leaving = replace(first, phase=Phase.DRAINING)
    around.has(leaving, second, third)
    assert around.ids() == ids_of(second, third)
    assert around.ids(wanted=False) == ids_of(first)
    assert around.index.find(task_id_of(second, NAMES)) is key  # not made anew
    around.has()
    assert around.ids() == around.ids(wanted=False) == []
    assert around.index.find(task_id_of(second, NAMES)) is None


def test_many_at_once_are_as_few_one_by_one() -> None:
    records = [record(n, Phase.READY) for n in range(1, 301)]
    at_once, by_turns = Around(*records), Around(records[0])
    for count in (2, 5, 200, 150, 300):
        by_turns.has(*records[:count])
        assert by_turns.ids() == ids_of(*records[:count])
    assert by_turns.ids() == at_once.ids()


def test_what_was_not_noted_is_not_looked_at() -> None:
    around = Around(record(1, Phase.READY))
    around.apps = {}
    around.refresh()
    assert len(around.ids()) == 1


def test_what_came_and_went_unseen_leaves_nothing() -> None:
    around = Around(record(1, Phase.READY))
    around.index.note("c/once")
    around.index.note("c/once", is_there=False)
    around.apps = {**around.apps, "c/once": replace(state(record(2, Phase.READY)), app_id="c/once")}
    around.refresh()
    assert len(around.ids()) == 1
