"""When an instance that keeps dying is called crash looping; the growing pauses are in test_rollout.py."""

from __future__ import annotations

import pytest

from portway.core.app import Exposure, NetworkMode, PortSpec, Rollout
from portway.core.failures import recent_failures
from portway.core.health import HealthStatus
from portway.core.ports import ANY_ADDRESS, EPHEMERAL
from portway.core.starting import is_crash_looping
from portway.core.state import AppState, Failure
from tests.simulation.world import World, revision

NOW_MS = 10_000_000


def failed(*ages_s: float, release: str = "R1") -> AppState:
    failures = tuple(
        Failure(
            at_ms=NOW_MS - int(age * 1000), instance_id="shop/web.1.1", revision=release, reason="x"
        )
        for age in ages_s
    )
    return AppState(app_id="shop/web", target=revision("R1"), count=1, failures=failures)


@pytest.mark.parametrize(
    ("ages_s", "looping"),
    [
        ((), False),
        ((3, 1), False),
        ((7, 3, 1), True),
        ((200, 140, 60), True),
        ((400, 300, 121), False),
        ((700, 650, 1), False),
    ],
)
def test_three_failures_of_late_are_a_crash_loop(ages_s: tuple[float, ...], looping: bool) -> None:
    assert is_crash_looping(failed(*ages_s), now_ms=NOW_MS) is looping


def test_failures_of_another_revision_do_not_count() -> None:
    state = failed(3, 2, 1, release="R0")
    assert not is_crash_looping(state, now_ms=NOW_MS)
    assert len(recent_failures(state, "R0", now_ms=NOW_MS)) == 3


def test_an_app_that_is_deleted_is_not_crash_looping() -> None:
    assert not is_crash_looping(AppState(app_id="shop/web", target=None), now_ms=NOW_MS)


def test_host_ports_are_asked_for_as_the_app_has_its_network_and_its_ports() -> None:
    world = World()
    ports = (
        PortSpec(name="a", container_port=8080),
        PortSpec(name="b", container_port=0, exposure=Exposure.HOST),
    )
    world.deploy(revision("R1", network_mode=NetworkMode.HOST, ports=ports), count=1)
    world.step()
    (record,) = world.state.live
    first, second = record.identity.leases
    assert (first.host_port, first.container_port, first.fixed) == (8080, 8080, True)
    assert second.host_port == second.container_port
    assert {first.address, second.address} == {ANY_ADDRESS}


def test_ephemeral_ports_and_runs_are_leased_with_the_others() -> None:
    world = World()
    run = [
        PortSpec(name=f"r{n}", container_port=9000 + n, ephemeral=True, run="r") for n in range(3)
    ]
    ports = (PortSpec(name="a", container_port=80, ephemeral=True), *run)
    world.deploy(revision("R1", ports=ports), count=1)
    world.step()
    (record,) = world.state.live
    first, *row = [lease.host_port for lease in record.identity.leases]
    assert row == [first + 1, first + 2, first + 3]
    assert first == EPHEMERAL.first


def test_an_empty_slot_is_filled_before_one_whose_instance_is_ill() -> None:
    world = World()
    world.deploy(revision("R1", rollout=Rollout(parallelism=1)), count=3)
    world.run()
    world.set_health("shop/web.1.1", HealthStatus.FAILING)
    world.exit("shop/web.3.3", 1)
    world.step()
    world.now_ms += 2000
    world.step()
    assert world.state.live[-1].identity.slot == 3
