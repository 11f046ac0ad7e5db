"""Security groups and network ACLs keep a load balancer from its targets: unhealthy with Target.Timeout, over the wire."""

from __future__ import annotations

from typing import Any

from tests.api.aws.vectors.cases import Ground
from tests.api.aws.vectors.ecs_steps import (
    balancer,
    group,
    network,
    until_states,
    used_group,
)
from tests.api.aws.vectors.elb_scenarios import registered

VIRTUAL_TIME = True
TIMED_OUT = {"State": "unhealthy", "Reason": "Target.Timeout", "Description": "Request timed out"}


async def denied(ground: Ground, **entry: Any) -> dict[str, Any]:
    """An entry of the default ACL, before all others."""
    [acl] = (await ground.aws.ask("ec2", "DescribeNetworkAcls"))["NetworkAcls"]
    made = {"NetworkAclId": acl["NetworkAclId"], "RuleNumber": 50, "Egress": False}
    given = {"Protocol": "6", "RuleAction": "deny", "CidrBlock": "0.0.0.0/0", **entry}
    await ground.aws.ask("ec2", "CreateNetworkAclEntry", **made, **given)
    return made


async def group_from_afar(ground: Ground) -> str:
    """A target group of an NLB in another subnet than the machine's: within one, no ACL is asked."""
    _, subnets = await network(ground)
    [found] = (await ground.aws.ask("ec2", "DescribeInstances"))["Reservations"]
    near = found["Instances"][0]["SubnetId"]
    far = [subnet for subnet in subnets if subnet != near]
    arn, of = await group(ground, Protocol="TCP"), await balancer(ground, Type="network", Subnets=far)  # fmt: skip
    forward = [{"Type": "forward", "TargetGroupArn": arn}]
    await ground.elb("CreateListener", LoadBalancerArn=of, Protocol="TCP", Port=80, DefaultActions=forward)  # fmt: skip
    return arn


async def test_an_acl_that_denies_the_dynamic_range_times_targets_out(ground: Ground) -> None:
    entry = await denied(ground, PortRange={"From": 32768, "To": 65535})
    arn = await group_from_afar(ground)
    await registered(ground, arn, 32768)
    [barred] = await until_states(ground, arn, "unhealthy")
    assert barred["TargetHealth"] == TIMED_OUT
    await ground.aws.ask("ec2", "DeleteNetworkAclEntry", **entry)
    await until_states(ground, arn, "healthy")


async def test_a_group_that_admits_too_few_ports_times_the_others_out(ground: Ground) -> None:
    arn = await used_group(ground)
    vpc_id, _ = await network(ground)
    rules = (await ground.aws.ask("ec2", "DescribeSecurityGroupRules"))["SecurityGroupRules"]
    default = next(r for r in rules if not r["IsEgress"] and r.get("CidrIpv4"))
    given = {"GroupId": default["GroupId"]}
    own = await ground.aws.ask("ec2", "CreateSecurityGroup", GroupName="lb", Description="d", VpcId=vpc_id)  # fmt: skip
    [of] = (await ground.elb("DescribeTargetGroups", TargetGroupArns=[arn]))["TargetGroups"][0]["LoadBalancerArns"]  # fmt: skip
    await ground.elb("SetSecurityGroups", LoadBalancerArn=of, SecurityGroups=[own["GroupId"]])
    rule_ids = [default["SecurityGroupRuleId"]]
    await ground.aws.ask(
        "ec2", "RevokeSecurityGroupIngress", SecurityGroupRuleIds=rule_ids, **given
    )
    narrow = [{"IpProtocol": "tcp", "FromPort": 32768, "ToPort": 32768, "UserIdGroupPairs": [{"GroupId": own["GroupId"]}]}]  # fmt: skip
    await ground.aws.ask("ec2", "AuthorizeSecurityGroupIngress", IpPermissions=narrow, **given)
    await registered(ground, arn, 32768, 32769)
    _, barred = await until_states(ground, arn, "healthy", "unhealthy")
    assert barred["TargetHealth"] == TIMED_OUT
