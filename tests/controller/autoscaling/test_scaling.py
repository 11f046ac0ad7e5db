"""Services that follow what the balancer counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from portway.controller.autoscaling.measuring import app_id_of
from portway.controller.autoscaling.scaling import ACTIVITY, POLICY, TARGET, Scaler
from portway.controller.world import World
from portway.core.app import App, Placement, Resources
from portway.core.errors import RequestError
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase
from portway.core.routes import RouteKey, ServedPool, ServedRoute
from portway.core.state import AppState, Deployment, DeploymentStatus, Revision
from portway.core.traffic import Traffic
from portway.engines.base import Usage
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
        self.app = App(
            id="c/web",
            placement=Placement(reserves=True),
            resources=Resources(cpu_shares=512, memory_bytes=1000),
        )
        self.refusal: RequestError | None = None
        self.scaled: list[tuple[str, dict[str, int]]] = []
        self.used: dict[str, Usage] = {}
        self.scaler = Scaler(self.world, self.documents, self, self.scale, self.usage)
        self.have(2)

    def now_ms(self) -> int:
        return self.ms

    async def usage(self, instance_ids: Collection[str]) -> Mapping[str, Usage]:
        return {i: self.used[i] for i in instance_ids if i in self.used}

    async def scale(self, stack: str, counts: Mapping[str, int]) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.scaled.append((stack, dict(counts)))
        self.have(counts["web"])

    def have(self, count: int, **more: Any) -> None:
        self.world.apps["c/web"] = AppState(
            app_id="c/web",
            target=Revision(id="r", release="r", app=self.app),
            count=count,
            instances=tuple(record(slot) for slot in range(1, count + 1)),
            **more,
        )

    async def policy(self, metric: str = "ALBRequestCountPerTarget", **tracking: Any) -> None:
        target = {"resource_id": RESOURCE, "least": 1, "most": 4, "suspended": {}}
        await self.documents.put(TARGET, RESOURCE, target)
        body = {
            "resource_id": RESOURCE,
            "name": "p",
            "metric": metric,
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


async def busy(around: Around, *, processors: float, memory_bytes: int = 1) -> None:
    """Half a minute of every task keeping so much busy."""
    for _ in range(8):
        for record in around.world.apps["c/web"].instances:
            used = around.used.get(record.id, Usage(cpu_us=0, memory_bytes=0)).cpu_us
            more_us = int(processors * 5_000_000)
            around.used[record.id] = Usage(cpu_us=used + more_us, memory_bytes=memory_bytes)
        await around.look(0)


async def test_processors_are_measured_by_what_a_task_asks_for():
    around = Around()
    await around.policy("ECSServiceAverageCPUUtilization", target_value=50.0)
    await busy(around, processors=0.25)  # of half a processor: just what is wanted
    assert around.scaled == []
    await busy(around, processors=0.5)
    assert around.scaled[-1] in [("c", {"web": 3}), ("c", {"web": 4})]
    activities = await around.documents.list(ACTIVITY)
    assert all("AlarmHigh" in activity.body["cause"] for activity in activities)


async def test_memory_is_measured_by_what_a_task_asks_for():
    around = Around()
    await around.policy("ECSServiceAverageMemoryUtilization", target_value=50.0)
    await busy(around, processors=0, memory_bytes=750)
    assert around.scaled == [("c", {"web": 3})]


async def test_what_a_task_uses_as_it_starts_says_nothing():
    around = Around()
    await around.policy("ECSServiceAverageCPUUtilization", target_value=50.0)
    for at_us in range(5):
        around.used = {f"c/web.{n}.1": Usage(cpu_us=at_us * 10**7, memory_bytes=1) for n in (1, 2)}
        await around.look(0)
    assert around.scaled == []


async def test_while_the_engine_cannot_tell_nothing_is_scaled():
    around = Around()
    await around.policy("ECSServiceAverageCPUUtilization", target_value=50.0, scale_in_cooldown_s=0)
    for _ in range(20):
        await around.look(0)
    assert around.scaled == []


async def test_what_cannot_be_scaled_is_in_nobodys_way():
    around = Around()
    await around.policy()
    around.refusal = RequestError("no room")
    await around.look(1000)
    await around.look(1350)
    assert around.scaled == []
    assert await around.documents.list(ACTIVITY) == ()
