"""The vectors about traffic: a real HAProxy, and servers registered by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.api.aws.elbv2.conftest import ANSWER, forward
from tests.api.aws.elbv2.test_served import Served, answered_by, fetched, serving, who
from tests.api.aws.vectors.cases import CASES, Case, fits
from tests.api.aws.vectors.served import SERVED
from tests.api.conftest import free_port
from tests.balancers.support import EchoInstance, eventually, needs_haproxy

pytestmark = needs_haproxy


async def test_the_vectors_about_traffic_pass(tmp_path: Path) -> None:
    """One load balancer for all of them: a rule for each, and none for anything else."""
    asked = {
        "ecs-105": refused_connections,
        "ecs-119": minds_case,
        "ecs-124": falls_silent,
        "ecs-126": takes_turns,
    }
    assert asked.keys() == SERVED
    async with serving(tmp_path) as served:
        balancer = await served.balancer()
        listener = await served.listener(balancer["LoadBalancerArn"], DefaultActions=ANSWER)
        await idle_timeout(served, balancer["LoadBalancerArn"], seconds=1)
        for priority, (name, run) in enumerate(asked.items(), 1):
            arn = (await served.group(f"tg-{priority}"))["TargetGroupArn"]
            await served.quick(arn)
            path = {"ecs-119": "/api/*", "ecs-124": "/slow", "ecs-126": "/"}.get(name, "/no")
            conditions = [{"Field": "path-pattern", "Values": [path]}]
            await served.ask("create_rule", ListenerArn=listener["ListenerArn"], Priority=priority, Conditions=conditions, Actions=forward(arn))  # fmt: skip
            await run(CASES[name], served, arn, balancer["DNSName"])


async def idle_timeout(served: Served, arn: str, *, seconds: int) -> None:
    """A second instead of the minute that the vector tells of."""
    given = [{"Key": "idle_timeout.timeout_seconds", "Value": str(seconds)}]
    await served.ask("modify_load_balancer_attributes", LoadBalancerArn=arn, Attributes=given)


async def refused_connections(case: Case, served: Served, arn: str, address: str) -> None:
    nobody = EchoInstance("nobody")
    nobody.port_number = free_port()
    await served.register(arn, nobody)
    await served.until(arn, "unhealthy")
    fits(await served.ask("describe_target_health", TargetGroupArn=arn), case.expect["response"])


async def minds_case(case: Case, served: Served, arn: str, address: str) -> None:
    async with instances(served, arn, "one"):
        await answered_by(address, "one", path="/api/x")
        path = case.input["request"].removeprefix("GET ")
        assert (await fetched(address, path))[0] == case.expect["status"]


async def takes_turns(case: Case, served: Served, arn: str, address: str) -> None:
    async with instances(served, arn, "one", "two"):
        await answered_by(address, "one", "two")
        times = int(case.input["request"].partition(" ")[0])
        assert await who(address, times) == {"one": 5, "two": 5}


async def falls_silent(case: Case, served: Served, arn: str, address: str) -> None:
    """Its checks are answered; what is asked for is not."""
    path = case.input["request"].removeprefix("GET ")
    silent = EchoInstance("silent")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(f"GET {path} ".encode()):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            await reader.read()  # until the balancer gives up
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        silent.port_number = server.sockets[0].getsockname()[1]
        await served.register(arn, silent)
        await served.until(arn, "healthy")

        async def is_given_up() -> bool:
            return (await fetched(address, path))[0] == case.expect["status"]

        await eventually(is_given_up, within_s=20)


@asynccontextmanager
async def instances(served: Served, arn: str, *names: str) -> AsyncIterator[None]:
    """Servers that say their names, as healthy targets of a group."""
    async with AsyncExitStack() as stack:
        started = [await EchoInstance(name).start() for name in names]
        for one in started:
            stack.push_async_callback(one.stop)
        await served.register(arn, *started)
        await served.until(arn, *["healthy"] * len(names))
        yield
