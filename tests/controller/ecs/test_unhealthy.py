"""Which tasks are said to be unhealthy, where, and why."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from portway.controller.ecs.unhealthy import unhealthy_words
from portway.controller.world import World
from portway.core.app import Exposure, PortSpec, Protocol
from portway.core.balancing.model import TargetGroup, TargetType
from portway.core.balancing.targets import DRAINING, HEALTHY, TargetHealth, unhealthy
from portway.core.health import Health, HealthStatus
from portway.core.instance import InstanceRecord, Phase
from portway.core.lease import Lease
from tests.core.balancing.values import member
from tests.core.ecs.made import GROUP, NAMES, app, origin, record, state

CODES = "Health checks failed with these codes: [503]"
PORTS = (PortSpec(name="http", container_port=80, exposure=Exposure.HOST, container="web"),)
IN_GROUP = f"is unhealthy in (target-group {GROUP}) due to (reason {CODES})"


def balanced(serial: int, phase: Phase, **fields: Any) -> InstanceRecord:
    """An instance that has a host port."""
    lease = Lease(
        port_name="http",
        node="local",
        protocol=Protocol.TCP,
        host_port=32768,
        container_port=80,
    )
    made = record(serial, phase, **fields)
    return replace(made, identity=replace(made.identity, leases=(lease,)))


def told(
    *records: InstanceRecord,
    stands: TargetHealth = HEALTHY,
    target_type: TargetType = TargetType.INSTANCE,
    now_ms: int = 10_000,
    world: World | None = None,
    **fields: Any,
) -> list[str]:
    """Everything said of a service behind one target group."""
    group = TargetGroup(arn=GROUP, name="tg", protocol="HTTP", number=80, target_type=target_type)
    standings = [(member(r.id, instance_id=r.id, number=32768), stands) for r in records]
    groups: Any = SimpleNamespace(
        registry=SimpleNamespace(group={GROUP: group}.get), standings=lambda _: standings
    )
    of = app(GROUP, ports=PORTS, **fields)
    found = unhealthy_words(
        state(*records, of=of), origin(), world or World(), NAMES, groups, now_ms=now_ms
    )
    return [*found.values()]


def test_of_a_healthy_task_nothing_is_said() -> None:
    assert told(balanced(1, Phase.READY)) == []


def test_a_target_that_fails_is_told_by_its_machine_and_port() -> None:
    [said] = told(balanced(1, Phase.READY), stands=unhealthy(CODES))
    instance = NAMES.ec2_instance_id("local")
    assert said == f"(service web) (instance {instance}) (port 32768) {IN_GROUP}"


def test_a_target_that_is_an_address_is_told_by_its_task() -> None:
    [said] = told(balanced(1, Phase.READY), stands=unhealthy(CODES), target_type=TargetType.IP)
    assert said.startswith("(service web) (task ")
    assert said.endswith(f"(port 80) {IN_GROUP}")


def test_one_that_was_let_go_for_it_is_told_though_it_drains_already() -> None:
    ill = balanced(1, Phase.DRAINING, failed=True, reason=f"unhealthy: {CODES}")
    [said] = told(ill, stands=DRAINING)
    assert said.endswith(f"(port 32768) {IN_GROUP}")
    late = f"it did not become healthy within 31 s: {CODES}\nlast words"
    [said] = told(balanced(1, Phase.DRAINING, failed=True, reason=late), stands=DRAINING)
    assert said.endswith(f"(port 32768) {IN_GROUP}")


def test_one_whose_own_check_failed_is_no_matter_of_its_target_group() -> None:
    ill = balanced(1, Phase.STOPPING, failed=True, reason="unhealthy: it exits with 1")
    [said] = told(ill, stands=DRAINING)
    assert said.endswith("failed container health checks.")
    world = World()
    world.health["c/web.1.1"] = Health(status=HealthStatus.FAILING)
    [said] = told(balanced(1, Phase.READY), world=world)
    assert said.endswith("failed container health checks.")


@pytest.mark.parametrize(("now_ms", "count"), [(60_000, 0), (61_009, 0), (61_010, 1)])
def test_within_its_grace_period_nothing_is_said(now_ms: int, count: int) -> None:
    said = told(balanced(1, Phase.READY), stands=unhealthy(CODES), now_ms=now_ms, health_grace_s=60.0)  # fmt: skip
    assert len(said) == count


def test_one_that_leaves_for_another_reason_is_not_ill() -> None:
    assert told(balanced(1, Phase.DRAINING, reason="scaled down"), stands=DRAINING) == []
