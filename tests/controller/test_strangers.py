"""Strangers: what runs without anybody knowing it."""

from __future__ import annotations

import pytest

from portway.controller.strangers import clear_away
from portway.controller.world import World
from portway.core.instance import EngineState, InstanceIdentity, ObservedInstance
from portway.core.plan import ApplyRoutes, RemoveInstance
from portway.core.routes import RouteKey, ServedRoute


def world(state: EngineState, *, slot: int = 1) -> World:
    identity = InstanceIdentity(
        id=f"old/web.{slot}.1", app_id="old/web", slot=slot, serial=1, revision="R", release="R", node="n"
    )  # fmt: skip
    seen = ObservedInstance(identity=identity, state=state)
    return World(instances={"old/web": {seen.id: seen}}, served={})


def test_what_runs_is_told_of_and_never_stopped():
    known = world(EngineState.RUNNING)
    assert clear_away(known, "old/web") == []
    assert "deploy old again to take it over" in known.problems["old/web"]


def test_what_a_deleted_app_had_started_late_is_removed():
    known = world(EngineState.RUNNING)
    known.forgotten = {"old/web.1.1": "R"}
    assert clear_away(known, "old/web") == [RemoveInstance(instance_id="old/web.1.1")]
    assert known.problems == {}


def test_another_run_under_the_name_of_a_deleted_one_stays():
    known = world(EngineState.RUNNING)
    known.forgotten = {"old/web.1.1": "R2"}
    assert clear_away(known, "old/web") == []


def test_what_is_still_served_is_not_taken_for_late():
    known = world(EngineState.RUNNING)
    known.forgotten = {"old/web.1.1": "R"}
    known.served = None
    assert clear_away(known, "old/web") == []


def test_what_ended_is_removed_and_what_it_served_too():
    known = world(EngineState.EXITED)
    key = RouteKey(address="", service_port=80)
    known.served = {"old/web": {key: ServedRoute(key=key, owner="old/web", port_name="http")}}
    assert clear_away(known, "old/web") == [
        RemoveInstance(instance_id="old/web.1.1"),
        ApplyRoutes(app_id="old/web", routes=()),
    ]
    assert known.problems == {}


@pytest.mark.parametrize("is_awaited", [False, True])
def test_a_one_off_stays_until_its_caller_has_its_end(is_awaited: bool):
    known = world(EngineState.EXITED, slot=0)
    known.one_offs = {"old/web.0.1"} if is_awaited else set()
    assert bool(clear_away(known, "old/web")) is not is_awaited


@pytest.mark.parametrize("is_seen", [False, True])
def test_what_runs_or_may_run_is_served_on(is_seen: bool):
    known = world(EngineState.RUNNING)
    key = RouteKey(address="", service_port=80)
    known.served = {"old/web": {key: ServedRoute(key=key, owner="old/web", port_name="http")}}
    known.instances = known.instances if is_seen else None
    assert clear_away(known, "old/web") == []
