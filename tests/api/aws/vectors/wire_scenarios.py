"""How requests are routed, signed and refused, whatever they ask; security groups; scaling by what the balancer counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from portway.api.aws.keys import KeyFolder
from portway.api.aws.operation import load_service
from portway.api.aws.wire.services import Protocol, find_target, protocol_of
from portway.api.roles import Role
from portway.controller.autoscaling.scaling import Scaler
from portway.controller.clock import SystemClock
from portway.controller.network.reading import read_network
from portway.core.traffic import Traffic
from tests.api.aws.direct import HOST, Direct
from tests.api.aws.vectors.cases import Case, Ground, scenario
from tests.api.aws.vectors.ecs_steps import (
    balanced,
    begin,
    create,
    network,
    service,
    steady,
    used_group,
)

JSON = {"content-type": "application/x-amz-json-1.1"}
ECS = "AmazonEC2ContainerServiceV20141113"


@scenario("ecs-138")
async def admits_dynamic_ports(case: Case, ground: Ground) -> None:
    vpc_id, subnets = await network(ground)
    groups = {
        name: (await ground.aws.ask("ec2", "CreateSecurityGroup", GroupName=name, Description="d", VpcId=vpc_id))["GroupId"]
        for name in ("inst", "lb")
    }  # fmt: skip
    [reservation] = (await ground.aws.ask("ec2", "DescribeInstances"))["Reservations"]
    [instance] = reservation["Instances"]
    await ground.aws.ask("ec2", "ModifyInstanceAttribute", InstanceId=instance["InstanceId"], Groups=[groups["inst"]])  # fmt: skip

    async def lacks(number: int) -> str:
        known = await read_network(ground.portway.store.documents, home_id=ground.portway.world.home_id, region="us-east-1")  # fmt: skip
        given = {"groups": [groups["lb"]], "subnets": subnets, "instance_id": instance["InstanceId"]}  # fmt: skip
        return known.missing_rule(**given, number=number)

    covered = (32768, 60999, 49153, 65535)
    assert all([await lacks(number) for number in covered])
    await case.asked(ground, inst_sg=groups["inst"], lb_sg=groups["lb"])
    assert not any([await lacks(number) for number in covered])
    assert await lacks(32767)


@scenario("ecs-139")
async def routed(case: Case, ground: Ground) -> None:
    pairs = dict(pair.split("=") for pair in case.input["body"].split("&"))
    found = {
        version: find_target("/", {}, {**pairs, "Version": version}, scope="elasticloadbalancing")
        for version in (pairs["Version"], "2015-12-01")
    }
    assert [t.service.name for t in found.values() if t.service] == ["elb", "elbv2"]
    assert {t.operation for t in found.values()} == {"DescribeLoadBalancers"}


@scenario("ecs-140")
async def json_error(case: Case, ground: Ground) -> None:
    load_service("ecs")
    body = json.dumps({"cluster": "nope", "services": ["web"]}).encode()
    status, headers, answer = await ground.aws.send({**JSON, **case.input}, body)
    assert status == case.expect["status"]
    assert headers["x-amzn-requestid"]
    assert json.loads(answer) == case.expect["response"]


async def signed(
    ground: Ground, service_name: str, headers: Mapping[str, str], body: bytes, *, host: str = HOST, spoil: bool = False
) -> tuple[int, bytes]:  # fmt: skip
    """The answer to a request that botocore signed for `host`, and sent to HOST."""
    with TemporaryDirectory() as directory:
        keys = KeyFolder(Path(directory))
        key = keys.create("default", Role.ADMIN, now_ms=0)
        direct = Direct(
            ground.portway.operations,
            documents=ground.portway.store.documents,
            keys=Path(directory),
            now_ms=SystemClock().now_ms,  # what botocore signs with
            verify_signatures=True,
        )
        request = AWSRequest(method="POST", url=f"http://{host}/", headers=dict(headers), data=body)
        secret = "wrong" if spoil else key.secret
        SigV4Auth(Credentials(key.access_key_id, secret), service_name, "us-east-1").add_auth(request)  # fmt: skip
        sent = {name: _text(value) for name, value in request.prepare().headers.items()}
        status, _, answer = await direct.send(sent, body)
        return status, answer


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@scenario("ecs-141")
async def wrong_signature(case: Case, ground: Ground) -> None:
    for name in ("ecs", "elbv2"):
        load_service(name)
    headers = {**JSON, "X-Amz-Target": f"{ECS}.ListClusters"}
    status, answer = await signed(ground, "ecs", headers, b"{}", spoil=True)
    assert status == case.expect["status"]
    assert json.loads(answer)["__type"] == case.expect["error"]
    form = {"content-type": "application/x-www-form-urlencoded"}
    body = b"Action=DescribeLoadBalancers&Version=2015-12-01"
    status, answer = await signed(ground, "elasticloadbalancing", form, body, spoil=True)
    assert (status, b"<Code>SignatureDoesNotMatch</Code>" in answer) == (403, True)


@scenario("ecs-142")
async def signed_with_port(case: Case, ground: Ground) -> None:
    load_service("ecs")
    assert case.input["Host"] == HOST
    headers = {**JSON, "X-Amz-Target": f"{ECS}.ListClusters"}
    assert protocol_of("/", {n.lower(): v for n, v in headers.items()}) is Protocol.JSON
    assert (await signed(ground, "ecs", headers, b"{}"))[0] == 200
    assert (await signed(ground, "ecs", headers, b"{}", host=HOST.partition(":")[0]))[0] == 400


@scenario("ecs-143")
async def scaled_by_requests(case: Case, ground: Ground) -> None:
    load_service("application-autoscaling")
    portway = ground.portway
    await begin(ground)
    arn = await used_group(ground)
    await create(ground, desiredCount=2, loadBalancers=balanced(arn))
    before = (await steady(ground))["deployments"][0]["id"]
    [of] = (await ground.elb("DescribeTargetGroups", TargetGroupArns=[arn]))["TargetGroups"][0]["LoadBalancerArns"]  # fmt: skip
    ids = {"app/web/<id>": of.partition("loadbalancer/")[2], "tg/<id>": arn.rpartition("targetgroup/")[2]}  # fmt: skip
    scaler = _scaler(ground)
    resource = {n: case.input[n] for n in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
    for most, expected in ((4, 4), (10, 5)):
        await ground.aws.ask("application-autoscaling", "RegisterScalableTarget", MinCapacity=1, MaxCapacity=most, **resource)  # fmt: skip
        await ground.aws.ask(case.service, case.operation, **case.filled(ids))
        portway.balancer.traffic_to_pool[arn] = Traffic(requests=1000)
        await _observed(ground, 1000, arn)
        await scaler.look()
        portway.balancer.traffic_to_pool[arn] = Traffic(requests=1000 + 2 * 250)
        await _observed(ground, 1500, arn)
        await scaler.look()
        shown = await service(ground)
        assert shown["desiredCount"] == expected
        assert [one["id"] for one in shown["deployments"]] == [before]
        await steady(ground)
        scaler = _scaler(ground)
        await ground.ecs("UpdateService", service="web", desiredCount=2)
        await steady(ground)


def _scaler(ground: Ground) -> Scaler:
    """One that has counted nothing yet."""
    portway = ground.portway
    documents, scale = portway.store.documents, portway.operations.scale
    return Scaler(portway.world, documents, portway.clock, scale, portway.engine.usage)


async def _observed(ground: Ground, requests: int, arn: str) -> None:
    """Let time pass until the world has been told of so many requests."""

    def is_seen() -> bool:
        served = (ground.portway.world.served or {}).values()
        pools = [pool for routes in served for route in routes.values() for pool in route.pools]
        return any(p.name == arn and p.traffic.requests == requests for p in pools)

    await ground.portway.until(is_seen)
