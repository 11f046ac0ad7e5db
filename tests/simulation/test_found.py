"""Histories that thousands of seeds once found, each as short as it can be told."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from portway.core.draft import Draft
from portway.core.state import DeploymentStatus
from tests.simulation.histories import Step
from tests.simulation.story import run
from tests.simulation.world import World, revision

# By the seed that found it: how long everything takes depends on that.
FOUND: dict[int, tuple[int, Sequence[Step]]] = {
    # The balancer cannot be read when a canary begins: who serves cannot be told, so nobody is idle.
    1816: (
        3,
        (
            Step("strategy", (0, 4, "canary", False, 1, "25%,50%", 1.0, 2, 0)),
            Step("wait", (1.0,)),
            Step("call", ("observe", "fail", 3, True)),
            Step("strategy", (0, 5, "canary", False, 1, "50%", 1.0, 4, 2)),
        ),
    ),
    1888: (
        1,
        (
            Step("strategy", (4, 5, "canary", True, 1, "10%,60%,90%", 15.0, 2, 2)),
            Step("wait", (20.0,)),
            Step("wait", (20.0,)),
            Step("strategy", (0, 4, "canary", False, 1, "50%", 5.0, 4, 1)),
            Step("call", ("observe", "fail", 2, True)),
            Step("wait", (8.0,)),
        ),
    ),
    # A canary takes over from a restart that has begun two of what it is to begin one of.
    4880: (
        3,
        (
            Step("deploy", (0, 2, 0, 2, 0, 0)),
            Step("wait", (3.0,)),
            Step("restart", (0, 7)),
            Step("strategy", (2, 5, "canary", True, 0, "10%,60%,90%", 0.0, 0, 2)),
        ),
    ),
    # An instance is called ill and replaced between two looks at whether all is quiet: that was no rest.
    7268: (
        3,
        (
            Step("deploy", (0, 0, 0, 1, 0, 0)),
            Step("wait", (0.05,)),
            Step("deploy", (1, 0, 1, 3, 4, 0)),
            Step("wait", (9.0,)),
            Step("sicken", (4,)),
            Step("deploy", (0, 0, 1, 1, 3, 0)),
            Step("sicken", (2,)),
            Step("wait", (0.3,)),
        ),
    ),
}


@pytest.mark.parametrize("seed", FOUND)
def test_a_history_that_was_found_once_is_whole_now(seed: int) -> None:
    nodes, steps = FOUND[seed]
    assert run(seed, steps, nodes=nodes) is None


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


def test_a_deployment_that_nobody_looks_at_again_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Draft, "wake_at", lambda _draft, _at_ms: None)
    with pytest.raises(AssertionError, match="never looked at again"):
        going_back().run()
