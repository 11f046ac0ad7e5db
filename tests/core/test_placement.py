"""Which node the next instance goes to."""

from __future__ import annotations

import pytest

from portway.core.placement import NodeView, place


def nodes(*names: str, away: tuple[str, ...] = ()) -> list[NodeView]:
    return [NodeView(name=n, address="10.0.0.1", available=n not in away) for n in names]


@pytest.mark.parametrize(
    ("of_app", "in_all", "chosen"),
    [
        ({"a": 2, "b": 1, "c": 2}, {"a": 2, "b": 9, "c": 2}, "b"),
        ({"a": 1, "b": 1, "c": 1}, {"a": 5, "b": 4, "c": 3}, "c"),
        ({"a": 1, "b": 1, "c": 1}, {"a": 3, "b": 3, "c": 3}, "a"),
        ({}, {}, "a"),
        ({"a": 1}, {"a": 1, "b": 7}, "c"),
    ],
    ids=["fewest of the app", "then fewest in all", "then by name", "empty", "unlisted means none"],
)
def test_the_next_instance_goes_where_the_fewest_are(
    of_app: dict[str, int], in_all: dict[str, int], chosen: str
) -> None:
    found = place(nodes("c", "b", "a"), app_instances=of_app, all_instances=in_all)
    assert found == chosen


def test_a_node_that_is_away_gets_nothing() -> None:
    found = place(nodes("a", "b", away=("a",)), app_instances={"b": 9}, all_instances={"b": 9})
    assert found == "b"


def test_without_an_available_node_there_is_no_place() -> None:
    assert place(nodes("a", away=("a",)), app_instances={}, all_instances={}) is None
    assert place([], app_instances={}, all_instances={}) is None
