"""Who goes of too many: the highest slots, or the oldest where the App says so. And Apps that were saved before."""

from __future__ import annotations

import json

import pytest

from portway.core.app import App, Constraint, ConstraintOperator, Placement, PortSpec, Unreachable
from portway.core.instance import InstanceRecord
from portway.core.state import AppState, Failure
from portway.store.codec import decode, encode
from tests.simulation.world import World, revision


@pytest.mark.parametrize(("oldest", "left"), [(False, [1, 2]), (True, [3, 4])])
def test_of_those_that_serve_the_oldest_go_only_where_the_app_says_so(
    oldest: bool, left: list[int]
) -> None:
    world = World()
    world.deploy(revision("R1", kill_oldest=oldest), count=4)
    world.run()
    world.deploy(revision("R1", kill_oldest=oldest), count=2)
    world.run()
    assert sorted(r.identity.serial for r in world.state.live) == left
    world.deploy(revision("R1", kill_oldest=oldest), count=3)
    world.run()
    assert len(world.state.live) == 3


def test_whoever_does_not_serve_goes_before_the_oldest() -> None:
    world = World(disturbed=True)
    world.deploy(revision("R1", kill_oldest=True), count=3)
    world.run()
    world.balancer_answers = True
    last = max(world.state.live, key=lambda r: r.identity.serial)
    world.exit(last.id, 1)
    world.deploy(revision("R1", kill_oldest=True), count=2)
    world.run()
    assert sorted(r.identity.serial for r in world.state.live) == [1, 2]


def test_what_was_saved_without_these_fields_is_loaded_with_their_defaults() -> None:
    app = App(id="shop/web", ports=(PortSpec(name="80", container_port=80),))
    document = json.loads(encode(app))
    for name in ("backoff", "kill_oldest", "further_checks", "unreachable", "environment_form"):
        del document[name]
    for name in ("leased", "shuffled", "same_as"):
        del document["ports"][0][name]
    del document["placement"]["constraints"], document["health"]["lethal"]
    assert decode(App, json.dumps(document)) == app
    failure = Failure(at_ms=1, instance_id="x", revision="R1", reason="y")
    saved = {
        k: v
        for k, v in json.loads(encode(failure)).items()
        if k not in ("by_others", "started_at_ms")
    }
    assert decode(Failure, json.dumps(saved)) == failure


def test_what_has_them_comes_back_as_it_was() -> None:
    constraint = Constraint(field="hostname", operator=ConstraintOperator.UNIQUE)
    app = App(
        id="shop/web",
        placement=Placement(constraints=(constraint,)),
        unreachable=Unreachable(inactive_after_s=None),
    )
    assert decode(App, encode(app)) == app
    world = World()
    world.deploy(revision("R1"), count=1)
    world.run()
    state = decode(AppState, encode(world.state))
    assert state.instances == world.state.instances
    assert all(isinstance(r, InstanceRecord) for r in state.instances)
