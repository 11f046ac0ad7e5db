"""The network of an account that nobody has touched."""

from __future__ import annotations

import pytest

from portway.core.network.defaults import (
    GROUP,
    SUBNET,
    default_group_id,
    default_network,
    default_vpc_id,
    object_id,
    zone_id,
)


def test_there_is_a_vpc_with_two_subnets_and_what_belongs_to_it():
    made = default_network(home_id="h", region="eu-west-1")
    kinds = [kind for kind, _, _ in made]
    assert sorted(kinds) == sorted(
        ["ec2.vpc", "ec2.security-group", "ec2.network-acl", "ec2.route-table", "ec2.subnet", "ec2.subnet", "ec2.internet-gateway"]
    )  # fmt: skip
    zones = {
        body["AvailabilityZone"]: body["CidrBlock"] for kind, _, body in made if kind == SUBNET
    }
    assert zones == {"eu-west-1a": "172.31.0.0/20", "eu-west-1b": "172.31.16.0/20"}


def test_ids_are_the_same_of_the_same_home_and_others_of_another():
    assert default_network(home_id="h", region="r-x-1") == default_network(
        home_id="h", region="r-x-1"
    )
    assert default_vpc_id("h") != default_vpc_id("g")
    assert len(object_id("vpc", "h")) == len("vpc-") + 17


def test_the_default_group_admits_itself_and_whoever_balances():
    made = default_network(home_id="h", region="us-east-1")
    group = next(body for kind, _, body in made if kind == GROUP)
    own, laptop, out = group["Rules"]
    assert own["ReferencedGroupId"] == group["GroupId"] == default_group_id(default_vpc_id("h"))
    assert (laptop["IpProtocol"], laptop["FromPort"], laptop["ToPort"]) == ("tcp", 0, 65535)
    assert out["IsEgress"]
    assert out["CidrIpv4"] == "0.0.0.0/0"


@pytest.mark.parametrize(
    ("region", "zone", "id_"),
    [
        ("us-east-1", "us-east-1a", "use1-az1"),
        ("eu-central-1", "eu-central-1b", "euc1-az2"),
        ("ap-southeast-2", "a", "apse2-az1"),
    ],
)
def test_zones_have_ids(region: str, zone: str, id_: str):
    assert zone_id(region, zone) == id_
