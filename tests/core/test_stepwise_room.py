"""Who leaves to make room for a step of a deployment, and when nobody may."""

from __future__ import annotations

from portway.core.app import Rollout, Strategy, StrategyKind
from tests.core.test_stepwise import live, of, redeploying, settle

HALF = Strategy(kind=StrategyKind.CANARY, canary_percents=(50,), bake_s=30)
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
