"""Which failures are one: what a dying daemon or machine takes along has failed once, what is started since anew."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.failures import FAILURES_KEPT, recent_failures, rounds, with_failure
from portway.core.starting import is_crash_looping
from portway.core.state import AppState, Failure
from tests.simulation.world import World, revision

S = 1000


def failure(at_s: float, *, started_s: float | None = 0.0, slot: int = 1) -> Failure:
    return Failure(
        at_ms=int(at_s * S),
        instance_id=f"shop/web.{slot}.{slot}",
        revision="R1",
        reason="x",
        started_at_ms=None if started_s is None else int(started_s * S),
    )


def noted(failures: list[Failure], *, count: int = 1) -> AppState:
    state = AppState(app_id="shop/web", target=revision("R1"), count=count)
    for each in failures:
        state = replace(state, failures=with_failure(state, each))
    return state


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([], 0),
        ([failure(10), failure(10), failure(10.5)], 1),
        ([failure(10), failure(90)], 1),
        ([failure(10), failure(12, started_s=11)], 2),
        ([failure(10), failure(12, started_s=11), failure(13, started_s=11)], 2),
        ([failure(10), failure(11.5, started_s=10.9)], 1),
        ([failure(10, started_s=None), failure(10.2, started_s=None)], 1),
        ([failure(10, started_s=None), failure(11, started_s=None)], 2),
    ],
)
def test_what_ran_when_others_failed_and_fails_too_has_failed_with_them(
    failures: list[Failure], expected: int
) -> None:
    assert len(rounds(failures)) == expected


def test_a_daemon_that_dies_with_all_its_instances_is_no_crash_loop() -> None:
    together = [failure(10, slot=n) for n in range(1, 101)]
    assert not is_crash_looping(noted(together, count=100), now_ms=11 * S)


def test_of_more_failures_than_are_kept_each_round_is_still_known() -> None:
    loop = [
        failure(10 * at + 5, started_s=10 * at, slot=n)
        for at in range(1, 6)
        for n in range(1, FAILURES_KEPT + 1)
    ]
    state = noted(loop, count=FAILURES_KEPT)
    assert len(rounds(recent_failures(state, "R1", now_ms=60 * S))) == 5
    assert len(state.failures) <= FAILURES_KEPT + 5


def test_so_many_failures_are_kept_as_end_a_deployment() -> None:
    made = revision("R1")
    breaker = replace(made.app.rollout.breaker, threshold=300)
    app = replace(made.app, rollout=replace(made.app.rollout, breaker=breaker))
    state = AppState(app_id="shop/web", target=replace(made, app=app), count=600)
    for n in range(1, 401):
        state = replace(state, failures=with_failure(state, failure(10, slot=n)))
    assert 300 <= len(state.failures) <= 301


def test_twenty_instances_that_die_at_once_are_started_again_after_a_second() -> None:
    world = World()
    world.deploy(revision("R1"), count=20)
    world.run()
    died_ms = world.now_ms
    for instance_id in list(world.instances):
        world.exit(instance_id, 137)
    world.run()
    assert len(world.state.live) == 20
    assert all(died_ms + S <= r.planned_at_ms <= died_ms + 3 * S for r in world.state.live)
