"""What thousands of seeds once found does not come back."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest

from portway.core.draft import Draft
from portway.core.instance import Phase
from portway.core.state import DeploymentStatus
from tests.simulation.found import FOUND
from tests.simulation.invariants import BrokenError, no_look_removes_more_than_half
from tests.simulation.story import run
from tests.simulation.world import World, revision


@pytest.mark.parametrize("seed", FOUND)
def test_a_history_that_was_found_once_is_whole_now(seed: int) -> None:
    nodes, steps = FOUND[seed]
    assert run(seed, steps, nodes=nodes) is None


@pytest.mark.parametrize(("count", "is_broken"), [(1, False), (2, True)])
def test_of_more_than_was_asked_for_any_may_be_condemned(count: int, is_broken: bool) -> None:
    """2633: scaled down and paused, two of three fail at once. What was asked for is still there."""
    world = World()
    world.deploy(revision("R1"), count=3)
    world.run()
    before = replace(world.state, count=count)
    one, *condemned = before.instances
    ill = (replace(r, phase=Phase.DRAINING, failed=True) for r in condemned)
    after = replace(before, instances=(one, *ill))
    with pytest.raises(BrokenError) if is_broken else nullcontext():
        no_look_removes_more_than_half(before, after, [r.id for r in before.instances])


def going_back() -> World:
    """R1 serves, and R2 will not."""
    world = World()
    world.deploy(revision("R1"), count=2)
    world.run()
    world.deploy(revision("R2", image="bad"), count=2)
    return world


def test_what_ends_at_the_very_last_moment_has_ended() -> None:
    """5228 and 6854 of the planner: a deployment goes back just when the time of the world is up."""
    whole = going_back()
    whole.run()
    world = going_back()
    world.run(until_ms=whole.state.deployment.ended_at_ms - world.now_ms)
    assert world.state.deployment.status is DeploymentStatus.FAILED


def test_a_world_does_not_rest_before_the_planner_has_heard_of_the_last_check() -> None:
    """3423 of the planner: the verdict came at the end of a look that changed nothing."""
    world = World()
    world.deploy(revision("R1"), count=1)
    world.step()
    world.step()
    world.run(until_ms=0)
    assert len(world.serving()) == 1


def test_a_deployment_that_nobody_looks_at_again_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Draft, "wake_at", lambda _draft, _at_ms: None)
    with pytest.raises(AssertionError, match="never looked at again"):
        going_back().run()
