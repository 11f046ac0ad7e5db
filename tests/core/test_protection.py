"""Protected instances outlive a smaller count and a newer revision, but neither their own failure nor their App."""

from __future__ import annotations

from dataclasses import replace

from portway.core.instance import Phase
from portway.core.state import DeploymentStatus
from tests.simulation.world import World, revision

LONG_MS = 3_600_000


def protecting(world: World, *slots: int) -> list[str]:
    """Protect the instances of these slots for an hour; their ids."""
    instances = tuple(
        replace(r, protected_until_ms=world.now_ms + LONG_MS) if r.identity.slot in slots else r
        for r in world.state.instances
    )
    world.state = replace(world.state, instances=instances)
    return [r.id for r in instances if r.protected_until_ms]


def deployed(count: int) -> World:
    world = World()
    world.deploy(revision("R1"), count=count)
    world.run()
    return world


def staying(world: World) -> set[str]:
    return {r.id for r in world.state.live if r.phase < Phase.DRAINING}


def test_a_smaller_count_takes_the_others() -> None:
    world = deployed(3)
    kept = protecting(world, 3)
    world.state = replace(world.state, count=1)
    world.run(until_ms=60_000)
    assert staying(world) == set(kept)


def test_more_protected_ones_than_wanted_stay_until_it_ends_and_it_is_said() -> None:
    world = deployed(2)
    kept = protecting(world, 1, 2)
    world.state = replace(world.state, count=1)
    world.step()
    assert staying(world) == set(kept)
    [blocked] = world.plan().blocked
    assert blocked.code == "PROTECTED"
    wake_at_ms = world.plan().wake_at_ms
    assert wake_at_ms is not None
    assert wake_at_ms <= world.now_ms + LONG_MS
    world.now_ms += LONG_MS
    world.run(until_ms=60_000)
    assert len(staying(world)) == 1


def test_a_newer_revision_waits_for_them() -> None:
    world = deployed(2)
    [kept] = protecting(world, 1)
    world.deploy(revision("R2"), count=2)
    for _ in range(6):
        world.step()
        world.check_health()
    assert kept in staying(world)
    assert world.state.deployment is not None
    assert world.state.deployment.status is DeploymentStatus.RUNNING
    world.now_ms += LONG_MS
    world.check_health()
    world.run(until_ms=60_000)
    assert kept not in staying(world)


def test_one_that_died_is_replaced_all_the_same() -> None:
    world = deployed(1)
    [kept] = protecting(world, 1)
    world.exit(kept, 1)
    world.run(until_ms=60_000)
    assert kept not in staying(world)
    assert len(staying(world)) == 1


def test_an_app_that_is_deleted_takes_them_along() -> None:
    world = deployed(1)
    protecting(world, 1)
    world.state = replace(world.state, target=None)
    world.step()
    assert staying(world) == set()
