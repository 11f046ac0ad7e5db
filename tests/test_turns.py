"""Tests of one group stay on one worker, and what waits for services comes before what only computes."""

from __future__ import annotations

from dataclasses import dataclass

from tests.turns import group_of, put_in_order


@dataclass
class Item:
    """As much of a test as its turn depends on."""

    nodeid: str
    marks: tuple[str, ...] = ()

    def get_closest_marker(self, name: str) -> str | None:
        return name if name in self.marks else None


PLAIN = Item("tests/core/test_a.py::test_one")
DOCKER = Item("tests/e2e/test_b.py::test_two", ("docker", "haproxy"))
OTHER_DOCKER = Item("tests/engines/test_c.py::test_three", ("docker",))
BESIDE_DOCKER = Item("tests/engines/test_c.py::test_four")
HAPROXY = Item("tests/e2e/test_d.py::test_five", ("haproxy",))
BESIDE_HAPROXY = Item("tests/e2e/test_d.py::test_six")
SEEDS = Item("tests/simulation/test_e.py::test_seven[0-19]")


def test_everything_on_docker_is_one_group_and_else_a_file_is() -> None:
    assert group_of(DOCKER) == group_of(OTHER_DOCKER) == "docker"  # type: ignore[arg-type]
    assert group_of(BESIDE_DOCKER) == "tests/engines/test_c.py"  # type: ignore[arg-type]
    assert group_of(HAPROXY) == group_of(BESIDE_HAPROXY)  # type: ignore[arg-type]


def test_the_seeds_of_a_simulation_are_shared_out() -> None:
    assert group_of(SEEDS) == SEEDS.nodeid  # type: ignore[arg-type]


def test_docker_comes_first_then_whole_files_of_services_then_the_rest() -> None:
    items = [PLAIN, BESIDE_HAPROXY, OTHER_DOCKER, BESIDE_DOCKER, HAPROXY, DOCKER, SEEDS]
    put_in_order(items)  # type: ignore[arg-type]
    expected = [OTHER_DOCKER, DOCKER, BESIDE_HAPROXY, HAPROXY, PLAIN, BESIDE_DOCKER, SEEDS]
    assert items == expected
