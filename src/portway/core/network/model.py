"""Security groups, network ACLs and who stands behind them, as values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network

EVERYTHING = "-1"  # as a protocol
NUMBER_MAX = 65535
_PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": EVERYTHING}


def protocol_name(given: str) -> str:
    """ "tcp" for "6" and "TCP", "-1" for everything; what has no name stays a number."""
    text = given.lower()
    return _PROTOCOLS.get(text, text)


@lru_cache(maxsize=4096)
def network_of(cidr: str) -> IPv4Network | IPv6Network | None:
    """The network of a CIDR block or a single address; None when it is neither."""
    try:
        return ip_network(cidr, strict=False)
    except ValueError:
        return None


def lies_in(cidr: str, outer: str) -> bool:
    """Whether the whole of one block belongs to another."""
    inner, around = network_of(cidr), network_of(outer)
    if isinstance(inner, IPv4Network) and isinstance(around, IPv4Network):
        return inner.subnet_of(around)
    if isinstance(inner, IPv6Network) and isinstance(around, IPv6Network):
        return inner.subnet_of(around)
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRule:
    """One rule of a security group. `first` -1: every number. It names a block or another group."""

    is_egress: bool
    protocol: str
    first: int = -1
    last: int = -1
    cidr: str = ""
    group_id: str = ""

    def covers(self, protocol: str, number: int) -> bool:
        """Whether the rule is about this protocol and number, whoever is at the other end."""
        if self.protocol == EVERYTHING:
            return True
        return self.protocol == protocol and (self.first == -1 or self.first <= number <= self.last)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """What members of a group let in and out."""

    group_id: str
    rules: tuple[GroupRule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AclEntry:
    """One entry of a network ACL; the one with the lowest number that is about a packet decides."""

    number: int
    is_egress: bool
    allows: bool
    protocol: str = EVERYTHING
    cidr: str = "0.0.0.0/0"
    first: int = 0
    last: int = NUMBER_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """A subnet and the entries of its network ACL. No ACL: everything may pass."""

    subnet_id: str
    cidr: str
    acl_id: str = ""
    entries: tuple[AclEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One end of a connection. `noun` is what sentences call it. No groups: nothing is filtered by groups."""

    noun: str
    groups: tuple[SecurityGroup, ...] = ()
    subnets: tuple[Subnet, ...] = ()
