"""Back-off as Marathon has it: what it grows with, what it does not, and when it is forgotten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import App, Backoff, Breaker, Rollout
from portway.core.backoff import Delay, delay_of, without_delay
from portway.core.health import HealthStatus
from portway.core.instance import Phase
from portway.core.placement import Misfit
from portway.core.state import AppState, Failure
from tests.simulation.world import World, revision

DOUBLING = Backoff(first_s=10.0, factor=2.0, maximum_s=300.0)
PATIENT = Rollout(progress_deadline_s=0.0, breaker=Breaker(enabled=False))


def failed(*ats_s: float, backoff: Backoff | None = DOUBLING, **fields: object) -> AppState:
    failures = tuple(
        Failure(at_ms=int(s * 1000), instance_id="x", revision="R1", reason="it broke")
        for s in ats_s
    )
    target = revision("R1", backoff=backoff)
    state = AppState(app_id="shop/web", target=target, failures=failures)
    return replace(state, **fields)  # type: ignore[arg-type]


def delay(state: AppState, at_s: float) -> Delay | None:
    return delay_of(state, now_ms=int(at_s * 1000))


@pytest.mark.parametrize(
    ("ats_s", "expected_s"),
    [((0.0,), 10.0), ((0.0, 10.0), 20.0), ((0.0, 10.0, 30.0), 40.0), ((0,) * 10, 300.0)],
)
def test_it_grows_by_its_factor_up_to_its_maximum(
    ats_s: tuple[float, ...], expected_s: float
) -> None:
    found = delay(failed(*ats_s), ats_s[-1])
    assert found is not None
    assert found.delay_s == expected_s
    assert found.until_ms == int((ats_s[-1] + expected_s) * 1000)
    assert found.reason == "it broke"


def test_the_first_is_no_longer_than_the_maximum() -> None:
    found = delay(failed(0.0, backoff=Backoff(first_s=50.0, factor=2.0, maximum_s=5.0)), 0.0)
    assert found is not None
    assert found.delay_s == 5.0


def test_it_is_over_at_its_end_and_forgotten_a_maximum_later() -> None:
    state = failed(0.0)
    found = delay(state, 10.0)
    assert found is not None
    assert found.is_over(10_000)
    assert not found.is_over(9_999)
    assert delay(state, 300.0) is not None
    assert delay(state, 300.1) is None


def test_one_long_after_the_last_begins_anew() -> None:
    found = delay(failed(0.0, 10.0, 311.0), 311.0)
    assert found is not None
    assert found.delay_s == 10.0


def test_what_ran_for_long_before_it_failed_begins_anew_and_what_just_started_does_not() -> None:
    first = Failure(at_ms=0, instance_id="x", revision="R1", reason="it broke")
    late = replace(first, at_ms=400_000, started_at_ms=20_000)
    soon = replace(first, at_ms=400_000, started_at_ms=390_000)
    began_anew = delay(failed(failures=(first, late)), 400.0)
    grew = delay(failed(failures=(first, soon)), 400.0)
    assert began_anew is not None
    assert began_anew.delay_s == 10.0
    assert grew is not None
    assert grew.delay_s == 20.0


def test_another_revision_has_none_and_neither_has_an_app_without_back_off() -> None:
    assert delay(failed(0.0, target=revision("R2", backoff=DOUBLING)), 0.0) is None
    assert delay(failed(0.0, backoff=None), 0.0) is None
    assert delay(failed(0.0, target=None), 0.0) is None


def test_whoever_was_ended_by_others_does_not_count() -> None:
    state = failed(0.0)
    killed = tuple(replace(f, by_others=True) for f in state.failures)
    assert delay(replace(state, failures=killed), 0.0) is None


def test_it_can_be_forgotten_at_once_for_what_should_run_alone() -> None:
    other = Failure(at_ms=0, instance_id="y", revision="R0", reason="x")
    state = failed(0.0)
    state = replace(state, failures=(other, *state.failures))
    assert without_delay(state).failures == (other,)
    assert without_delay(without_delay(state)) == without_delay(state)
    deleted = replace(state, target=None)
    assert without_delay(deleted) is deleted


def world_of(**fields: object) -> World:
    world = World()
    fields = {"backoff": DOUBLING, "rollout": PATIENT, **fields}
    world.deploy(revision("R1", **fields), count=1)
    return world


def test_what_exits_is_started_again_ever_more_slowly_and_the_plan_says_when() -> None:
    world = world_of(image="crash")
    starts: list[int] = []
    for _ in range(200):
        plan = world.step()
        known = {r.id: r for r in world.state.instances}
        starts += [r.planned_at_ms for r in known.values() if r.planned_at_ms not in starts]
        if len(starts) == 4:
            break
        if plan.state == world.plan().state and plan.wake_at_ms is not None:
            (blocked,) = [b for b in plan.blocked if b.code == Misfit.DELAYED] or [None]
            if blocked is not None:
                assert blocked.reason.startswith("the next start is in ")
                world.now_ms = plan.wake_at_ms
    gaps = [(b - a) // 1000 for a, b in zip(starts, starts[1:], strict=False)]
    assert gaps == [10, 20, 40]


def test_whoever_finishes_counts_and_whoever_is_killed_for_its_check_does_not() -> None:
    finished = world_of()
    finished.run()
    finished.exit(finished.state.live[0].id, 0)
    finished.step()
    assert delay_of(finished.state, now_ms=finished.now_ms) is not None
    sick = world_of()
    sick.run()
    (before,) = sick.state.live
    sick.set_health(before.id, HealthStatus.FAILING)
    sick.step()
    assert delay_of(sick.state, now_ms=sick.now_ms) is None
    sick.run()
    after = {r.id: r.phase for r in sick.state.live}
    assert Phase.READY in after.values()
    assert before.id not in after


def test_a_new_revision_starts_at_once() -> None:
    world = world_of(image="crash")
    for _ in range(3):
        world.step()
    assert delay_of(world.state, now_ms=world.now_ms) is not None
    at_ms, world.disturbed = world.now_ms, True
    world.deploy(revision("R2", backoff=DOUBLING, rollout=PATIENT), count=1)
    world.step()
    assert [r.planned_at_ms for r in world.state.live if r.identity.revision == "R2"] == [at_ms]


def test_an_app_as_it_was_saved_before_has_no_back_off_of_its_own() -> None:
    assert App(id="shop/web").backoff is None
