"""Targets registered by hand and their health, with boto3."""

from __future__ import annotations

from typing import Any

from tests.api.aws.elbv2.conftest import NODE, Elb, forward


async def health(elb: Elb, arn: str, **members: Any) -> list[dict[str, Any]]:
    told = await elb.ask("describe_target_health", TargetGroupArn=arn, **members)
    return told["TargetHealthDescriptions"]


def at(*ports: int) -> list[dict[str, Any]]:
    return [{"Id": NODE, "Port": port} for port in ports]


async def used_group(elb: Elb) -> str:
    arn = (await elb.group())["TargetGroupArn"]
    balancer = await elb.balancer()
    await elb.listener(balancer["LoadBalancerArn"], DefaultActions=forward(arn))
    return arn


async def test_one_instance_is_registered_with_two_ports(elb: Elb):
    arn = await used_group(elb)
    await elb.ask("register_targets", TargetGroupArn=arn, Targets=at(32768, 32769))
    found = await health(elb, arn)
    assert [each["Target"] for each in found] == at(32768, 32769)
    assert [each["HealthCheckPort"] for each in found] == ["32768", "32769"]
    assert found[0]["TargetHealth"] == {
        "State": "initial",
        "Reason": "Elb.RegistrationInProgress",
        "Description": "Target registration is in progress",
    }


async def test_only_the_port_that_is_deregistered_drains(elb: Elb):
    arn = await used_group(elb)
    await elb.ask("register_targets", TargetGroupArn=arn, Targets=at(32768, 32769))
    await elb.ask("deregister_targets", TargetGroupArn=arn, Targets=at(32768))
    one, other = await health(elb, arn)
    assert one["TargetHealth"] == {
        "State": "draining",
        "Reason": "Target.DeregistrationInProgress",
        "Description": "Target deregistration is in progress",
    }
    assert other["TargetHealth"]["State"] == "initial"
    # Without a port the group's own is meant; one that is not there has left already.
    await elb.ask("deregister_targets", TargetGroupArn=arn, Targets=[{"Id": NODE}])
    assert len(await health(elb, arn)) == 2


async def test_a_group_of_no_listener_uses_nobody(elb: Elb):
    arn = (await elb.group())["TargetGroupArn"]
    await elb.ask("register_targets", TargetGroupArn=arn, Targets=[{"Id": NODE}])
    [found] = await health(elb, arn)
    assert found["Target"]["Port"] == 80
    assert found["TargetHealth"] == {
        "State": "unused",
        "Reason": "Target.NotInUse",
        "Description": "Target group is not configured to receive traffic from the load balancer",
    }
    await elb.ask("deregister_targets", TargetGroupArn=arn, Targets=[{"Id": NODE}])
    assert await health(elb, arn) == []


async def test_a_target_that_is_not_registered_is_told_so(elb: Elb):
    arn = (await elb.group())["TargetGroupArn"]
    [found] = await health(elb, arn, Targets=[{"Id": "i-9", "Port": 80}])
    assert found["TargetHealth"] == {
        "State": "unused",
        "Reason": "Target.NotRegistered",
        "Description": "Target is not registered to the target group",
    }


async def test_what_is_no_target_is_refused(elb: Elb):
    arn = (await elb.group())["TargetGroupArn"]
    by_ip = (await elb.group("ip", TargetType="ip"))["TargetGroupArn"]
    address = (await elb.balancer())["DNSName"]
    for group, target, code in (
        (arn, "i-0123456789abcdef0", "InvalidTarget"),
        (by_ip, "not-an-address", "ValidationError"),
        (by_ip, "::1", "ValidationError"),
        (by_ip, address, "InvalidTarget"),
    ):
        given = {"TargetGroupArn": group, "Targets": [{"Id": target}]}
        assert (await elb.refusal("register_targets", **given))[0] == code
    many = [{"Id": NODE, "Port": number} for number in range(1, 1002)]
    refusal = await elb.refusal("register_targets", TargetGroupArn=arn, Targets=many)
    assert refusal[0] == "TooManyTargets"


async def test_a_stopped_instance_is_refused(elb: Elb):
    world = elb.face.operations.balancing._world  # noqa: SLF001
    from dataclasses import replace

    world.nodes = tuple(replace(node, available=False) for node in world.nodes)
    arn = (await elb.group())["TargetGroupArn"]
    code, told = await elb.refusal("register_targets", TargetGroupArn=arn, Targets=at(80))
    assert code == "InvalidTarget"
    assert "not in a running state" in told


async def test_a_security_group_that_does_not_admit_the_load_balancer_is_named(elb: Elb):
    arn = await used_group(elb)
    await elb.ask("register_targets", TargetGroupArn=arn, Targets=at(32768))
    balancing = elb.face.operations.balancing
    group = balancing.registry.groups[arn]
    [member] = balancing.members(group)
    assert await balancing.barred(group, member) == ""
    [balancer] = balancing.registry.users_of(arn)
    own = await elb.face.ask("ec2", "create_security_group", GroupName="lb", Description="d", VpcId=elb.vpc_id)  # fmt: skip
    await elb.ask("set_security_groups", LoadBalancerArn=balancer.arn, SecurityGroups=[own["GroupId"]])  # fmt: skip
    rules = await elb.face.ask("ec2", "describe_security_group_rules")
    everybody = [r for r in rules["SecurityGroupRules"] if not r["IsEgress"] and r.get("CidrIpv4")]
    for rule in everybody:
        given = {"GroupId": rule["GroupId"], "SecurityGroupRuleIds": [rule["SecurityGroupRuleId"]]}
        await elb.face.ask("ec2", "revoke_security_group_ingress", **given)
    balancing.touch()
    assert "32768" in await balancing.barred(group, member)
