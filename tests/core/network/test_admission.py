"""Which rules a load balancer needs to reach a target, and what is said where one is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.network.admission import missing_rule
from portway.core.network.model import (
    AclEntry,
    GroupRule,
    SecurityGroup,
    Side,
    Subnet,
    lies_in,
    protocol_name,
)

ALL_OUT = GroupRule(is_egress=True, protocol="-1", cidr="0.0.0.0/0")
LB_GROUP = SecurityGroup(group_id="sg-lb", rules=(ALL_OUT,))
NEAR = Subnet(subnet_id="subnet-a", cidr="10.0.1.0/24")
FAR = Subnet(subnet_id="subnet-b", cidr="10.0.2.0/24")
LB = Side(noun="the load balancer", groups=(LB_GROUP,), subnets=(NEAR,))


def ingress(first: int, last: int, *, protocol: str = "tcp", **peer: str) -> GroupRule:
    return GroupRule(is_egress=False, protocol=protocol, first=first, last=last, **peer)


def instances(*rules: GroupRule, subnet: Subnet = FAR) -> Side:
    group = SecurityGroup(group_id="sg-i", rules=rules)
    return Side(noun="the instances", groups=(group,), subnets=(subnet,))


def asked(target: Side, *, source: Side = LB, number: int = 32768, protocol: str = "tcp"):
    return missing_rule(source=source, target=target, protocol=protocol, number=number)


@pytest.mark.parametrize(
    "rule",
    [
        ingress(32768, 65535, group_id="sg-lb"),
        ingress(32768, 32768, cidr="10.0.1.0/24"),
        ingress(0, 65535, cidr="10.0.0.0/8"),
        ingress(-1, -1, protocol="-1", cidr="0.0.0.0/0"),
    ],
)
def test_a_rule_admits_by_group_and_by_block(rule: GroupRule):
    assert asked(instances(rule)) is None


@pytest.mark.parametrize(
    "rule",
    [
        ingress(32769, 65535, group_id="sg-lb"),
        ingress(32768, 65535, group_id="sg-other"),
        ingress(32768, 65535, protocol="udp", group_id="sg-lb"),
        ingress(32768, 65535, cidr="10.0.1.0/25"),
        ingress(32768, 65535, cidr="::/0"),
        ALL_OUT,
    ],
)
def test_what_does_not_admit_is_named_with_what_to_authorise(rule: GroupRule):
    assert asked(instances(rule)) == (
        "sg-i of the instances does not admit tcp 32768 from sg-lb of the load balancer; "
        "authorise ingress of tcp 32768-65535 from it"
    )


def test_a_fixed_number_is_asked_for_alone():
    assert (asked(instances(), number=8080) or "").endswith("authorise ingress of tcp 8080 from it")


def test_the_groups_of_a_side_add_up():
    both = replace(instances(), groups=(SecurityGroup(group_id="sg-1"), instances(ingress(32768, 32768, group_id="sg-lb")).groups[0]))  # fmt: skip
    assert asked(both) is None
    neither = replace(both, groups=(SecurityGroup(group_id="sg-1"), SecurityGroup(group_id="sg-2")))
    assert (asked(neither) or "").startswith("sg-1 and sg-2 of the instances do not admit")


def test_every_subnet_of_the_load_balancer_must_be_admitted():
    wide = replace(LB, subnets=(NEAR, replace(FAR, cidr="10.9.0.0/24")))
    assert asked(instances(ingress(0, 65535, cidr="10.0.0.0/16")), source=wide) is not None


def test_a_load_balancer_without_groups_is_known_by_its_subnets():
    plain = replace(LB, groups=())
    assert asked(instances(ingress(0, 65535, cidr="10.0.1.0/24")), source=plain) is None
    assert "from 10.0.1.0/24 of the load balancer" in (asked(instances(), source=plain) or "")


def test_the_load_balancers_own_group_must_let_it_out():
    closed = replace(LB, groups=(SecurityGroup(group_id="sg-lb"),))
    target = instances(ingress(0, 65535, group_id="sg-lb"))
    assert asked(target, source=closed) == (
        "sg-lb of the load balancer does not let tcp 32768 out to sg-i of the instances; "
        "authorise egress of tcp 32768-65535 to it"
    )


OPEN = instances(ingress(0, 65535, cidr="0.0.0.0/0"))
ALLOW_OUT = AclEntry(number=100, is_egress=True, allows=True)
ALLOW_IN = AclEntry(number=100, is_egress=False, allows=True)


def with_acl(*entries: AclEntry) -> Side:
    return replace(OPEN, subnets=(replace(FAR, acl_id="acl-b", entries=entries),))


def test_an_acl_that_allows_both_ways_is_passed():
    assert asked(with_acl(ALLOW_OUT, ALLOW_IN)) is None
    narrow = (
        AclEntry(number=1, is_egress=False, allows=True, protocol="tcp", cidr="10.0.1.0/24", first=32768, last=65535),
        AclEntry(number=2, is_egress=True, allows=True, protocol="tcp", cidr="10.0.1.0/24", first=1024, last=40000),
        AclEntry(number=3, is_egress=True, allows=True, protocol="tcp", cidr="10.0.0.0/16", first=40001, last=65535),
    )  # fmt: skip
    assert asked(with_acl(*narrow)) is None


def test_an_acl_needs_the_way_in_and_the_way_back():
    assert asked(with_acl(ALLOW_OUT)) == (
        "acl-b of subnet-b, the subnet of the instances, does not allow tcp 32768 in from 10.0.1.0/24; "
        "add an entry that allows tcp 32768-65535, before any that denies it"
    )
    assert "does not allow tcp 1024-65535 out to 10.0.1.0/24" in (asked(with_acl(ALLOW_IN)) or "")


def test_the_lowest_number_decides():
    deny = AclEntry(number=50, is_egress=False, allows=False, protocol="tcp", first=32768, last=40000, cidr="10.0.1.7/32")  # fmt: skip
    assert asked(with_acl(ALLOW_IN, ALLOW_OUT, deny)) is not None
    assert asked(with_acl(ALLOW_IN, ALLOW_OUT, replace(deny, number=150))) is None
    assert asked(with_acl(ALLOW_IN, ALLOW_OUT, deny), number=50000) is None
    assert asked(with_acl(ALLOW_IN, ALLOW_OUT, replace(deny, cidr="10.7.0.0/16"))) is None


def test_within_one_subnet_there_is_no_acl():
    same = replace(with_acl(), subnets=(replace(NEAR, acl_id="acl-a"),))
    assert asked(same) is None


def test_the_load_balancers_acl_is_looked_at_too():
    near = replace(LB, subnets=(replace(NEAR, acl_id="acl-a", entries=(ALLOW_IN,)),))
    assert "acl-a of subnet-a, the subnet of the load balancer" in (asked(OPEN, source=near) or "")


@pytest.mark.parametrize(
    ("given", "name"), [("6", "tcp"), ("TCP", "tcp"), ("all", "-1"), ("-1", "-1"), ("50", "50")]
)
def test_protocols_have_names_and_numbers(given: str, name: str):
    assert protocol_name(given) == name


def test_blocks_of_two_families_and_nonsense_lie_in_nothing():
    assert lies_in("fd00::1", "fd00::/8")
    assert not lies_in("10.0.0.0/8", "::/0")
    assert not lies_in("nonsense", "0.0.0.0/0")
