"""Load balancers that really balance: boto3, a whole portway, a real HAProxy, and servers registered by hand."""

from __future__ import annotations

import asyncio
import re
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from portway.assemble import running
from portway.config import Config
from portway.controller.operations import PortwayOperations
from portway.core.app import App, Exposure, PortSpec, TargetBinding
from portway.core.aws_names import AwsNames
from portway.core.balancing.model import TargetGroup
from portway.core.instance import Phase
from tests.api.aws.conftest import serving_face
from tests.api.aws.elbv2.conftest import Elb, forward
from tests.api.aws.elbv2.test_listeners import certificate
from tests.balancers.support import EchoInstance, eventually, needs_haproxy

pytestmark = needs_haproxy


class Served(Elb):
    """A service whose load balancers answer."""

    def __init__(self, face: Any, portway: PortwayOperations) -> None:
        super().__init__(face)
        self.portway = portway

    @property
    def node(self) -> str:
        home_id = self.portway.controller.world.home_id
        name = self.portway.balancing.nodes[0].name
        return AwsNames(region="", account_id="", home_id=home_id).ec2_instance_id(name)

    async def quick(self, arn: str) -> None:
        """Check the targets of a group more often than AWS lets anybody."""
        registry = self.portway.balancing.registry
        group: TargetGroup = registry.groups[arn]
        check = replace(group.check, interval_s=1, timeout_s=1, healthy_threshold=1, unhealthy_threshold=1)  # fmt: skip
        await registry.put(replace(group, check=check))
        self.portway.balancing.touch()

    async def register(self, arn: str, *instances: EchoInstance) -> None:
        targets = [{"Id": self.node, "Port": one.port_number} for one in instances]
        await self.ask("register_targets", TargetGroupArn=arn, Targets=targets)

    async def states(self, arn: str) -> list[str]:
        told = await self.ask("describe_target_health", TargetGroupArn=arn)
        return sorted(each["TargetHealth"]["State"] for each in told["TargetHealthDescriptions"])

    async def until(self, arn: str, *states: str) -> None:
        async with asyncio.timeout(30):
            while await self.states(arn) != sorted(states):
                await asyncio.sleep(0.05)


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Served]:
    config = Config(home=directory / "home", engine="process", listen="", aws_hosts_file="")
    async with AsyncExitStack() as cleanup:
        portway = await cleanup.enter_async_context(_stopped_whole(config))
        documents, home_id = portway.controller.store.documents, portway.controller.world.home_id
        given = {"operations": portway, "documents": documents, "home_id": home_id}
        made = Served(await cleanup.enter_async_context(serving_face(directory, **given)), portway)
        await portway.controller.looked.wait()
        await made.open()
        yield made


@asynccontextmanager
async def _stopped_whole(config: Config) -> AsyncIterator[PortwayOperations]:
    """HAProxy ends after the controller, which would start it again."""
    portway: PortwayOperations | None = None
    try:
        async with running(config) as portway:
            yield portway
    finally:
        if portway is not None:
            await portway.controller.balancer.shutdown()


async def fetched(
    address: str, path: str = "/", *, number: int = 80, tls: str = ""
) -> tuple[int, bytes]:
    """(status, head of the answer and certificate); `tls`: the name that is asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if tls else None
    if context is not None:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(
        address, number, ssl=context, server_hostname=tls or None
    )
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(10):
            answer = await reader.readuntil(b"\r\n\r\n")
        peer = writer.get_extra_info("ssl_object")
        shown = peer.getpeercert(binary_form=True) if peer else b""
        return int(answer.split(b" ", 2)[1]), answer + shown
    except asyncio.IncompleteReadError:
        raise ConnectionResetError("nobody is behind the listener") from None
    finally:
        writer.close()


async def who(address: str, times: int, **given: Any) -> Counter[str]:
    """Which servers answer."""
    found: Counter[str] = Counter()
    for _ in range(times):
        status, answer = await fetched(address, **given)
        name = next((n for n in ("one", "two") if f"instance: {n}".encode() in answer.lower()), "")
        found[name or str(status)] += 1
    return found


async def answered_by(address: str, *names: str, **given: Any) -> None:
    """Wait until these servers answer and no other: what is decided is served a moment later."""

    async def is_so() -> bool:
        try:
            return set(await who(address, 6, **given)) == set(names)
        except OSError:
            return False  # not bound yet

    await eventually(is_so)


async def refuses(address: str, number: int) -> bool:
    try:
        await fetched(address, number=number)
    except OSError:
        return True
    return False


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as made:
        yield made


@pytest.fixture
async def servers() -> AsyncIterator[tuple[EchoInstance, EchoInstance]]:
    one, two = await EchoInstance("one").start(), await EchoInstance("two").start()
    yield one, two
    await one.stop()
    await two.stop()


async def test_traffic_goes_to_the_healthy_of_the_registered_targets(
    served: Served, servers: tuple[EchoInstance, EchoInstance]
):
    one, two = servers
    balancer, arn = await served.balancer(), (await served.group())["TargetGroupArn"]
    address = balancer["DNSName"]
    await served.quick(arn)
    await served.listener(balancer["LoadBalancerArn"], DefaultActions=forward(arn))
    await answered_by(address, "503")  # nobody is registered
    await served.register(arn, one, two)
    await served.until(arn, "healthy", "healthy")
    await answered_by(address, "one", "two")
    assert await who(address, 10) == {"one": 5, "two": 5}
    await one.stop()
    await served.until(arn, "unhealthy", "healthy")
    await answered_by(address, "two")
    await one.start()
    await served.until(arn, "healthy", "healthy")
    await answered_by(address, "one", "two")
    target = [{"Id": served.node, "Port": two.port_number}]
    await served.ask("deregister_targets", TargetGroupArn=arn, Targets=target)
    await served.until(arn, "healthy", "draining")
    await answered_by(address, "one")


async def test_rules_certificates_and_streams_are_served(
    served: Served, servers: tuple[EchoInstance, EchoInstance]
):
    one, two = servers
    balancer, arn = await served.balancer(), (await served.group())["TargetGroupArn"]
    of, address = balancer["LoadBalancerArn"], balancer["DNSName"]
    first, second = await certificate(served, "one"), await certificate(served, "two")
    listener = await served.listener(
        of,
        port=443,
        Protocol="HTTPS",
        Certificates=[{"CertificateArn": first}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )
    one_of = {"ListenerArn": listener["ListenerArn"]}
    await served.ask(
        "add_listener_certificates", **one_of, Certificates=[{"CertificateArn": second}]
    )
    conditions = [{"Field": "path-pattern", "Values": ["/api/*"]}]
    await served.ask(
        "create_rule", **one_of, Priority=1, Conditions=conditions, Actions=forward(arn)
    )
    await served.register(arn, one)
    stream = (await served.group("tcp", Protocol="TCP"))["TargetGroupArn"]
    await served.quick(stream)
    network = await served.balancer("net", Type="network")
    await served.listener(
        network["LoadBalancerArn"], Protocol="TCP", DefaultActions=forward(stream)
    )
    await served.register(stream, two)
    await served.until(arn, "healthy")
    await served.until(stream, "healthy")
    await answered_by(address, "one", path="/api/x", number=443, tls="one.example.com")
    assert (await fetched(address, "/API/x", number=443, tls="one.example.com"))[0] == 404
    for name in ("one", "two"):
        _, shown = await fetched(address, number=443, tls=f"{name}.example.com")
        assert f"{name}.example.com".encode() in shown
    await answered_by(network["DNSName"], "two")
    await served.ask("delete_load_balancer", LoadBalancerArn=of)
    await eventually(lambda: refuses(address, 443))


SERVER = """
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("X-Version", os.environ["V"])
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT0"])), Handler).serve_forever()
"""


def app(group: str, version: str) -> App:
    return App(
        id="c/web",
        command=(sys.executable, "-c", SERVER),
        environment={"V": version},
        ports=(PortSpec(name="http", container_port=0, exposure=Exposure.HOST),),
        targets=(TargetBinding(group=group, container="", container_port=0),),
    )


async def test_an_app_rolls_behind_a_load_balancer_without_a_failed_request(served: Served):
    balancer, arn = await served.balancer(), (await served.group())["TargetGroupArn"]
    await served.listener(balancer["LoadBalancerArn"], DefaultActions=forward(arn))
    world, address = served.portway.controller.world, balancer["DNSName"]

    def rests() -> bool:
        state = world.apps["c/web"]
        assert state.target is not None
        live = [r for r in state.instances if r.phase is not Phase.GONE]
        serving = [
            r for r in live if (r.phase, r.identity.revision) == (Phase.READY, state.target.id)
        ]
        return len(live) == len(serving) == 2

    await served.portway.put_app("c", app(arn, "1"), count=2)
    await eventually(rests, within_s=30)
    answers: Counter[str] = Counter()
    rolled = asyncio.Event()

    async def load() -> None:
        while not rolled.is_set():
            try:
                status, answer = await fetched(address)
                found = re.search(rb"x-version: (\d)", answer.lower())
                answers[found[1].decode() if found else str(status)] += 1
            except OSError as error:
                answers[str(error)] += 1

    async with asyncio.TaskGroup() as group:
        group.create_task(load())
        group.create_task(load())
        await served.portway.put_app("c", app(arn, "2"), count=2)
        await eventually(rests, within_s=30)
        rolled.set()
    assert set(answers) <= {"1", "2"}
    assert answers["2"]
    assert await served.states(arn) == ["draining", "draining", "healthy", "healthy"]
    await served.portway.remove_app("c", "web")
    await eventually(lambda: "c/web" not in world.apps, within_s=30)
