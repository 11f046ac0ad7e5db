"""Stored objects -> Network: what groups and ACLs say of a load balancer and a node. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from portway.core.network.admission import missing_rule
from portway.core.network.model import (
    NUMBER_MAX,
    AclEntry,
    GroupRule,
    SecurityGroup,
    Side,
    Subnet,
    protocol_name,
)

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Groups and subnets by id. `members`: the groups of an instance, where they are not the default ones."""

    groups: Mapping[str, SecurityGroup] = field(default_factory=dict)
    subnets: Mapping[str, Subnet] = field(default_factory=dict)
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    node_groups: tuple[str, ...] = ()
    node_subnet: str = ""

    def load_balancer(self, groups: Iterable[str], subnets: Iterable[str]) -> Side:
        """A load balancer by its groups and subnets; what is not there any more says nothing."""
        return self._side("the load balancer", groups, subnets)

    def instance(self, instance_id: str) -> Side:
        """A node by its EC2 id."""
        groups = self.members.get(instance_id, self.node_groups)
        return self._side("the instances", groups, (self.node_subnet,))

    def missing_rule(
        self,
        *,
        groups: Iterable[str],
        subnets: Iterable[str],
        number: int,
        instance_id: str = "",
        task: Side | None = None,
        protocol: str = "tcp",
    ) -> str | None:
        """What keeps a load balancer with these groups and subnets from a number of an instance, or of a task with an address of its own; None: nothing."""
        source, target = self.load_balancer(groups, subnets), task or self.instance(instance_id)
        return missing_rule(source=source, target=target, protocol=protocol, number=number)

    def task(self, groups: Iterable[str], subnet: str) -> Side:
        """A task with an address of its own."""
        return self._side("the tasks", groups, (subnet,))

    def _side(self, noun: str, groups: Iterable[str], subnets: Iterable[str]) -> Side:
        return Side(
            noun=noun,
            groups=tuple(self.groups[group] for group in groups if group in self.groups),
            subnets=tuple(self.subnets[subnet] for subnet in subnets if subnet in self.subnets),
        )


def read_group(body: Body) -> SecurityGroup:
    """A security group as it is stored."""
    rules = tuple(_rule(rule) for rule in body["Rules"])
    return SecurityGroup(group_id=body["GroupId"], rules=rules)


def _rule(body: Body) -> GroupRule:
    return GroupRule(
        is_egress=body["IsEgress"],
        protocol=body["IpProtocol"],
        first=body["FromPort"],
        last=body["ToPort"],
        cidr=body.get("CidrIpv4") or body.get("CidrIpv6") or "",
        group_id=body.get("ReferencedGroupId") or "",
    )


def read_subnet(body: Body, acls: Mapping[str, Body]) -> Subnet:
    """A subnet as it is stored, with the entries of its ACL."""
    acl = acls.get(body["AclId"])
    return Subnet(
        subnet_id=body["SubnetId"],
        cidr=body["CidrBlock"],
        acl_id=body["AclId"] if acl else "",
        entries=tuple(_entry(entry) for entry in acl["Entries"]) if acl else (),
    )


def _entry(body: Body) -> AclEntry:
    span = body.get("PortRange") or {}
    return AclEntry(
        number=body["RuleNumber"],
        is_egress=body["Egress"],
        allows=body["RuleAction"] == "allow",
        protocol=protocol_name(body["Protocol"]),
        cidr=body.get("CidrBlock") or body.get("Ipv6CidrBlock") or "",
        first=span.get("From", 0),
        last=span.get("To", NUMBER_MAX),
    )
