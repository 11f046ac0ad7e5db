"""How many must serve and how many may live while one revision replaces another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.core.app import App, NetworkMode, PortSpec, Rollout
from portway.core.capacity import Capacity, capacity, failure_threshold, replaces_in_place


@pytest.mark.parametrize(
    ("count", "minimum", "maximum", "bounds"),
    [
        (4, 100, 200, (4, 8)),
        (4, 50, 100, (2, 4)),
        (3, 50, 100, (2, 3)),
        (1, 50, 200, (1, 2)),
        (1, 50, 100, (1, 2)),
        (4, 100, 100, (4, 5)),
        (2, 0, 100, (0, 2)),
        (3, 100, 150, (3, 4)),
        (5, 100, 110, (5, 6)),
        (0, 100, 200, (0, 1)),
        (4, 200, 200, (4, 8)),
        (4, 50, 50, (2, 4)),
    ],
    ids=[
        "as compose does",
        "half may go",
        "half of three is two",
        "half of one is one",
        "equal after rounding: one more may live",
        "equal: one more may live",
        "all may go",
        "half as many more, rounded down",
        "a tenth of five is none, so one more may live",
        "none wanted",
        "never more healthy than wanted",
        "never fewer alive than wanted",
    ],
)
def test_bounds_round_as_marathon_and_ecs_do(
    count: int, minimum: int, maximum: int, bounds: tuple[int, int]
) -> None:
    rollout = Rollout(minimum_percent=minimum, maximum_percent=maximum)
    assert capacity(count, rollout) == Capacity(minimum_healthy=bounds[0], maximum_live=bounds[1])


@pytest.mark.parametrize(("count", "minimum"), [(3, 2), (1, 0), (0, 0)])
def test_a_successor_that_cannot_stand_beside_its_predecessor_comes_after_it(
    count: int, minimum: int
) -> None:
    bounds = capacity(count, Rollout(), one_at_a_time=True)
    assert bounds == Capacity(minimum_healthy=minimum, maximum_live=count)


@given(
    count=st.integers(1, 300),
    minimum=st.integers(0, 200),
    maximum=st.integers(0, 400),
    in_place=st.booleans(),
)
def test_a_deployment_can_always_move(
    count: int, minimum: int, maximum: int, in_place: bool
) -> None:
    rollout = Rollout(minimum_percent=minimum, maximum_percent=maximum)
    bounds = capacity(count, rollout, one_at_a_time=in_place)
    assert 0 <= bounds.minimum_healthy <= count <= bounds.maximum_live
    assert bounds.minimum_healthy < bounds.maximum_live


def app(host_port: int | None) -> App:
    return App(id="s/web", ports=(PortSpec(name="80", container_port=80, host_port=host_port),))


@pytest.mark.parametrize(
    ("host_port", "count", "nodes", "in_place"),
    [(None, 1, 1, False), (8080, 1, 1, True), (8080, 1, 2, False), (8080, 2, 2, True)],
)
def test_a_fixed_host_port_taken_on_every_node_is_replaced_in_place(
    host_port: int | None, count: int, nodes: int, in_place: bool
) -> None:
    assert replaces_in_place(app(host_port), count=count, nodes=nodes) is in_place


@pytest.mark.parametrize(
    ("count", "threshold"), [(0, 3), (1, 3), (6, 3), (7, 4), (100, 50), (400, 200), (10_000, 200)]
)
def test_a_deployment_fails_after_half_of_its_count_within_3_and_200(
    count: int, threshold: int
) -> None:
    assert failure_threshold(count) == threshold


@pytest.mark.parametrize(
    ("count", "ratio", "threshold"),
    [(10, 0.0, 1), (10, 0.1, 2), (10, 0.3, 4), (3, 0.2, 1), (4, 1, 5)],
)
def test_with_a_ratio_it_fails_when_more_than_that_share_did(
    count: int, ratio: float, threshold: int
) -> None:
    assert failure_threshold(count, ratio) == threshold


def test_a_port_on_the_nodes_own_network_is_fixed_too() -> None:
    own = App(
        id="s/web",
        ports=(PortSpec(name="p", container_port=80), PortSpec(name="any", container_port=0)),
        network_mode=NetworkMode.HOST,
    )
    assert own.fixed_host_ports == (80,)
    assert replaces_in_place(own, count=1, nodes=1)
