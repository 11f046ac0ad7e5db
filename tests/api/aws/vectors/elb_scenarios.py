"""Load balancers and target groups, asked over the wire."""

from __future__ import annotations

from tests.api.aws.vectors.cases import Case, Ground, scenario
from tests.api.aws.vectors.ecs_steps import (
    balancer,
    group,
    healths,
    network,
    until_states,
    used_group,
)
from tests.api.aws.vectors.waiters import verdict, waiter_of


async def registered(ground: Ground, arn: str, *numbers: int) -> None:
    """The first machine as a target, once for each port."""
    targets = [{"Id": ground.node_id, "Port": number} for number in numbers]
    await ground.elb("RegisterTargets", TargetGroupArn=arn, Targets=targets)


@scenario("ecs-098")
async def one_of_two_ports(case: Case, ground: Ground) -> None:
    arn = await used_group(ground)
    await registered(ground, arn, 32768, 32769)
    await until_states(ground, arn, "healthy", "healthy")
    ground.literals = {'"i-1"': f'"{ground.node_id}"'}
    await case.asked(ground, tg_arn=arn)
    one, other = await healths(ground, arn)
    assert (one["Target"]["Port"], one["TargetHealth"]["State"]) == (32768, "draining")
    assert (other["Target"]["Port"], other["TargetHealth"]["State"]) == (32769, "healthy")


@scenario("ecs-100")
async def stopped_instance(case: Case, ground: Ground) -> None:
    arn = await used_group(ground)
    ground.portway.engine.lose_node("local")
    await ground.portway.until(lambda: not ground.portway.world.nodes[0].available)
    ground.literals = {'"i-1"': f'"{ground.node_id}"'}
    await case.asked(ground, tg_arn=arn)


@scenario("ecs-101")
async def of_no_listener(case: Case, ground: Ground) -> None:
    arn = await group(ground)
    await registered(ground, arn, 32768)
    await case.asked(ground, tg_arn=arn)


@scenario("ecs-102")
async def just_registered(case: Case, ground: Ground) -> None:
    arn = await used_group(ground)
    await registered(ground, arn, 32768)
    await case.asked(ground, tg_arn=arn)
    await until_states(ground, arn, "healthy")


@scenario("ecs-104")
async def not_admitted(case: Case, ground: Ground) -> None:
    arn = await used_group(ground)
    vpc_id, _ = await network(ground)
    own = await ground.aws.ask("ec2", "CreateSecurityGroup", GroupName="lb", Description="d", VpcId=vpc_id)  # fmt: skip
    [of] = (await ground.elb("DescribeTargetGroups", TargetGroupArns=[arn]))["TargetGroups"][0]["LoadBalancerArns"]  # fmt: skip
    await ground.elb("SetSecurityGroups", LoadBalancerArn=of, SecurityGroups=[own["GroupId"]])
    rules = (await ground.aws.ask("ec2", "DescribeSecurityGroupRules"))["SecurityGroupRules"]
    for rule in rules:
        if not rule["IsEgress"] and rule.get("CidrIpv4"):
            given = {"GroupId": rule["GroupId"], "SecurityGroupRuleIds": [rule["SecurityGroupRuleId"]]}  # fmt: skip
            await ground.aws.ask("ec2", "RevokeSecurityGroupIngress", **given)
    await registered(ground, arn, 32768)
    await until_states(ground, arn, "unhealthy")
    await case.asked(ground, tg_arn=arn)
    instances = next(r["GroupId"] for r in rules if not r["IsEgress"] and r.get("CidrIpv4"))
    admitted = [{"IpProtocol": "tcp", "FromPort": 32768, "ToPort": 65535, "UserIdGroupPairs": [{"GroupId": own["GroupId"]}]}]  # fmt: skip
    await ground.aws.ask("ec2", "AuthorizeSecurityGroupIngress", GroupId=instances, IpPermissions=admitted)  # fmt: skip
    await until_states(ground, arn, "healthy")


@scenario("ecs-107")
async def never_registered(case: Case, ground: Ground) -> None:
    await case.asked(ground, tg_arn=await used_group(ground))


@scenario("ecs-109")
async def network_defaults(case: Case, ground: Ground) -> None:
    vpc_id, _ = await network(ground)
    await case.asked(ground, vpc=vpc_id)


@scenario("ecs-111")
async def made_twice(case: Case, ground: Ground) -> None:
    vpc_id, _ = await network(ground)
    [first] = (await case.asked(ground, vpc=vpc_id))["TargetGroups"]
    [again] = (await case.asked(ground, vpc=vpc_id))["TargetGroups"]
    assert first["TargetGroupArn"] == again["TargetGroupArn"]


@scenario("ecs-114")
async def one_subnet(case: Case, ground: Ground) -> None:
    _, subnets = await network(ground)
    await case.asked(ground, one=subnets[0])
    assert (await ground.elb("DescribeLoadBalancers"))["LoadBalancers"] == []


@scenario("ecs-116")
async def no_such_balancer(case: Case, ground: Ground) -> None:
    await balancer(ground)
    await case.asked(ground)


@scenario("ecs-127")
async def waits_for_targets(case: Case, ground: Ground) -> None:
    waiter = waiter_of("elbv2", "TargetInService")
    arn = await used_group(ground)
    asked = case.filled({"<tg-arn>": arn})
    assert verdict(waiter, await ground.elb("DescribeTargetHealth", **asked)) == "retry"
    await registered(ground, arn, 32768)
    await until_states(ground, arn, "healthy")
    assert verdict(waiter, await ground.elb("DescribeTargetHealth", **asked)) == "success"
