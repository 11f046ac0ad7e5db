"""Load balancers, with boto3."""

from __future__ import annotations

import asyncio

from tests.api.aws.elbv2.conftest import ANSWER, Elb


async def test_a_load_balancer_is_made_with_its_defaults_and_an_address_of_its_own(elb: Elb):
    made, other = await elb.balancer(), await elb.balancer("other")
    assert made["State"] == {"Code": "provisioning"}
    assert (made["Type"], made["Scheme"], made["IpAddressType"]) == ("application", "internet-facing", "ipv4")  # fmt: skip
    assert ":loadbalancer/app/web/" in made["LoadBalancerArn"]
    assert made["DNSName"].startswith("127.64.")  # no hosts file here, so it is the address
    assert made["DNSName"] != other["DNSName"]
    assert made["VpcId"] == elb.vpc_id
    assert len(made["AvailabilityZones"]) == 2
    assert len(made["SecurityGroups"]) == 1
    client = elb.face.client("elbv2")
    waiter = client.get_waiter("load_balancer_available")
    await asyncio.to_thread(waiter.wait, Names=["web"])


async def test_the_same_again_is_the_same_and_another_of_the_name_is_refused(elb: Elb):
    made = await elb.balancer()
    assert (await elb.balancer())["LoadBalancerArn"] == made["LoadBalancerArn"]
    code, told = await elb.refusal("create_load_balancer", Name="web", Subnets=elb.subnets, Scheme="internal")  # fmt: skip
    assert code == "DuplicateLoadBalancerName"
    assert told == "A load balancer with the same name 'web' exists, but with different settings"


async def test_an_alb_needs_two_zones(elb: Elb):
    code, told = await elb.refusal("create_load_balancer", Name="web", Subnets=elb.subnets[:1])
    assert code == "ValidationError"
    assert told == "At least two subnets in two different Availability Zones must be specified"
    network = await elb.balancer("net", Subnets=elb.subnets[:1], Type="network")
    assert ":loadbalancer/net/net/" in network["LoadBalancerArn"]
    assert network["AvailabilityZones"][0]["LoadBalancerAddresses"]


async def test_what_cannot_be_made_is_refused(elb: Elb):
    for members, code in (
        ({"Name": "-web"}, "ValidationError"),
        ({"Name": "internal-web"}, "ValidationError"),
        ({"Name": "w" * 33}, "ValidationError"),
        ({"Type": "gateway"}, "ValidationError"),
        ({"IpAddressType": "dualstack"}, "ValidationError"),
        ({"Subnets": ["subnet-1"]}, "SubnetNotFound"),
        ({"SecurityGroups": ["sg-1"]}, "InvalidSecurityGroup"),
        ({"Subnets": []}, "ValidationError"),
    ):
        given = {"Name": "web", "Subnets": elb.subnets, **members}
        assert (await elb.refusal("create_load_balancer", **given))[0] == code, members


async def test_a_name_that_is_not_there_is_not_found(elb: Elb):
    code, _ = await elb.refusal("describe_load_balancers", Names=["nope"])
    assert code == "LoadBalancerNotFound"
    arn = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/x/1"
    assert (await elb.refusal("describe_load_balancers", LoadBalancerArns=[arn]))[0] == code


async def test_a_deleted_one_takes_its_listeners_along_and_is_deleted_once_more(elb: Elb):
    arn = (await elb.balancer())["LoadBalancerArn"]
    listener = await elb.listener(arn, DefaultActions=ANSWER)
    for _ in range(2):
        await elb.ask("delete_load_balancer", LoadBalancerArn=arn)
    assert (await elb.ask("describe_load_balancers"))["LoadBalancers"] == []
    missing = await elb.refusal("describe_listeners", ListenerArns=[listener["ListenerArn"]])
    assert missing[0] == "ListenerNotFound"
    waiter = elb.face.client("elbv2").get_waiter("load_balancers_deleted")
    await asyncio.to_thread(waiter.wait, LoadBalancerArns=[arn])


async def test_attributes_are_told_whole_and_deletion_protection_protects(elb: Elb):
    arn = (await elb.balancer())["LoadBalancerArn"]
    told = await elb.ask("describe_load_balancer_attributes", LoadBalancerArn=arn)
    every = {each["Key"]: each["Value"] for each in told["Attributes"]}
    assert every["idle_timeout.timeout_seconds"] == "60"
    change = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    await elb.ask("modify_load_balancer_attributes", LoadBalancerArn=arn, Attributes=change)
    assert (await elb.refusal("delete_load_balancer", LoadBalancerArn=arn))[0] == "OperationNotPermitted"  # fmt: skip
    for bad, code in (
        ({"Key": "nonsense", "Value": "1"}, "ValidationError"),
        ({"Key": "idle_timeout.timeout_seconds", "Value": "0"}, "InvalidConfigurationRequest"),
    ):
        found = await elb.refusal("modify_load_balancer_attributes", LoadBalancerArn=arn, Attributes=[bad])  # fmt: skip
        assert found[0] == code


async def test_groups_and_subnets_are_replaced(elb: Elb):
    made = await elb.balancer()
    arn = made["LoadBalancerArn"]
    group = await elb.face.ask("ec2", "create_security_group", GroupName="lb", Description="d", VpcId=elb.vpc_id)  # fmt: skip
    told = await elb.ask("set_security_groups", LoadBalancerArn=arn, SecurityGroups=[group["GroupId"]])  # fmt: skip
    assert told["SecurityGroupIds"] == [group["GroupId"]]
    zones = await elb.ask("set_subnets", LoadBalancerArn=arn, Subnets=elb.subnets)
    assert len(zones["AvailabilityZones"]) == 2
    assert (await elb.ask("set_ip_address_type", LoadBalancerArn=arn, IpAddressType="ipv4"))["IpAddressType"] == "ipv4"  # fmt: skip
    assert (await elb.ask("describe_capacity_reservation", LoadBalancerArn=arn))["CapacityReservationState"] == []  # fmt: skip
    network = (await elb.balancer("net", Type="network"))["LoadBalancerArn"]
    refusal = await elb.refusal("set_security_groups", LoadBalancerArn=network, SecurityGroups=[group["GroupId"]])  # fmt: skip
    assert refusal[0] == "InvalidConfigurationRequest"


async def test_a_listing_comes_in_pages(elb: Elb):
    for name in ("a", "b", "c"):
        await elb.balancer(name)
    first = await elb.ask("describe_load_balancers", PageSize=2)
    rest = await elb.ask("describe_load_balancers", PageSize=2, Marker=first["NextMarker"])
    names = [b["LoadBalancerName"] for page in (first, rest) for b in page["LoadBalancers"]]
    assert sorted(names) == ["a", "b", "c"]
    assert "NextMarker" not in rest


async def test_one_whose_listener_cannot_be_bound_says_why(elb: Elb):
    arn = (await elb.balancer())["LoadBalancerArn"]
    elb.face.operations.balancing._world.route_errors[f"lb:{arn}"] = "Port 80 is taken."  # noqa: SLF001
    [told] = (await elb.ask("describe_load_balancers"))["LoadBalancers"]
    assert told["State"] == {"Code": "active_impaired", "Reason": "Port 80 is taken."}
