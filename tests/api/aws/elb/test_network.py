"""Security groups, subnets and zones of classic load balancers."""

from __future__ import annotations

from tests.api.aws.elb.conftest import Classic


async def test_security_groups_are_replaced(httpd: Classic) -> None:
    made = await httpd.face.ask("ec2", "create_security_group", GroupName="lb", Description="d", VpcId=httpd.vpc_id)  # fmt: skip
    group = made["GroupId"]
    told = await httpd.of("apply_security_groups_to_load_balancer", SecurityGroups=[group])
    assert told["SecurityGroups"] == [group]
    shown = await httpd.described()
    assert (shown["SecurityGroups"], shown["SourceSecurityGroup"]["GroupName"]) == ([group], "lb")
    operation = "apply_security_groups_to_load_balancer"
    for given, code in ((["sg-1"], "InvalidSecurityGroup"), ([], "ValidationError")):
        assert (await httpd.refusal(operation, SecurityGroups=given))[0] == code


async def test_subnets_come_and_go_but_for_the_last(httpd: Classic) -> None:
    first, second = (await httpd.described())["Subnets"]
    told = await httpd.of("detach_load_balancer_from_subnets", Subnets=[second])
    assert told["Subnets"] == [first]
    code, _ = await httpd.refusal("detach_load_balancer_from_subnets", Subnets=[first])
    assert code == "InvalidConfigurationRequest"
    told = await httpd.of("attach_load_balancer_to_subnets", Subnets=[second])
    assert told["Subnets"] == [first, second]
    other = await httpd.face.ask("ec2", "create_subnet", VpcId=httpd.vpc_id, CidrBlock="172.31.200.0/24", AvailabilityZone="us-east-1a")  # fmt: skip
    assert (await httpd.refusal("attach_load_balancer_to_subnets", Subnets=[]))[0] == "ValidationError"  # fmt: skip
    for subnet, code in (
        ("subnet-1", "SubnetNotFound"),
        (other["Subnet"]["SubnetId"], "InvalidConfigurationRequest"),
    ):
        found = await httpd.refusal("attach_load_balancer_to_subnets", Subnets=[subnet])
        assert found[0] == code


async def test_a_subnet_of_another_vpc_is_refused(httpd: Classic) -> None:
    vpc = (await httpd.face.ask("ec2", "create_vpc", CidrBlock="10.9.0.0/16"))["Vpc"]["VpcId"]
    made = await httpd.face.ask("ec2", "create_subnet", VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="us-east-1a")  # fmt: skip
    subnet = made["Subnet"]["SubnetId"]
    found = await httpd.refusal("attach_load_balancer_to_subnets", Subnets=[subnet])
    assert found[0] == "InvalidSubnet"
    await httpd.balancer("elsewhere", Subnets=[subnet])
    found = await httpd.refusal("enable_availability_zones_for_load_balancer", LoadBalancerName="elsewhere", AvailabilityZones=["us-east-1b"])  # fmt: skip
    assert found[0] == "InvalidConfigurationRequest"


async def test_zones_come_and_go_but_for_the_last(httpd: Classic) -> None:
    told = await httpd.of("disable_availability_zones_for_load_balancer", AvailabilityZones=["us-east-1b"])  # fmt: skip
    assert told["AvailabilityZones"] == ["us-east-1a"]
    code, _ = await httpd.refusal("disable_availability_zones_for_load_balancer", AvailabilityZones=["us-east-1a"])  # fmt: skip
    assert code == "InvalidConfigurationRequest"
    told = await httpd.of("enable_availability_zones_for_load_balancer", AvailabilityZones=["us-east-1b", "us-east-1a"])  # fmt: skip
    assert told["AvailabilityZones"] == ["us-east-1a", "us-east-1b"]
