"""Services that follow what the balancer counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portway.controller.autoscaling.scaling import ACTIVITY, POLICY, TARGET, Scaler, app_id_of
from portway.controller.world import World
from portway.core.app import App
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase
from portway.core.routes import RouteKey, ServedPool, ServedRoute
from portway.core.state import AppState, Deployment, DeploymentStatus, Revision
from portway.core.traffic import Traffic
from portway.store.documents import MemoryDocuments

RESOURCE = "service/c/web"
GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/tg/1"


def record(slot: int) -> InstanceRecord:
    identity = InstanceIdentity(
        id=f"c/web.{slot}.1", app_id="c/web", release="r", revision="r", slot=slot, serial=1, node="n"
    )  # fmt: skip
    return InstanceRecord(identity=identity, planned_at_ms=1, phase=Phase.READY)


class Around:
    """A service of two tasks, and a clock."""

    def __init__(self) -> None:
        self.world, self.documents, self.ms = World(), MemoryDocuments(), 1_000_000
        self.scaled: list[tuple[str, dict[str, int]]] = []
        self.scaler = Scaler(self.world, self.documents, self, self.scale)
        self.have(2)

    def now_ms(self) -> int:
        return self.ms

    async def scale(self, stack: str, counts: Mapping[str, int]) -> None:
        self.scaled.append((stack, dict(counts)))
        self.have(counts["web"])

    def have(self, count: int, **more: Any) -> None:
        self.world.apps["c/web"] = AppState(
            app_id="c/web",
            target=Revision(id="r", release="r", app=App(id="c/web")),
            count=count,
            instances=tuple(record(slot) for slot in range(1, count + 1)),
            **more,
        )

    async def policy(self, **tracking: Any) -> None:
        target = {"resource_id": RESOURCE, "least": 1, "most": 4, "suspended": {}}
        await self.documents.put(TARGET, RESOURCE, target)
        body = {
            "resource_id": RESOURCE,
            "name": "p",
            "label": "app/lb/1/targetgroup/tg/1",
            "tracking": {"target_value": 100, **tracking},
            "alarms": {"high": "AlarmHigh", "low": "AlarmLow"},
        }
        await self.documents.put(POLICY, f"{RESOURCE}#p", body)

    async def look(self, requests: int, *, after_ms: int = 5000) -> None:
        key = RouteKey(address="127.64.0.1", service_port=80)
        pool = ServedPool(name=GROUP, traffic=Traffic(requests=requests))
        self.world.served = {
            "lb": {key: ServedRoute(key=key, owner="lb", port_name="", pools=(pool,))}
        }
        await self.scaler.look()
        self.ms += after_ms


def test_a_resource_is_an_app():
    assert app_id_of(RESOURCE) == "c/web"


async def test_more_requests_bring_more_tasks_and_it_is_written_down():
    around = Around()
    await around.policy()
    await around.look(1000)
    await around.look(1350)
    assert around.scaled == [("c", {"web": 4})]
    (activity,) = await around.documents.list(ACTIVITY)
    assert activity.body["count"] == 4
    assert "AlarmHigh" in activity.body["cause"]


async def test_fewer_tasks_come_after_a_quiet_minute_and_the_cooldowns():
    around = Around()
    await around.policy(scale_in_cooldown_s=60)
    for _ in range(12):
        await around.look(1000)
    assert around.scaled == []
    await around.look(1000)
    assert around.scaled == [("c", {"web": 1})]


async def test_a_deployment_that_runs_keeps_what_there_is():
    around = Around()
    await around.policy(scale_in_cooldown_s=0)
    deployment = Deployment(
        id="d", from_revision=None, to_revision="r", started_at_ms=1, progressed_at_ms=1, status=DeploymentStatus.RUNNING
    )  # fmt: skip
    around.have(2, deployment=deployment)
    for _ in range(20):
        await around.look(1000)
    assert around.scaled == []


async def test_of_several_policies_one_is_enough_for_more_and_all_must_want_fewer():
    around = Around()
    await around.policy(scale_in_cooldown_s=0)
    policy = await around.documents.get(POLICY, f"{RESOURCE}#p")
    assert policy is not None
    other = {**policy.body, "name": "q", "label": "app/lb/1/targetgroup/other/2"}
    other["tracking"] = {**policy.body["tracking"], "disable_scale_in": True}
    await around.documents.put(POLICY, f"{RESOURCE}#q", other)
    for _ in range(20):
        await around.look(1000)
    assert around.scaled == []
    await around.look(1400)
    assert around.scaled == [("c", {"web": 4})]


async def test_a_service_without_policy_or_gone_is_left_alone():
    around = Around()
    await around.look(10)
    await around.policy()
    around.world.apps.clear()
    await around.look(10_000)
    assert around.scaled == []
