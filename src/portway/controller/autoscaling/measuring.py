"""Meters: what the policies of scaled services follow, read where it is counted: by the balancer, and by the engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

from portway.controller.world import World
from portway.core.autoscaling import Measured, Meter, Metric, UseMeter
from portway.core.aws_names import service_app_id
from portway.core.instance import Phase
from portway.core.placement import CPU_UNITS, demand_of
from portway.core.state import AppState, DeploymentStatus
from portway.engines.base import Usage

UsageOf = Callable[[Collection[str]], Awaitable[Mapping[str, Usage]]]
Body = Mapping[str, Any]


def app_id_of(resource_id: str) -> str:
    """The App of service/<cluster>/<service>."""
    _, cluster, service = resource_id.split("/")
    return service_app_id(cluster, service)


def metric_of(policy: Body) -> Metric:
    """What a policy follows."""
    return Metric(policy.get("metric", Metric.REQUESTS))


def pool_of(label: str) -> str:
    """The end of a target group's ARN, out of app/<lb>/<id>/targetgroup/<tg>/<id>."""
    return label[label.index("targetgroup/") :]


class Meters:
    """`usage` is the engine's; it is asked only where a policy follows processors or memory."""

    def __init__(self, world: World, usage: UsageOf) -> None:
        self._world = world
        self._usage = usage
        self._requests: dict[str, Meter] = {}  # by pool
        self._uses: dict[str, UseMeter] = {}  # by App

    async def read(self, policies: Collection[Body], now_ms: int) -> None:
        """Look at everything that these follow; EngineError where the engine cannot tell."""
        requests = [p for p in policies if metric_of(p) is Metric.REQUESTS]
        self._read_requests({pool_of(p["label"]) for p in requests}, now_ms)
        others = (p for p in policies if metric_of(p) is not Metric.REQUESTS)
        await self._read_uses({app_id_of(p["resource_id"]) for p in others}, now_ms)

    def _read_requests(self, pools: Collection[str], now_ms: int) -> None:
        self._requests = {pool: self._requests.get(pool, Meter()) for pool in pools}
        counted = dict.fromkeys(pools, 0)
        for routes in (self._world.served or {}).values():
            for route in routes.values():
                for pool in route.pools:
                    name = next((each for each in pools if pool.name.endswith(each)), None)
                    if name is not None:
                        counted[name] += pool.traffic.requests
        for name, counter in counted.items():
            self._requests[name].read(counter, now_ms)

    async def _read_uses(self, app_ids: Collection[str], now_ms: int) -> None:
        self._uses = {app_id: self._uses.get(app_id, UseMeter()) for app_id in app_ids}
        ready = {app_id: _ready(self._world.apps.get(app_id)) for app_id in app_ids}
        wanted = {instance_id for ids in ready.values() for instance_id in ids}
        used = await self._usage(wanted) if wanted else {}
        for app_id, ids in ready.items():
            mine = {i: (used[i].cpu_us, used[i].memory_bytes) for i in ids if i in used}
            self._uses[app_id].read(mine, now_ms)

    def measured(self, policy: Body, state: AppState, now_ms: int) -> Measured:
        """What a policy goes by, of all tasks that could be measured together."""
        total, running, is_whole = self._figures(policy, state, now_ms)
        deployment = state.deployment
        return Measured(
            total=total,
            is_whole=is_whole,
            running=running,
            desired=state.count,
            is_deploying=deployment is not None and deployment.status is DeploymentStatus.RUNNING,
        )

    def _figures(self, policy: Body, state: AppState, now_ms: int) -> tuple[float, int, bool]:
        metric = metric_of(policy)
        if metric is Metric.REQUESTS:
            meter = self._requests[pool_of(policy["label"])]
            return meter.total, len(_ready(state)), meter.is_whole(now_ms)
        use, whole = self._uses[state.app_id], self._set_aside(metric, state)
        shares = use.processors() if metric is Metric.CPU else use.memory_bytes()
        percent = 100.0 * sum(shares) / whole if whole else 0.0
        return percent, len(shares) if whole else 0, use.is_whole(now_ms)

    def _set_aside(self, metric: Metric, state: AppState) -> float:
        """What a task asks for, which is 100 %: without any, a whole processor, or the memory of a node."""
        assert state.target is not None
        demand = demand_of(state.target.app)
        if metric is Metric.CPU:
            return (demand.cpu_units or CPU_UNITS) / CPU_UNITS
        return demand.memory_bytes or max((n.memory_bytes for n in self._world.nodes), default=0)


def _ready(state: AppState | None) -> tuple[str, ...]:
    live: Iterable[Any] = state.live if state is not None else ()
    return tuple(record.id for record in live if record.phase is Phase.READY)
