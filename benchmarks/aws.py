"""The AWS face from outside: how soon a service is steady, how soon questions are answered, and how that grows.

    .venv/bin/python benchmarks/aws.py            50 and 500 services
    .venv/bin/python benchmarks/aws.py --quick    20 and 200 services, fewer requests

Every request is botocore's: signed, sent over TCP, verified, answered, parsed. Engine, balancer and store are in memory, so
what is measured is portway. "Steady" is from CreateService to the event, with a target group behind a load balancer
that checks every second; on Docker, starting the container comes on top (see `start`).
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from measure import Figure, arguments, percentile, ratio, report, seconds

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.api.aws.conftest import ServedFace, serving_face  # noqa: E402
from tests.controller.inprocess import Portway  # noqa: E402

from portway.controller.clock import SystemClock  # noqa: E402

PUBLISHED_S = 134.0  # the seed's own run on AWS: ALB with its defaults
STEADY_AIM_S, ANSWER_AIM_MS, GROWTH_AIM = 2.0, 15.0, 1.5
PATIENCE_S = 60.0
TURNS = 7
CLUSTER = "bench"
CONTAINER = {"name": "web", "image": "web", "memory": 16, "portMappings": [{"containerPort": 80}]}


@dataclass(kw_only=True)
class Bench:
    """A portway in memory, behind a real socket."""

    face: ServedFace
    portway: Portway

    async def ecs(self, operation: str, **members: Any) -> Any:
        return await self.face.ask("ecs", operation, **members)

    async def elb(self, operation: str, **members: Any) -> Any:
        return await self.face.ask("elbv2", operation, **members)


@asynccontextmanager
async def opened() -> AsyncGenerator[Bench]:
    """It, with a cluster and a task definition."""
    portway = Portway()
    portway.clock = SystemClock()  # type: ignore[assignment]
    await portway.open()
    try:
        with tempfile.TemporaryDirectory() as directory:
            documents, home_id = portway.store.documents, portway.world.home_id
            async with serving_face(
                Path(directory), operations=portway.operations, documents=documents, home_id=home_id
            ) as face:
                bench = Bench(face=face, portway=portway)
                await bench.ecs("create_cluster", clusterName=CLUSTER)
                await bench.ecs(
                    "register_task_definition", family="web", containerDefinitions=[CONTAINER]
                )
                yield bench
    finally:
        await portway.crash()


async def group(bench: Bench, name: str) -> str:
    """A target group that asks every second, behind a load balancer of its own."""
    subnets = (await bench.face.ask("ec2", "describe_subnets"))["Subnets"]
    made = await bench.elb(
        "create_target_group", Name=name, Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"]
    )
    arn = made["TargetGroups"][0]["TargetGroupArn"]
    ids = [subnet["SubnetId"] for subnet in subnets]
    balancer = (await bench.elb("create_load_balancer", Name=name, Subnets=ids))["LoadBalancers"][0]
    await bench.elb(
        "create_listener",
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )
    registry = bench.portway.controller.balancing.registry
    known = registry.groups[arn]
    # AWS lets nobody ask more often than every five seconds.
    await registry.put(replace(known, check=replace(known.check, interval_s=1, timeout_s=1)))
    return arn


async def create(bench: Bench, name: str, **given: Any) -> None:
    """One service of one task."""
    await bench.ecs(
        "create_service",
        cluster=CLUSTER,
        serviceName=name,
        taskDefinition="web",
        desiredCount=1,
        **given,
    )


async def until_steady(bench: Bench, name: str) -> None:
    """Ask as `services-stable` does, only more often."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await bench.ecs("describe_services", cluster=CLUSTER, services=[name])
            events = answer["services"][0]["events"]
            if events and events[0]["message"].endswith("has reached a steady state."):
                return
            await asyncio.sleep(0.01)


async def steady_s(bench: Bench, name: str, arn: str) -> float:
    """From CreateService to the event."""
    began_s = time.monotonic()
    bound = [{"targetGroupArn": arn, "containerName": "web", "containerPort": 80}]
    await create(bench, name, loadBalancers=bound)
    await until_steady(bench, name)
    return time.monotonic() - began_s


async def times_ms(ask: Callable[[], Awaitable[Any]], count: int) -> list[float]:
    """How long each of so many requests took."""
    found: list[float] = []
    for _ in range(count):
        began_s = time.perf_counter()
        await ask()
        found.append((time.perf_counter() - began_s) * 1000)
    return found


async def listed_ms(bench: Bench) -> tuple[float, float]:
    """All services listed and described, ten at a time: processor time of a listing, and of a description, the medians."""
    lists: list[float] = []
    descriptions: list[float] = []
    token: dict[str, str] = {}
    while True:
        began_s = time.process_time()
        page = await bench.ecs("list_services", cluster=CLUSTER, maxResults=10, **token)
        listed_s = time.process_time()
        arns = page["serviceArns"]
        answer = await bench.ecs("describe_services", cluster=CLUSTER, services=arns)
        assert len(answer["services"]) == len(arns)
        if len(arns) == 10:
            lists.append((listed_s - began_s) * 1000)
            descriptions.append((time.process_time() - listed_s) * 1000)
        if not page.get("nextToken"):
            return statistics.median(lists), statistics.median(descriptions)
        token = {"nextToken": page["nextToken"]}


async def grow(bench: Bench, count: int) -> None:
    """So many services beside those that are there, all steady."""
    known = len((await bench.portway.operations.overview(CLUSTER)).apps)
    for number in range(known, count):
        await create(bench, f"s{number}")
    async with asyncio.timeout(PATIENCE_S * 5):
        while not bench.portway.rests(CLUSTER):
            await asyncio.sleep(0.05)


async def measure(*, quick: bool) -> list[Figure]:
    """All figures."""
    few, many, requests = (20, 200, 100) if quick else (50, 500, 500)
    async with opened() as bench:
        arn = await group(bench, "first")
        steady = [await steady_s(bench, "web", arn)]
        for number in range(1, 3 if quick else 7):
            steady.append(await steady_s(bench, f"web{number}", await group(bench, f"g{number}")))
        services = await times_ms(
            lambda: bench.ecs("describe_services", cluster=CLUSTER, services=["web"]), requests
        )
        health = await times_ms(
            lambda: bench.elb("describe_target_health", TargetGroupArn=arn), requests
        )
        async with opened() as other:
            await grow(other, few)
            await grow(bench, many)
            before: list[tuple[float, float]] = []
            after: list[tuple[float, float]] = []
            for _ in range(TURNS):
                before.append(await listed_ms(other))
                after.append(await listed_ms(bench))
        crowded = await times_ms(
            lambda: bench.elb("describe_target_health", TargetGroupArn=arn), requests // 2
        )
    median_s = statistics.median(steady)
    return [
        Figure(name="CreateService to a steady state, one task, a check a second", ours=seconds(median_s),
               value=median_s, rival=f"AWS, published: {PUBLISHED_S:g} s", aim=STEADY_AIM_S, unit="s"),
        *answered("DescribeServices", services),
        *answered("DescribeTargetHealth", health),
        *answered(f"DescribeTargetHealth among {many} services", crowded),
        *(
            growth(f"{what}, {many} services against {few}",
                   before=[turn[nth] for turn in before], after=[turn[nth] for turn in after])
            for nth, what in enumerate(("A page of ListServices", "Ten services described"))
        ),
    ]  # fmt: skip


def growth(name: str, *, before: list[float], after: list[float]) -> Figure:
    """A call's processor time among many against that among few, turn by turn."""
    return Figure(
        name=name,
        ours=f"{statistics.median(after):.1f} ms",
        value=ratio(after, before),
        rival=f"{statistics.median(before):.1f} ms",
        aim=GROWTH_AIM,
        unit="x",
    )


def answered(name: str, found_ms: list[float]) -> list[Figure]:
    """p50 with its aim, p99 beside it."""
    half, most = percentile(found_ms, 50), percentile(found_ms, 99)
    told = f"{half:.1f} ms, {most:.1f} ms"
    return [Figure(name=f"{name}, p50, p99", ours=told, value=half, aim=ANSWER_AIM_MS, unit="ms")]


def main() -> int:
    """Print the table; 1 when an aim is missed."""
    import logging

    import structlog

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    options = arguments(__doc__)
    return report(asyncio.run(measure(quick=options.quick)), options)


if __name__ == "__main__":
    sys.exit(main())
