"""Target groups, with boto3."""

from __future__ import annotations

from tests.api.aws.elbv2.conftest import Elb, forward


async def test_a_group_of_an_alb_has_its_defaults(elb: Elb):
    made = await elb.group()
    expected = {
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckPath": "/",
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
        "Matcher": {"HttpCode": "200"},
        "TargetType": "instance",
        "ProtocolVersion": "HTTP1",
        "LoadBalancerArns": [],
    }
    assert made.items() >= expected.items()


async def test_a_group_of_an_nlb_has_others(elb: Elb):
    made = await elb.group(Protocol="TCP")
    expected = {
        "HealthCheckProtocol": "TCP",
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 10,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
    }
    assert made.items() >= expected.items()
    assert not {"Matcher", "HealthCheckPath"} & made.keys()
    by_http = await elb.group("tg2", Protocol="TCP", HealthCheckProtocol="HTTP")
    assert (by_http["HealthCheckTimeoutSeconds"], by_http["Matcher"]) == (
        6,
        {"HttpCode": "200-399"},
    )


async def test_the_same_again_is_the_same_and_another_of_the_name_is_refused(elb: Elb):
    made = await elb.group()
    assert (await elb.group())["TargetGroupArn"] == made["TargetGroupArn"]
    refusal = await elb.refusal("create_target_group", Name="tg", Protocol="HTTP", Port=81, VpcId=elb.vpc_id)  # fmt: skip
    assert refusal[0] == "DuplicateTargetGroupName"


WRONG: tuple[dict[str, object], ...] = (
    {"Protocol": "UDP"},
    {"TargetType": "lambda"},
    {"ProtocolVersion": "GRPC"},
    {"IpAddressType": "ipv6"},
    {"HealthCheckTimeoutSeconds": 30},
    {"HealthCheckPath": "no-slash"},
    {"HealthCheckPath": "/a b"},
    {"HealthCheckPort": "http"},
    {"HealthCheckProtocol": "TCP"},
    {"Matcher": {"HttpCode": "200-599"}},
    {"Matcher": {"HttpCode": "ok"}},
    {"VpcId": "vpc-1"},
    {"Name": "no_underscore"},
)


async def test_what_cannot_be_is_refused_with_a_sentence(elb: Elb):
    for members in WRONG:
        given = {"Name": "tg", "Protocol": "HTTP", "Port": 80, "VpcId": elb.vpc_id, **members}
        code, told = await elb.refusal("create_target_group", **given)
        assert code == "ValidationError", members
        assert len(told) > 20


async def test_the_check_is_changed_in_part(elb: Elb):
    arn = (await elb.group())["TargetGroupArn"]
    change = {"HealthCheckPath": "/health", "HealthCheckIntervalSeconds": 10, "Matcher": {"HttpCode": "200,204"}}  # fmt: skip
    [told] = (await elb.ask("modify_target_group", TargetGroupArn=arn, **change))["TargetGroups"]
    assert told.items() >= {**change, "UnhealthyThresholdCount": 2}.items()


async def test_attributes_are_told_whole_and_checked(elb: Elb):
    arn = (await elb.group())["TargetGroupArn"]
    told = await elb.ask("describe_target_group_attributes", TargetGroupArn=arn)
    every = {each["Key"]: each["Value"] for each in told["Attributes"]}
    assert every["deregistration_delay.timeout_seconds"] == "300"

    async def refused(**values: str) -> str:
        change = [{"Key": k.replace("__", "."), "Value": v} for k, v in values.items()]
        given = {"TargetGroupArn": arn, "Attributes": change}
        return (await elb.refusal("modify_target_group_attributes", **given))[0]

    bad = "InvalidConfigurationRequest"
    assert await refused(deregistration_delay__timeout_seconds="3601") == bad
    assert await refused(stickiness__enabled="true", stickiness__type="app_cookie") == bad
    assert await refused(slow_start__duration_seconds="30", load_balancing__algorithm__type="weighted_random") == bad  # fmt: skip
    assert await refused(proxy_protocol_v2__enabled="true") == "ValidationError"
    change = [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]
    await elb.ask("modify_target_group_attributes", TargetGroupArn=arn, Attributes=change)


async def test_a_group_in_use_says_by_whom_and_is_not_deleted(elb: Elb):
    balancer, group = await elb.balancer(), await elb.group()
    arn = group["TargetGroupArn"]
    listener = await elb.listener(balancer["LoadBalancerArn"], DefaultActions=forward(arn))
    found = await elb.ask("describe_target_groups", LoadBalancerArn=balancer["LoadBalancerArn"])
    assert found["TargetGroups"][0]["LoadBalancerArns"] == [balancer["LoadBalancerArn"]]
    code, told = await elb.refusal("delete_target_group", TargetGroupArn=arn)
    assert (code, told) == ("ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule")  # fmt: skip
    await elb.ask("delete_listener", ListenerArn=listener["ListenerArn"])
    await elb.ask("delete_target_group", TargetGroupArn=arn)
    await elb.ask("delete_target_group", TargetGroupArn=arn)
    assert (await elb.refusal("describe_target_groups", Names=["tg"]))[0] == "TargetGroupNotFound"
