"""Every default of load balancers, target groups and listeners, as they are told over the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.aws.direct import Direct
from tests.api.fakes import FakeOperations

CROSS_ZONE = "load_balancing.cross_zone.enabled"
HEALTH = "target_group_health."
BOTH = {
    "deregistration_delay.timeout_seconds": "300",
    "stickiness.enabled": "false",
    CROSS_ZONE: "use_load_balancer_configuration",
    f"{HEALTH}dns_failover.minimum_healthy_targets.count": "1",
    f"{HEALTH}dns_failover.minimum_healthy_targets.percentage": "off",
    f"{HEALTH}unhealthy_state_routing.minimum_healthy_targets.count": "1",
    f"{HEALTH}unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}
OF_ALB = {
    **BOTH,
    "stickiness.type": "lb_cookie",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "load_balancing.algorithm.type": "round_robin",
    "load_balancing.algorithm.anomaly_mitigation": "off",
    "slow_start.duration_seconds": "0",
}
OF_NLB = {
    **BOTH,
    "stickiness.type": "source_ip",
    "deregistration_delay.connection_termination.enabled": "false",
    "preserve_client_ip.enabled": "true",
    "proxy_protocol_v2.enabled": "false",
    "target_health_state.unhealthy.connection_termination.enabled": "true",
    "target_health_state.unhealthy.draining_interval_seconds": "0",
}
LOGS = {
    f"{name}.s3.{key}": value
    for name in ("access_logs", "connection_logs", "health_check_logs")
    for key, value in (("enabled", "false"), ("bucket", ""), ("prefix", ""))
}
ALB = {
    **LOGS,
    "deletion_protection.enabled": "false",
    CROSS_ZONE: "true",
    "idle_timeout.timeout_seconds": "60",
    "client_keep_alive.seconds": "3600",
    "routing.http2.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "waf.fail_open.enabled": "false",
    "ipv6.deny_all_igw_traffic": "false",
    "zonal_shift.config.enabled": "false",
}
NLB = {
    **{key: value for key, value in LOGS.items() if key.startswith("access_logs")},
    "deletion_protection.enabled": "false",
    CROSS_ZONE: "false",
    "ipv6.deny_all_igw_traffic": "false",
    "zonal_shift.config.enabled": "false",
    "dns_record.client_routing_policy": "any_availability_zone",
    "secondary_ips.auto_assigned.per_subnet": "0",
}
HTTP_CHECK = {
    "HealthCheckProtocol": "HTTP",
    "HealthCheckPath": "/",
    "Matcher": {"HttpCode": "200"},
    "HealthCheckTimeoutSeconds": 5,
    "ProtocolVersion": "HTTP1",
}
TCP_CHECK = {
    "HealthCheckProtocol": "TCP",
    "HealthCheckPath": None,
    "Matcher": None,
    "HealthCheckTimeoutSeconds": 10,
    "ProtocolVersion": None,
}
ANY_CHECK = {
    "HealthCheckPort": "traffic-port",
    "HealthCheckEnabled": True,
    "HealthCheckIntervalSeconds": 30,
    "HealthyThresholdCount": 5,
    "UnhealthyThresholdCount": 2,
    "TargetType": "instance",
    "IpAddressType": "ipv4",
    "LoadBalancerArns": [],
}


class Asked:
    """Asks of load balancers without a socket."""

    def __init__(self) -> None:
        operations = FakeOperations()
        self.direct = Direct(operations, documents=operations.documents, now_ms=lambda: 0)

    async def __call__(self, operation: str, /, **members: Any) -> dict[str, Any]:
        return await self.direct.ask("elbv2", operation, **members)

    async def subnets(self) -> list[dict[str, Any]]:
        return (await self.direct.ask("ec2", "DescribeSubnets"))["Subnets"]

    async def group(self, **members: Any) -> dict[str, Any]:
        vpc_id = (await self.subnets())[0]["VpcId"]
        given = {"Name": "tg", "Protocol": "HTTP", "Port": 80, "VpcId": vpc_id, **members}
        return (await self("CreateTargetGroup", **given))["TargetGroups"][0]

    async def balancer(self, kind: str) -> dict[str, Any]:
        subnets = [subnet["SubnetId"] for subnet in await self.subnets()]
        made = await self("CreateLoadBalancer", Name="lb", Type=kind, Subnets=subnets)
        return made["LoadBalancers"][0]

    async def set_group(self, arn: str, **values: str) -> dict[str, str]:
        given = [{"Key": key, "Value": value} for key, value in values.items()]
        told = await self("ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=given)
        return {one["Key"]: one["Value"] for one in told["Attributes"]}


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked()


def told(answer: dict[str, Any]) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in answer["Attributes"]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"Protocol": "HTTP"}, OF_ALB),
        ({"Protocol": "HTTPS"}, OF_ALB),
        ({"Protocol": "TCP"}, OF_NLB),
        ({"Protocol": "TLS"}, OF_NLB),
        ({"Protocol": "TCP", "TargetType": "ip"}, {**OF_NLB, "preserve_client_ip.enabled": "false"}),
    ],
    ids=str,
)  # fmt: skip
async def test_a_target_group_tells_all_its_attributes(
    asked: Asked, given: dict[str, str], expected: dict[str, str]
) -> None:
    arn = (await asked.group(**given))["TargetGroupArn"]
    assert told(await asked("DescribeTargetGroupAttributes", TargetGroupArn=arn)) == expected


@pytest.mark.parametrize(("kind", "expected"), [("application", ALB), ("network", NLB)])
async def test_a_load_balancer_tells_all_its_attributes(
    asked: Asked, kind: str, expected: dict[str, str]
) -> None:
    made = await asked.balancer(kind)
    arn = made["LoadBalancerArn"]
    assert told(await asked("DescribeLoadBalancerAttributes", LoadBalancerArn=arn)) == expected
    assert (made["Scheme"], made["IpAddressType"], made["Type"]) == ("internet-facing", "ipv4", kind)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "protocol", "expected"),
    [("application", "HTTP", {}), ("network", "TCP", {"tcp.idle_timeout.seconds": "350"})],
)
async def test_a_listener_tells_all_its_attributes(
    asked: Asked, kind: str, protocol: str, expected: dict[str, str]
) -> None:
    of = (await asked.balancer(kind))["LoadBalancerArn"]
    group = (await asked.group(Protocol=protocol))["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    made = await asked("CreateListener", LoadBalancerArn=of, Protocol=protocol, Port=80, DefaultActions=forward)  # fmt: skip
    arn = made["Listeners"][0]["ListenerArn"]
    assert told(await asked("DescribeListenerAttributes", ListenerArn=arn)) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"Protocol": "HTTP"}, HTTP_CHECK),
        ({"Protocol": "HTTPS"}, HTTP_CHECK),
        ({"Protocol": "TCP"}, TCP_CHECK),
        ({"Protocol": "TLS"}, TCP_CHECK),
        (
            {"Protocol": "TCP", "HealthCheckProtocol": "HTTP"},
            {**HTTP_CHECK, "Matcher": {"HttpCode": "200-399"}, "HealthCheckTimeoutSeconds": 6, "ProtocolVersion": None},
        ),
    ],
    ids=str,
)  # fmt: skip
async def test_targets_are_checked_as_aws_checks_them(
    asked: Asked, given: dict[str, str], expected: dict[str, Any]
) -> None:
    made = await asked.group(**given)
    assert {key: made.get(key) for key in (*ANY_CHECK, *expected)} == {**ANY_CHECK, **expected}


@pytest.mark.parametrize(
    ("protocol", "key", "good", "bad"),
    [
        ("HTTP", "deregistration_delay.timeout_seconds", "0 3600", "-1 3601 1.5 é"),
        ("HTTP", "stickiness.lb_cookie.duration_seconds", "1 604800", "0 604801"),
        ("HTTP", "stickiness.app_cookie.duration_seconds", "1 604800", "0 604801"),
        ("HTTP", "slow_start.duration_seconds", "0 30 900", "1 29 901"),
        ("HTTP", "stickiness.type", "lb_cookie app_cookie", "source_ip LB_COOKIE"),
        ("HTTP", "load_balancing.algorithm.type", "least_outstanding_requests weighted_random", "random"),
        ("HTTP", CROSS_ZONE, "true false", "yes"),
        ("HTTP", f"{HEALTH}dns_failover.minimum_healthy_targets.count", "1 off", "0 1001"),
        ("HTTP", f"{HEALTH}unhealthy_state_routing.minimum_healthy_targets.percentage", "1 100 off", "0 101"),
        ("TCP", "stickiness.type", "source_ip", "lb_cookie source_ip_dest_ip"),
        ("TCP", "target_health_state.unhealthy.draining_interval_seconds", "0 360000", "360001"),
        ("TCP", "proxy_protocol_v2.enabled", "true", "on"),
    ],
)  # fmt: skip
async def test_values_are_taken_within_their_range_only(
    asked: Asked, protocol: str, key: str, good: str, bad: str
) -> None:
    arn = (await asked.group(Protocol=protocol))["TargetGroupArn"]
    for value in good.split():
        assert (await asked.set_group(arn, **{key: value}))[key] == value
    kept = good.split()[-1]
    for value in bad.split():
        given = [{"Key": key, "Value": value}]
        code, said = await asked.direct.refusal("elbv2", "ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=given)  # fmt: skip
        assert (code, key in said) == ("InvalidConfigurationRequest", True), value
    assert told(await asked("DescribeTargetGroupAttributes", TargetGroupArn=arn))[key] == kept


@pytest.mark.parametrize(
    ("before", "given", "said"),
    [
        ({}, {"load_balancing.algorithm.anomaly_mitigation": "on"}, "weighted_random"),
        ({"load_balancing.algorithm.type": "weighted_random"}, {"slow_start.duration_seconds": "30"}, "round_robin"),
        ({"slow_start.duration_seconds": "30"}, {"load_balancing.algorithm.type": "least_outstanding_requests"}, "round_robin"),
        ({CROSS_ZONE: "false"}, {"stickiness.enabled": "true"}, "cross-zone"),
        ({"stickiness.type": "app_cookie"}, {"stickiness.enabled": "true"}, "cookie name"),
        ({"stickiness.type": "app_cookie", "stickiness.enabled": "true", "stickiness.app_cookie.cookie_name": "a"},
         {"stickiness.app_cookie.cookie_name": "AWSALBAPP-0"}, "reserved"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_does_not_go_together_is_refused_and_nothing_is_changed(
    asked: Asked, before: dict[str, str], given: dict[str, str], said: str
) -> None:
    arn = (await asked.group())["TargetGroupArn"]
    was = await asked.set_group(arn, **before) if before else OF_ALB
    attributes = [{"Key": key, "Value": value} for key, value in given.items()]
    code, why = await asked.direct.refusal("elbv2", "ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=attributes)  # fmt: skip
    assert code == "InvalidConfigurationRequest"
    assert said in why
    assert told(await asked("DescribeTargetGroupAttributes", TargetGroupArn=arn)) == was


async def test_weighted_random_may_mitigate_anomalies(asked: Asked) -> None:
    arn = (await asked.group())["TargetGroupArn"]
    both = {"load_balancing.algorithm.type": "weighted_random", "load_balancing.algorithm.anomaly_mitigation": "on"}  # fmt: skip
    assert both.items() <= (await asked.set_group(arn, **both)).items()


async def test_an_alb_is_always_cross_zone(asked: Asked) -> None:
    arn = (await asked.balancer("application"))["LoadBalancerArn"]
    given = [{"Key": CROSS_ZONE, "Value": "false"}]
    code, _ = await asked.direct.refusal("elbv2", "ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=given)  # fmt: skip
    assert code == "InvalidConfigurationRequest"


async def test_a_key_of_the_other_kind_is_not_known(asked: Asked) -> None:
    arn = (await asked.group())["TargetGroupArn"]
    given = [{"Key": "proxy_protocol_v2.enabled", "Value": "true"}]
    code, why = await asked.direct.refusal("elbv2", "ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=given)  # fmt: skip
    assert (code, "not recognized" in why) == ("ValidationError", True)
