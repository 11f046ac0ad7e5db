"""Who leaves to make room for a step of a deployment, and when nobody may."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import Rollout, Strategy, StrategyKind
from tests.core.test_stepwise import after, live, of, redeploying, settle
from tests.simulation.world import World

HALF = Strategy(kind=StrategyKind.CANARY, canary_percents=(50,), bake_s=30)
HELD = Strategy(kind=StrategyKind.CANARY, canary_percents=(25,), hold=True)
TIGHT = Rollout(minimum_percent=50, maximum_percent=100)


def test_no_step_takes_an_old_one_while_it_cannot_be_told_who_serves() -> None:
    world = redeploying(HALF, count=4, rollout=TIGHT)
    world.balancer_answers = False
    settle(world)
    assert len(of(world, "R1")) == 4
    assert world.plan().wake_at_ms == world.now_ms + 1000
    world.balancer_answers = True
    settle(world)
    assert (live(world, "R1"), live(world, "R2")) == (2, 2)


def taken_over(rollout: Rollout) -> World:
    """Rolling had brought two of four when a canary of the same release took over."""
    world = redeploying(Strategy(), count=4, rollout=rollout)
    while len(of(world, "R2")) < 2:
        world.check_health()
        world.step()
    deployment = replace(world.state.deployment, strategy=HELD, started_at_ms=world.now_ms)
    world.state = replace(world.state, deployment=deployment)
    return world


@pytest.mark.parametrize("rollout", [Rollout(), TIGHT])
def test_new_ones_beyond_the_share_of_a_canary_get_no_traffic(rollout: Rollout) -> None:
    world = taken_over(rollout)
    after(world, 60)
    assert (len(of(world, "R1")), len(of(world, "R2"))) == (3, 1)


def test_new_ones_that_wait_are_there_for_the_next_step() -> None:
    world = taken_over(Rollout())
    after(world, 60)
    assert live(world, "R2") > 1


def test_new_ones_that_wait_leave_where_old_ones_need_the_room() -> None:
    world = taken_over(TIGHT)
    after(world, 60)
    assert (live(world, "R1"), live(world, "R2")) == (3, 1)
