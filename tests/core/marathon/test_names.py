"""Paths and Apps, task ids and instance ids, times: said one way, and read back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.controller.releasing import APP_NAME, STACK_NAME
from portway.core.marathon.names import (
    TaskName,
    app_id_of,
    executor_name,
    host_name,
    instance_name,
    instance_uuid,
    parse_task_name,
    parse_time,
    path_of,
    safe_path,
    task_name,
    time_text,
)

FEW = settings(max_examples=30)
SEGMENT = st.text("ab1.-", min_size=1, max_size=70).map(lambda text: f"x{text}9")
PATH = st.lists(SEGMENT, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@pytest.mark.parametrize(
    ("path", "app_id"),
    [("/web", "marathon/web"), ("/shop/db/main", "shop/db_main"), ("/shop/web-2", "shop/web-2")],
)
def test_a_path_that_can_be_said_is_said(path: str, app_id: str) -> None:
    assert app_id_of(path) == app_id
    assert path_of(app_id) == path


@pytest.mark.parametrize(
    ("path", "begins"),
    [
        ("/a.b", "marathon/a-b-"),
        ("/marathon/web", "marathon/web-"),
        ("/shop/" + "x" * 80, "shop/" + "x" * 50 + "-"),
        ("/" + "s" * 80 + "/web", "s" * 50 + "-"),
    ],
)
def test_any_other_gets_a_slug_and_six_letters(path: str, begins: str) -> None:
    found = app_id_of(path)
    assert found.startswith(begins)
    assert re.search(r"-[0-9a-f]{6}$", found)


@FEW
@given(PATH)
def test_every_path_has_a_name_that_stacks_and_apps_may_have(path: str) -> None:
    stack, _, name = app_id_of(path).partition("/")
    assert STACK_NAME.fullmatch(stack)
    assert APP_NAME.fullmatch(name)


@FEW
@given(st.lists(PATH, unique=True, min_size=2, max_size=8))
def test_two_paths_are_two_apps(paths: list[str]) -> None:
    assert len({app_id_of(path) for path in paths}) == len(paths)


def test_a_path_is_a_host_name_backwards_and_begins_task_ids_with_underscores() -> None:
    assert host_name("/product/frontend") == "frontend.product"
    assert host_name("/") == ""
    assert safe_path("/product/frontend") == "product_frontend"


def test_ids_are_the_same_for_ever_and_others_in_another_home() -> None:
    one = instance_uuid("shop/web.1.7", home_id="a")
    assert one == instance_uuid("shop/web.1.7", home_id="a")
    assert one != instance_uuid("shop/web.1.7", home_id="b")
    assert one != instance_uuid("shop/web.1.8", home_id="a")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", one)


def test_a_task_id_is_the_instances_with_its_container_and_its_attempt() -> None:
    name = instance_name("/shop/web", "shop/web.1.7", home_id="a")
    task = task_name("/shop/web", "shop/web.1.7", home_id="a")
    assert task == f"{name}._app.1"
    assert parse_task_name(task) == TaskName(instance=name, container="_app", attempt=1)
    assert parse_task_name(name) == TaskName(instance=name)
    pod = task_name("/shop/web", "shop/web.1.7", home_id="a", container="side")
    assert parse_task_name(pod) == TaskName(instance=name, container="side", attempt=1)
    executor = executor_name("/shop/web", "shop/web.1.7", home_id="a")
    assert executor == f"instance-shop_web.{name.rpartition('.instance-')[2]}"


@FEW
@given(PATH, st.text(min_size=1, max_size=20))
def test_every_task_id_is_read_back(path: str, instance_id: str) -> None:
    task = task_name(path, instance_id, home_id="h")
    assert parse_task_name(task) == TaskName(
        instance=instance_name(path, instance_id, home_id="h"), container="_app", attempt=1
    )


@pytest.mark.parametrize("text", ["", "web", "web.1.7", "web.instance-1234", "/web", "a.b.c"])
def test_what_is_no_task_id_is_none(text: str) -> None:
    assert parse_task_name(text) is None


def test_a_task_id_of_an_older_marathon_is_one_that_nobody_has() -> None:
    text = "app.b6ff5fa5-7714-11e7-a55c-5ecf1c4671f6"
    assert parse_task_name(text) == TaskName(instance=text)


@FEW
@given(st.integers(min_value=0, max_value=4_000_000_000_000))
def test_times_are_read_back_to_the_millisecond(at_ms: int) -> None:
    assert parse_time(time_text(at_ms)) == at_ms


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("1970-01-01T00:00:00.000Z", 0),
        ("2015-02-03T12:30:00.007Z", 1422966600007),
        ("2015-02-30T12:30:00.007Z", None),
        ("2015-02-03T12:30:00Z", None),
        ("yesterday", None),
    ],
)
def test_a_time_has_three_digits_of_milliseconds_and_ends_with_z(
    text: str, at_ms: int | None
) -> None:
    assert parse_time(text) == at_ms
