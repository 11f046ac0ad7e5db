"""The steps of a strategy, and who of the healthy gets no traffic."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.core.app import Rollout, Strategy, StrategyKind
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase
from portway.core.state import AppState, Deployment
from portway.core.strategy import (
    is_midway,
    is_stepwise,
    parse_percent,
    parse_percents,
    resumed,
    standby_ids,
    step_counts,
    steps_of,
)
from tests.simulation.world import revision


def canary(*percents: int) -> Strategy:
    return Strategy(kind=StrategyKind.CANARY, canary_percents=percents)


@pytest.mark.parametrize(
    ("text", "percents"),
    [("10%", (10,)), ("5%,25%,50%", (5, 25, 50)), ("5, 25", (5, 25)), ("1", (1,)), ("99%", (99,))],
)
def test_percentages_ascend(text: str, percents: tuple[int, ...]) -> None:
    assert parse_percents(text) == percents


@pytest.mark.parametrize(
    "text",
    ["", "0", "100%", "25,5", "5,5", "x", "1.5", "-1", "5,,6", "²", ",".join("1" * 30)],
)
def test_other_texts_are_no_percentages(text: str) -> None:
    assert parse_percents(text) is None


@pytest.mark.parametrize(
    ("text", "percent"), [("5%", 5), ("0", 0), ("100%", 100), (" 0.5 % ", 0.5)]
)
def test_a_share_of_requests_is_0_to_100_percent(text: str, percent: float) -> None:
    assert parse_percent(text) == percent


@pytest.mark.parametrize("text", ["", "%", "-1", "101", "1e1", "nan", "5%%", "²", "5.1234", "five"])
def test_other_texts_are_no_share_of_requests(text: str) -> None:
    assert parse_percent(text) is None


@pytest.mark.parametrize(
    ("percents", "count", "counts"),
    [
        ((10,), 10, (1,)),
        ((10,), 3, (1,)),
        ((10,), 1, (1,)),
        ((5, 25, 50), 10, (1, 3, 5)),
        ((5, 10), 3, (1,)),
        ((99,), 10, (10,)),
    ],
)
def test_a_share_is_rounded_up_and_equal_steps_are_one(
    percents: tuple[int, ...], count: int, counts: tuple[int, ...]
) -> None:
    assert step_counts(canary(*percents), count) == counts


@given(
    st.lists(st.integers(1, 99), min_size=1, max_size=20, unique=True).map(sorted),
    st.integers(1, 10_000),
)
def test_steps_grow_and_stay_within_the_count(percents: list[int], count: int) -> None:
    counts = step_counts(canary(*percents), count)
    assert list(counts) == sorted(set(counts))
    assert counts[0] >= 1
    assert counts[-1] <= count


def state(strategy: Strategy, **changes: object) -> AppState:
    fields = {"from_revision": "R1", "from_count": 2, **changes}
    deployment = Deployment(
        id="D",
        to_revision="R2",
        strategy=strategy,
        started_at_ms=0,
        progressed_at_ms=0,
        **fields,  # type: ignore[arg-type]
    )
    return AppState(app_id="shop/web", target=revision("R2"), count=2, deployment=deployment)


def test_a_rolling_deployment_has_no_steps() -> None:
    assert steps_of(state(Strategy())) == ()
    assert not is_midway(state(Strategy()))


@pytest.mark.parametrize(
    "changes",
    [{"from_revision": None}, {"from_revision": "R2"}, {"from_count": 0}, {"from_count": None}],
)
def test_where_nothing_old_serves_there_are_no_steps(changes: dict[str, object]) -> None:
    assert not is_stepwise(state(canary(10), **changes))


def test_nobody_is_on_standby_without_a_deployment() -> None:
    assert standby_ids(AppState(app_id="shop/web", target=None), ()) == frozenset()


def ready(revision_id: str, slots: int) -> list[InstanceRecord]:
    return [
        InstanceRecord(
            identity=InstanceIdentity(
                id=f"{revision_id}.{slot}",
                app_id="shop/web",
                slot=slot,
                serial=slot,
                revision=revision_id,
                release=revision_id,
                node="local",
            ),
            phase=Phase.READY,
            planned_at_ms=0,
        )
        for slot in range(1, slots + 1)
    ]


@pytest.mark.parametrize(
    ("minimum_percent", "old", "waiting"),
    [
        (100, 4, {"R2.2", "R2.3"}),
        (100, 2, {"R2.3"}),
        (100, 1, set()),
        (50, 1, {"R2.2", "R2.3"}),
        (0, 0, set()),  # nobody else is there
    ],
)
def test_new_ones_beyond_the_share_wait_where_the_minimum_serves_without_them(
    minimum_percent: int, old: int, waiting: set[str]
) -> None:
    target = revision("R2", rollout=Rollout(minimum_percent=minimum_percent))
    asked = replace(state(canary(25)), target=target, count=4)
    standby = standby_ids(asked, [*ready("R2", 3), *ready("R1", old)])
    assert {i for i in standby if i.startswith("R2")} == waiting


def test_whoever_has_a_successor_in_its_slot_waits_first() -> None:
    leaving, other = ready("R2", 2)
    identity = replace(leaving.identity, id="R2.1.3", serial=3)
    asked = replace(state(canary(50)), target=revision("R2"), count=4)
    new = [leaving, other, replace(leaving, identity=identity)]
    assert standby_ids(asked, [*new, *ready("R1", 2)]) == {"R2.1"}


def test_the_time_of_a_pause_counts_for_nothing() -> None:
    deployment = state(canary(10), baking_since_ms=5000, paused_at_ms=8000).deployment
    assert deployment is not None
    after = resumed(deployment, now_ms=108_000)
    assert (after.paused_at_ms, after.baking_since_ms, after.progressed_at_ms) == (
        None,
        105_000,
        100_000,
    )
