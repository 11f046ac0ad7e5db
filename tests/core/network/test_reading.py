"""From stored objects to what they admit."""

from __future__ import annotations

from portway.core.network.defaults import (
    ACL,
    GROUP,
    SUBNET,
    Made,
    default_group_id,
    default_network,
    default_subnet_id,
    default_vpc_id,
    entry,
    network_acl,
    security_group,
)
from portway.core.network.reading import Network, read_group, read_subnet

MADE = default_network(home_id="h", region="us-east-1")
DEFAULT = default_group_id(default_vpc_id("h"))
NEAR, FAR = default_subnet_id("h", "a"), default_subnet_id("h", "b")
LB = security_group("sg-lb", default_vpc_id("h"), name="lb", description="", rules=[])
INSTANCES = security_group("sg-i", default_vpc_id("h"), name="i", description="", rules=[])


def network(*more: Made, members: dict[str, tuple[str, ...]] | None = None) -> Network:
    made = {(kind, key): body for kind, key, body in (*MADE, LB, INSTANCES, *more)}
    acls = {key: body for (kind, key), body in made.items() if kind == ACL}
    return Network(
        groups={key: read_group(body) for (kind, key), body in made.items() if kind == GROUP},
        subnets={
            key: read_subnet(body, acls) for (kind, key), body in made.items() if kind == SUBNET
        },
        members=members or {},
        node_groups=(DEFAULT,),
        node_subnet=NEAR,
    )


def test_out_of_the_box_every_load_balancer_reaches_every_instance():
    for groups in ((), (DEFAULT,), ("sg-lb",), ("sg-none",)):
        found = network().missing_rule(groups=groups, subnets=(NEAR, FAR), instance_id="i-1", number=32768)  # fmt: skip
        assert found is None


def test_instances_in_a_group_without_the_rule_are_not_reached():
    changed = network(members={"i-1": ("sg-i",)})
    told = changed.missing_rule(groups=("sg-lb",), subnets=(NEAR,), instance_id="i-1", number=32770)
    assert told == (
        "sg-i of the instances does not admit tcp 32770 from sg-lb of the load balancer; "
        "authorise ingress of tcp 32768-65535 from it"
    )
    assert changed.missing_rule(groups=("sg-lb",), subnets=(NEAR,), instance_id="i-2", number=80) is None  # fmt: skip


def test_the_acl_of_a_subnet_is_read_with_it():
    acl = network_acl("acl-x", default_vpc_id("h"))
    subnet = next(body for _, key, body in MADE if key == FAR)
    closed = network(acl, (SUBNET, FAR, {**subnet, "AclId": "acl-x"}))
    told = closed.missing_rule(groups=("sg-lb",), subnets=(FAR,), instance_id="i-1", number=32768)
    assert told is not None
    assert told.startswith(
        f"acl-x of {FAR}, the subnet of the load balancer, does not allow tcp 32768 out"
    )
    opened = {
        **acl[2],
        "Entries": [entry(1, is_egress=side, allows=True) for side in (True, False)],
    }
    network_ = network((ACL, "acl-x", opened), (SUBNET, FAR, {**subnet, "AclId": "acl-x"}))
    assert network_.missing_rule(groups=("sg-lb",), subnets=(FAR,), instance_id="i-1", number=1) is None  # fmt: skip
