"""Targets: the three APIs over a whole portway whose engine, balancer and store are in memory. An input is a list of requests.

A 5xx is a mistake, and so is anything that breaks behind the answer: what the server would log as an error.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import structlog

from portway.api.app import create_app
from portway.api.aws.operation import load_service
from portway.api.aws.settings import AwsSettings
from portway.api.aws.wire.forms import read_form, read_pairs
from portway.api.aws.wire.inputs import WrongType, read_tree
from portway.api.aws.wire.outputs import to_tree, to_xml
from portway.api.aws.wire.services import SERVICES, Service
from portway.api.aws.wire.validation import sentence, violations
from portway.api.marathon.routes import ENDPOINTS as MARATHON
from portway.api.native.routes import ENDPOINTS as NATIVE
from portway.api.settings import ApiSettings
from tests.api.aws.direct import Direct
from tests.api.aws.test_garbage_members import written
from tests.api.marathon.client import Client
from tests.api.marathon.conftest import serving
from tests.controller.inprocess import Portway, VirtualLoop, running_portway
from tests.fuzz.base import Target, examples

REQUESTS_MAX = 8
_AFTERWARDS_S = 5.0  # of virtual time: what was begun goes on

_OURS = b"portway itself"

Requests = list[Any]


class BrokenError(Exception):
    """Something that should never be: an answer of 500, or an error in the log."""


_broken: list[str] = []


def _taken(_: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if method in ("error", "exception", "critical"):
        _broken.append("\n".join(f"{name}: {value}" for name, value in event.items()))
    raise structlog.DropEvent


@contextmanager
def _overheard() -> Iterator[None]:
    """Meanwhile what the server logs as an error is kept, and the rest is dropped."""
    usual = structlog.get_config()
    structlog.configure(processors=[structlog.processors.format_exc_info, _taken])
    try:
        yield
    finally:
        structlog.configure(**usual)


def asking(ask: Callable[[Portway, Requests], Awaitable[None]]) -> Callable[[bytes], None]:
    """A check that has requests made of a portway of their own."""

    async def asked(requests: Requests) -> None:
        async with running_portway() as portway:
            await asyncio.sleep(1)  # until it has seen its node
            await ask(portway, requests)
            await asyncio.sleep(_AFTERWARDS_S)

    def check(data: bytes) -> None:
        try:
            requests = json.loads(data)
        except (ValueError, RecursionError):
            return
        _broken.clear()
        if isinstance(requests, list):
            with _overheard(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
                runner.run(asked(requests[:REQUESTS_MAX]))
        if _broken:
            raise BrokenError(_broken[0])

    return check


_BY_NAME: Mapping[str, Service] = {service.name: service for service in SERVICES}


async def _ask_aws(portway: Portway, requests: Requests) -> None:
    """Each is [service, operation, input]."""
    documents = portway.store.documents
    direct = Direct(portway.operations, documents=documents, now_ms=portway.clock.now_ms, home_id=portway.world.home_id)  # fmt: skip
    for each in requests:
        if not isinstance(each, list) or len(each) != 3 or str(each[0]) not in _BY_NAME:
            continue
        load_service(each[0])  # not in a thread: time, which is virtual, would run away meanwhile
        headers, body = written(_BY_NAME[each[0]], _ascii(each[1]), each[2])
        status, _, answer = await direct.send(headers, body)
        if status >= 500:
            raise BrokenError(_broken[0] if _broken else repr(answer))


def _ascii(value: Any) -> str:
    return str(value).encode("ascii", "replace").decode().replace("\n", " ")


def _aws_seeds() -> Sequence[bytes]:
    vectors = [json.loads(line) for line in examples("tests/vectors/ecs.jsonl")[0].splitlines()]
    single = [[v["service"], v["operation"], v["input"]] for v in vectors if v["service"] in _BY_NAME and isinstance(v["input"], dict)]  # fmt: skip
    container = {"name": "c", "image": "x", "memory": 64, "portMappings": [{"containerPort": 80, "hostPort": 0}], "healthCheck": {"command": ["CMD", "true"]}}  # fmt: skip
    begun = [
        ["ecs", "CreateCluster", {"clusterName": "default"}],
        ["ecs", "RegisterTaskDefinition", {"family": "web", "containerDefinitions": [container], "volumes": [{"name": "v"}]}],
        ["ecs", "CreateService", {"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, "placementConstraints": [{"type": "memberOf", "expression": "attribute:a =~ b"}]}],
    ]  # fmt: skip
    more = [
        ["ecs", "RunTask", {"taskDefinition": "web:1", "count": 2, "overrides": {"containerOverrides": [{"name": "c", "command": ["x"], "environment": [{"name": "A", "value": "b"}]}]}}],
        ["ecs", "UpdateService", {"service": "web", "desiredCount": 3, "forceNewDeployment": True, "deploymentConfiguration": {"maximumPercent": 150, "minimumHealthyPercent": 50}}],
        ["ecs", "ListTasks", {"maxResults": 1}],
        ["ecs", "DeleteService", {"service": "web", "force": True}],
        ["application-autoscaling", "RegisterScalableTarget", {"ServiceNamespace": "ecs", "ResourceId": "service/default/web", "ScalableDimension": "ecs:service:DesiredCount", "MinCapacity": 1, "MaxCapacity": 4}],
        ["logs", "FilterLogEvents", {"logGroupName": "g", "filterPattern": "{ $.a = 1 }"}],
    ]  # fmt: skip
    balanced = [
        ["elbv2", "CreateTargetGroup", {"Name": "t", "Protocol": "HTTP", "Port": 80, "VpcId": "vpc-1", "HealthCheckIntervalSeconds": 5, "Matcher": {"HttpCode": "200-299"}}],
        ["elbv2", "CreateLoadBalancer", {"Name": "l", "Subnets": ["subnet-1"]}],
        ["elb", "CreateLoadBalancer", {"LoadBalancerName": "k", "Listeners": [{"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}]}],
        ["elb", "ConfigureHealthCheck", {"LoadBalancerName": "k", "HealthCheck": {"Target": "HTTP:80/x", "Interval": 5, "Timeout": 2, "UnhealthyThreshold": 2, "HealthyThreshold": 2}}],
        ["ec2", "AuthorizeSecurityGroupIngress", {"GroupName": "default", "IpPermissions": [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}]}],
        ["ec2", "DescribeSubnets", {"Filters": [{"Name": "vpc-id", "Values": ["*"]}], "MaxResults": 5}],
        ["iam", "CreateRole", {"RoleName": "r", "AssumeRolePolicyDocument": "{}"}],
    ]  # fmt: skip
    whole = [begun, *([*begun, each] for each in more), balanced, *([each] for each in single)]
    return [json.dumps(requests).encode() for requests in whole]


def _headers(data: bytes) -> None:
    """Lines of headers, the first one method and URL, from nobody in particular."""
    first, *lines = [*data.split(b"\n"), b""]
    method, _, url = first.decode("latin-1").partition(" ")
    path, _, query = url.partition("?")
    headers = [(name.lower(), value.strip()) for name, _, value in (each.partition(b":") for each in lines)]  # fmt: skip

    async def ask(portway: Portway, _: Requests) -> None:
        settings = ApiSettings(token="t", listen="127.0.0.1:80")  # noqa: S106
        keys = AwsSettings(documents=portway.store.documents, keys=Path("/nowhere"), now_ms=portway.clock.now_ms)  # fmt: skip
        app = create_app(portway.operations, settings, keys, marathon=portway.operations.marathon)
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "root_path": "", "scheme": "http", "query_string": query.encode(), "headers": headers, "client": ("10.0.0.1", 1), "server": ("x", 1)}  # fmt: skip
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": b"{}", "more_body": False}]

        async def receive() -> Any:
            return messages.pop() if messages else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        if sent[0]["status"] >= 500:
            raise BrokenError(_broken[0] if _broken else repr(sent))

    asking(ask)(b"[]")


_HEADERS = (
    "POST /v1/stacks/s/releases\nhost: [::1]:80\nauthorization: Bearer t\ncontent-type: application/json\ncontent-length: \u00b2".encode("latin-1"),
    b"POST /v1/stacks/s/releases\nhost: [::1]:80\nauthorization: Bearer t\ncontent-type: application/json\ncontent-length: " + b"9" * 5000,
    "POST /\nhost: ecs.localhost\nx-amz-target: AmazonEC2ContainerServiceV20141113.ListClusters\ncontent-length: \u00b2".encode("latin-1"),
    b"GET /v1/stacks\nhost: 127.0.0.1:80\nauthorization: Bearer t\norigin: http://127.0.0.1:80",
    b"POST /v1/stacks/s/releases\nhost: [::1]:80\nauthorization: Bearer t\ncontent-type: application/json; charset=x\ncontent-length: 2\nx-portway-request: 1",
    b"GET /v2/apps?label=a==b\nhost: localhost\nauthorization: Basic OnQ=\naccept: text/event-stream\nsec-fetch-site: cross-site",
    b"POST /\nhost: ecs.localhost\nx-amz-target: AmazonEC2ContainerServiceV20141113.ListClusters\nx-amz-security-token: AAAA\nx-amz-date: 20261121T000000Z\n"
    b"authorization: AWS4-HMAC-SHA256 Credential=A/20261121/us-east-1/ecs/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + b"a" * 64,
    b"GET /?Action=ListUsers&X-Amz-Signature=1\nhost: a.localhost\nsmithy-protocol: rpc-v2-cbor",
)  # fmt: skip


async def _ask_marathon(portway: Portway, requests: Requests) -> None:
    """Each is [method, url, body]."""
    async with serving(portway) as client:
        await _ask(client, requests)


async def _ask_native(portway: Portway, requests: Requests) -> None:
    app = create_app(portway.operations, ApiSettings())
    await _ask(Client(app=app, portway=portway), requests)


async def _ask(client: Client, requests: Requests) -> None:
    for each in requests:
        if not isinstance(each, list) or len(each) != 3:
            continue
        method, url = (_ascii(part).replace(" ", "%20") for part in each[:2])
        try:
            async with asyncio.timeout(5):  # a stream has no end
                reply = await client(method, f"/{url.lstrip('/')}", each[2])
        except TimeoutError:
            continue
        # Marathon calls it a failure of its own when deprecated and new fields cannot be brought together.
        if reply.status >= 500 and (_OURS in reply.body or b'"error"' in reply.body):
            raise BrokenError(_broken[0] if _broken else f"{reply.status} {reply.body!r}")


def _marathon_seeds() -> Sequence[bytes]:
    app = {"id": "/a", "cmd": "x", "instances": 2, "portDefinitions": [{"port": 0, "name": "http"}], "healthChecks": [{"protocol": "MESOS_HTTP", "portIndex": 0}], "constraints": [["@hostname", "LIKE", "a.*"]], "labels": {"x": "y"}}  # fmt: skip
    vectors = [json.loads(line) for line in examples("tests/vectors/marathon.jsonl")[0].splitlines()]  # fmt: skip
    plain = [[e.method, e.path.replace("{", "").replace("}", ""), None] for e in MARATHON]
    begun = [
        ["POST", "/v2/apps", app],
        ["PUT", "/v2/apps//a", {"instances": 3}],
        ["POST", "/v2/pods", json.loads(examples("examples/marathon-pod/*.json")[0])],
        ["PUT", "/v2/groups", {"id": "/", "groups": [{"id": "g", "apps": [{"id": "b", "cmd": "y"}]}]}],
        ["GET", "/v2/apps?label=x==y&embed=apps.tasks&embed=apps.counts&cmd=x", None],
        ["POST", "/v2/apps//a/restart?force=true", None],
        ["DELETE", "/v2/apps//a/tasks?scale=true&host=x", None],
    ]  # fmt: skip
    taken = [[["POST", "/v2/pods" if v["kind"] == "pod" else "/v2/apps", v["input"]], *begun[:2]] for v in vectors if v["kind"] in ("normalize", "validate", "pod")]  # fmt: skip
    asked = [[*begun[:1], *plain[at : at + 5]] for at in range(0, len(plain), 5)]
    return [json.dumps(requests).encode() for requests in (begun, *taken, *asked)]


def _native_seeds() -> Sequence[bytes]:
    manifest = "services:\n  web: {image: x, ports: ['80:8080'], deploy: {replicas: 2}}\n"
    begun = [["POST", "/v1/stacks/s/releases", {"manifest": manifest}], ["GET", "/v1/stacks/s/releases", None]]  # fmt: skip
    names = {"stack": "s", "release": "latest", "instance": "web.1.1", "app": "web", "name": "x", "number": "80", "id": "x"}  # fmt: skip
    found = [e for e in NATIVE if not e.socket and e.name != "stop_server"]
    plain = [[e.method, e.path.format_map(_Named(names)), dict(e.example) if e.request else None] for e in found]  # fmt: skip
    asked = [[*begun[:1], *plain[at : at + 5]] for at in range(0, len(plain), 5)]
    return [json.dumps(requests, default=str).encode() for requests in (begun, *asked)]


class _Named(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "x"


@cache
def _shapes() -> list[tuple[Service, Any, Any]]:
    loaded = [(service, load_service(service.name)) for service in SERVICES]
    return [(service, o.input, o.output) for service, (model, known) in loaded for name, o in sorted(model.operations.items()) if name in known]  # fmt: skip


def _wire(data: bytes) -> None:
    """Two bytes choose the operation, one the protocol; the rest is the body."""
    if len(data) < 3:
        return
    service, shape, _ = _shapes()[int.from_bytes(data[:2], "big") % len(_shapes())]
    body = data[3:]
    try:
        if data[2] % 3 == 0:
            parsed = read_form(shape, read_pairs(body), is_ec2=service.name == "ec2")
        else:
            tree = _tree(body, is_cbor=data[2] % 3 == 2)
            parsed = read_tree(shape, tree, values_max=len(body))
    except WrongType:
        return
    if found := violations(shape, parsed.values):
        assert sentence(found)
    elif shape is not None:
        to_xml(shape, parsed.values)
        to_tree(shape, parsed.values, is_cbor=data[2] % 3 == 2)


def _tree(body: bytes, *, is_cbor: bool) -> object:
    try:
        return cbor2.loads(body) if is_cbor else msgspec.json.decode(body)
    except Exception:  # a decoder of CBOR's tags raises what it likes
        raise WrongType from None


def _wire_seeds() -> Sequence[bytes]:
    wanted = {(s.name, getattr(shape, "name", "")): at for at, (s, shape, _) in enumerate(_shapes())}  # fmt: skip
    made: list[bytes] = []
    for requests in map(json.loads, _aws_seeds()):
        for service, operation, value in requests:
            at = wanted.get((service, f"{operation}Request"), wanted.get((service, f"{operation}Input")))  # fmt: skip
            if at is None:
                continue
            form = written(replace(_BY_NAME[service], target_prefix=""), operation, value)[1]
            bodies = (form, json.dumps(value).encode(), cbor2.dumps(value))
            made += [at.to_bytes(2, "big") + bytes([n]) + body for n, body in enumerate(bodies)]
    return made


TARGETS = (
    Target(name="aws-wire", check=_wire, seeds=_wire_seeds, words=(".member.1", ".entry.1.key", "=%2B-1", "&")),
    Target(name="aws", check=asking(_ask_aws), seeds=_aws_seeds, is_json=True),
    Target(name="marathon", check=asking(_ask_marathon), seeds=_marathon_seeds, is_json=True),
    Target(name="headers", check=_headers, seeds=lambda: _HEADERS, words=("host:", "origin: null", "Bearer ", "Basic ", "%2e%2e", "transfer-encoding: chunked")),
    Target(name="native", check=asking(_ask_native), seeds=_native_seeds, is_json=True),
)  # fmt: skip
