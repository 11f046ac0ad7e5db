"""Names: what Docker accepts, readable, and never one name for two things."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.engines.docker.names import container_name, network_name, volume_name

DOCKER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
words = st.text(alphabet="a-./", min_size=1, max_size=3) | st.text(alphabet="aB1_ é", min_size=1)
small = st.integers(min_value=1, max_value=2)


def test_a_plain_instance_has_a_plain_name() -> None:
    assert container_name("home1", "httpd/web.1.7") == "portway-home1-httpd-web-1-7"


def test_names_with_dashes_cannot_be_mistaken_for_each_other() -> None:
    first, second = container_name("h", "a-b/c.1.7"), container_name("h", "a/b-c.1.7")
    assert first != second
    assert first.startswith("portway-h-a-b-c-1-7-")
    assert second.startswith("portway-h-a-b-c-1-7-")


@given(st.tuples(words, words, words, small, small), st.tuples(words, words, words, small, small))
def test_different_instances_have_different_container_names_that_docker_accepts(
    first: tuple[str, str, str, int, int], second: tuple[str, str, str, int, int]
) -> None:
    names = [
        container_name(home, f"{stack}/{app}.{slot}.{serial}")
        for home, stack, app, slot, serial in (first, second)
    ]
    ids = [
        (home, f"{stack}/{app}", slot, serial) for home, stack, app, slot, serial in (first, second)
    ]
    assert all(DOCKER_NAME.fullmatch(name) for name in names)
    assert (names[0] == names[1]) == (ids[0] == ids[1])


@given(st.tuples(words, words), st.tuples(words, words))
def test_different_networks_have_different_names_that_docker_accepts(
    first: tuple[str, str], second: tuple[str, str]
) -> None:
    names = [network_name("h", *first), network_name("h", *second), network_name("h", first[0])]
    assert all(DOCKER_NAME.fullmatch(name) for name in names)
    assert (names[0] == names[1]) == (first == second)
    assert names[2] not in names[:2]


@pytest.mark.parametrize("stack", ["httpd", "my-app", "my_app"])
def test_the_network_of_a_stack_is_named_after_it(stack: str) -> None:
    assert network_name("home1", stack) == f"portway-home1-{stack}"


def test_volumes_are_named_as_compose_names_them() -> None:
    assert volume_name("httpd", "data") == "httpd_data"
    assert volume_name("group/httpd", "data") == "group_httpd_data"


def test_an_id_that_is_no_instance_id_still_has_a_name_of_its_own() -> None:
    assert DOCKER_NAME.fullmatch(container_name("h", "nonsense"))
    assert container_name("h", "nonsense") != container_name("h", "nonsense.1.1")
