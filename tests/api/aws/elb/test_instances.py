"""Instances of classic load balancers."""

from __future__ import annotations

from portway.core.balancing.classic import group_of
from portway.core.balancing.classic_serving import ELSEWHERE, FAILED
from portway.core.health import Health, HealthStatus
from tests.api.aws.elb.conftest import NODE, Classic

CHECK = {
    "Target": "TCP:3245",
    "Interval": 5,
    "Timeout": 3,
    "UnhealthyThreshold": 2,
    "HealthyThreshold": 2,
}
HERE = [{"InstanceId": NODE}]


async def registered(classic: Classic, status: HealthStatus | None = None) -> None:
    """The one node, and what its check has found."""
    await classic.of("register_instances_with_load_balancer", Instances=HERE)
    balancing = classic.face.operations.balancing
    for owner in balancing.owners:
        balancing.look(owner)
    if status is not None:
        balancing.health[f"httpd {NODE}"] = Health(status=status)


async def test_an_instance_is_registered_once_and_stands_as_its_check_says(httpd: Classic) -> None:
    for _ in range(2):
        told = await httpd.of("register_instances_with_load_balancer", Instances=HERE)
        assert told["Instances"] == HERE
    assert await httpd.states() == [("OutOfService", "ELB", "Instance registration is still in progress.")]  # fmt: skip
    for status, expected in (
        (HealthStatus.PASSING, ("InService", "N/A", "N/A")),
        (HealthStatus.FAILING, ("OutOfService", "Instance", FAILED)),
    ):
        await registered(httpd, status)
        assert await httpd.states(NODE) == [expected]


async def test_a_deregistered_one_leaves_at_once_where_nothing_drains(httpd: Classic) -> None:
    await registered(httpd)
    for _ in range(2):
        told = await httpd.of("deregister_instances_from_load_balancer", Instances=HERE)
        assert told["Instances"] == []
    not_registered = "Instance is not currently registered with the LoadBalancer."
    assert await httpd.states(NODE) == [("OutOfService", "Instance", not_registered)]


async def test_with_draining_it_is_in_service_while_it_leaves(httpd: Classic) -> None:
    await httpd.of("modify_load_balancer_attributes", LoadBalancerAttributes={"ConnectionDraining": {"Enabled": True, "Timeout": 60}})  # fmt: skip
    await registered(httpd, HealthStatus.PASSING)
    told = await httpd.of("deregister_instances_from_load_balancer", Instances=HERE)
    assert told["Instances"] == []
    leaving = ("InService", "N/A", "Instance deregistration currently in progress.")
    assert await httpd.states() == [leaving]
    await registered(httpd)
    assert (await httpd.described())["Instances"] == HERE


async def test_an_instance_in_another_zone_gets_no_traffic(httpd: Classic) -> None:
    await registered(httpd, HealthStatus.PASSING)
    await httpd.of("disable_availability_zones_for_load_balancer", AvailabilityZones=["us-east-1a"])
    assert await httpd.states() == [("OutOfService", "ELB", ELSEWHERE)]


async def test_an_instance_that_is_none_is_refused(httpd: Classic) -> None:
    nobody = [{"InstanceId": "i-1"}]
    for operation in (
        "register_instances_with_load_balancer",
        "deregister_instances_from_load_balancer",
        "describe_instance_health",
    ):
        found = await httpd.refusal(operation, Instances=nobody)
        assert found == ("InvalidInstance", "Could not find EC2 instance i-1.")


async def test_the_health_check_is_replaced_and_told(httpd: Classic) -> None:
    told = await httpd.of("configure_health_check", HealthCheck=CHECK)
    assert told["HealthCheck"] == CHECK
    assert (await httpd.described())["HealthCheck"] == CHECK
    [balancer] = httpd.face.operations.balancing.registry.classics.values()
    assert group_of(balancer).check.number_text == "3245"


async def test_what_is_no_health_check_is_refused(httpd: Classic) -> None:
    for members, told in (
        ({"Target": "FOO:1"}, "HealthCheck Target must begin with one of HTTP, TCP, HTTPS, SSL"),
        ({"Target": "HTTP:80"}, "path that begins with a slash"),
        ({"Timeout": 5}, "HealthCheck timeout must be less than interval."),
        ({"Interval": 301}, "less than or equal to 300"),
        ({"HealthyThreshold": 11}, "less than or equal to 10"),
    ):
        code, said = await httpd.refusal("configure_health_check", HealthCheck={**CHECK, **members})
        assert code == "ValidationError"
        assert told in said


async def test_the_rule_that_a_load_balancer_lacks_is_named_for_each_of_its_ports(
    httpd: Classic,
) -> None:
    await registered(httpd)
    face, balancing = httpd.face, httpd.face.operations.balancing
    own = await face.ask("ec2", "create_security_group", GroupName="lb", Description="d", VpcId=httpd.vpc_id)  # fmt: skip
    await httpd.of("apply_security_groups_to_load_balancer", SecurityGroups=[own["GroupId"]])
    rules = (await face.ask("ec2", "describe_security_group_rules"))["SecurityGroupRules"]
    for rule in [r for r in rules if not r["IsEgress"] and r.get("CidrIpv4")]:
        await face.ask("ec2", "revoke_security_group_ingress", GroupId=rule["GroupId"], SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])  # fmt: skip
    [balancer] = balancing.registry.classics.values()
    group = group_of(balancer)
    [member] = balancing.members(group)
    balancing.touch()
    assert "80" in await balancing.barred(group, member)
    assert "3245" in await balancing.barred(group, member, 3245)
