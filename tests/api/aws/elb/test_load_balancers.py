"""Classic load balancers."""

from __future__ import annotations

import pytest

from tests.api.aws.elb.conftest import HTTP, TCP, Classic


async def test_one_is_made_with_its_defaults_and_an_address_of_its_own(classic: Classic) -> None:
    name, other = await classic.balancer(), await classic.balancer("other")
    assert name.startswith("127.64.")  # no hosts file here, so it is the address
    assert name != other
    shown = await classic.described()
    assert shown["ListenerDescriptions"] == [{"Listener": {**TCP, "InstanceProtocol": "TCP"}, "PolicyNames": []}]  # fmt: skip
    assert (shown["DNSName"], shown["CanonicalHostedZoneName"]) == (name, name)
    assert (shown["Scheme"], shown["VPCId"]) == ("internet-facing", classic.vpc_id)
    assert shown["HealthCheck"] == {"Target": "TCP:80", "Interval": 30, "Timeout": 5, "UnhealthyThreshold": 2, "HealthyThreshold": 10}  # fmt: skip
    assert shown["Policies"] == {"AppCookieStickinessPolicies": [], "LBCookieStickinessPolicies": [], "OtherPolicies": []}  # fmt: skip
    assert shown["SourceSecurityGroup"] == {"OwnerAlias": "000000000000", "GroupName": "default"}
    assert (shown["Instances"], shown["BackendServerDescriptions"]) == ([], [])
    assert shown["AvailabilityZones"] == ["us-east-1a", "us-east-1b"]
    assert sorted(shown["Subnets"]) == sorted(classic.subnets)


async def test_the_same_again_is_the_same_and_another_of_the_name_is_refused(
    httpd: Classic,
) -> None:
    before = (await httpd.described())["DNSName"]
    assert await httpd.balancer() == before
    code, told = await httpd.refusal("create_load_balancer", Subnets=httpd.subnets, Listeners=[HTTP])  # fmt: skip
    assert code == "DuplicateLoadBalancerName"
    assert told == "The specified load balancer name already exists for this account: httpd"


async def test_zones_stand_for_their_default_subnets(classic: Classic) -> None:
    await classic.balancer(Subnets=[], AvailabilityZones=["us-east-1a"])
    shown = await classic.described()
    assert (shown["AvailabilityZones"], len(shown["Subnets"])) == (["us-east-1a"], 1)


async def test_what_cannot_be_made_is_refused(classic: Classic) -> None:
    zones = {"Subnets": None, "AvailabilityZones": ["us-east-1z"]}
    for members, code, told in (
        ({"LoadBalancerName": "-x"}, "ValidationError", "cannot begin or end with a hyphen"),
        ({"LoadBalancerName": "x" * 33}, "ValidationError", "longer than 32"),
        ({"Subnets": None}, "ValidationError", "Either AvailabilityZones or SubnetIds must"),
        ({"AvailabilityZones": ["us-east-1a"]}, "ValidationError", "Only one of SubnetIds or"),
        ({"Subnets": ["subnet-1"]}, "SubnetNotFound", "subnet-1"),
        ({"SecurityGroups": ["sg-1"]}, "InvalidSecurityGroup", "do not exist"),
        ({"Scheme": "public"}, "InvalidScheme", "public"),
        ({"Listeners": []}, "ValidationError", "Listeners cannot be empty"),
        (zones, "ValidationError", "Invalid Availability Zone: us-east-1z"),
        ({"Tags": [{"Key": "a"}, {"Key": "a"}]}, "DuplicateTagKeys", "more than once"),
    ):
        given = {"Subnets": classic.subnets, "Listeners": [TCP], **members}
        found = await classic.refusal("create_load_balancer", **given)
        assert found[0] == code, members
        assert told in found[1]


async def test_two_subnets_of_a_zone_are_one_too_many(classic: Classic) -> None:
    made = await classic.face.ask("ec2", "create_subnet", VpcId=classic.vpc_id, CidrBlock="172.31.200.0/24", AvailabilityZone="us-east-1a")  # fmt: skip
    both = [*classic.subnets, made["Subnet"]["SubnetId"]]
    code, told = await classic.refusal("create_load_balancer", Subnets=both, Listeners=[TCP])
    assert code == "InvalidConfigurationRequest"
    assert told == "ELB cannot be attached to multiple subnets in the same AZ."


async def test_one_that_is_not_there_is_not_found_and_the_other_version_has_its_own(
    httpd: Classic,
) -> None:
    found = await httpd.refusal("describe_load_balancers", LoadBalancerName=None, LoadBalancerNames=["nope"])  # fmt: skip
    assert found == ("LoadBalancerNotFound", "There is no ACTIVE Load Balancer named 'nope'")
    assert (await httpd.face.ask("elbv2", "describe_load_balancers"))["LoadBalancers"] == []


async def test_a_listing_comes_in_pages(classic: Classic) -> None:
    for name in ("b", "a", "c"):
        await classic.balancer(name)
    first = await classic.ask("describe_load_balancers", PageSize=2)
    rest = await classic.ask("describe_load_balancers", PageSize=2, Marker=first["NextMarker"])
    pages = [[b["LoadBalancerName"] for b in p["LoadBalancerDescriptions"]] for p in (first, rest)]
    assert pages == [["a", "b"], ["c"]]
    assert "NextMarker" not in rest


async def test_a_deleted_one_is_gone_and_is_deleted_once_more(httpd: Classic) -> None:
    subnet = (await httpd.described())["Subnets"][1]
    with pytest.raises(Exception, match="DependencyViolation"):
        await httpd.face.ask("ec2", "delete_subnet", SubnetId=subnet)
    for _ in range(2):
        await httpd.of("delete_load_balancer")
    assert (await httpd.ask("describe_load_balancers"))["LoadBalancerDescriptions"] == []
    assert await httpd.face.documents.list("elb.address") == ()
