"""IpPermissions, which name many peers at once, and the single rules they stand for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_network
from typing import Any

from portway.api.aws.errors import AwsError
from portway.core.network.model import EVERYTHING, NUMBER_MAX, protocol_name

Rule = dict[str, Any]

_PEERS = ("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId")
_NUMBERED = ("tcp", "udp")


def identity(rule: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two rules the same; a description does not."""
    return (
        bool(rule["IsEgress"]),
        rule["IpProtocol"],
        rule["FromPort"],
        rule["ToPort"],
        *(rule.get(peer) or "" for peer in _PEERS),
    )


def expand(
    permissions: Iterable[Mapping[str, Any]], *, is_egress: bool, group_id: Callable[[str], str]
) -> list[Rule]:
    """One rule a peer, without ids. `group_id` says which group a name is."""
    rules: list[Rule] = []
    for permission in permissions:
        base = {"IsEgress": is_egress, **span(permission)}
        peers = list(_peers(permission, group_id))
        if not peers:
            told = "The request must contain a source or destination: a CIDR block, a prefix list or a security group."
            raise AwsError("MissingParameter", told, 400)
        rules += [{**base, **peer} for peer in peers]
    return rules


def span(permission: Mapping[str, Any]) -> Rule:
    """Protocol and numbers, checked: everything has none, ICMP a type and a code."""
    protocol = protocol_name(permission.get("IpProtocol") or "")
    first, last = permission.get("FromPort"), permission.get("ToPort")
    if not protocol:
        raise AwsError("MissingParameter", "The request must contain the parameter ipProtocol", 400)
    if protocol not in (EVERYTHING, "icmp", "icmpv6", *_NUMBERED) and not _is_number(protocol):
        told = f"Invalid value '{protocol[:40]}' for IP protocol. Unknown protocol."
        raise AwsError("InvalidPermission.Malformed", told, 400)
    if protocol in _NUMBERED:
        if first is None or last is None:
            raise AwsError("MissingParameter", "The request must contain the parameter fromPort and toPort", 400)  # fmt: skip
        if not 0 <= first <= last <= NUMBER_MAX:
            told = f"Invalid {protocol.upper()} port range ({first}:{last})"
            raise AwsError("InvalidParameterValue", told, 400)
    elif protocol not in ("icmp", "icmpv6"):
        first, last = -1, -1
    return {
        "IpProtocol": protocol,
        "FromPort": -1 if first is None else first,
        "ToPort": -1 if last is None else last,
    }


def _is_number(protocol: str) -> bool:
    return protocol.isascii() and protocol.isdigit() and len(protocol) <= 3 and int(protocol) <= 255  # noqa: PLR2004  (a byte)


def _peers(permission: Mapping[str, Any], group_id: Callable[[str], str]) -> Iterable[Rule]:
    for given in permission.get("IpRanges") or ():
        yield {"CidrIpv4": block(given.get("CidrIp", ""), 4), **_described(given)}
    for given in permission.get("Ipv6Ranges") or ():
        yield {"CidrIpv6": block(given.get("CidrIpv6", ""), 6), **_described(given)}
    for given in permission.get("PrefixListIds") or ():
        yield {"PrefixListId": given.get("PrefixListId", ""), **_described(given)}
    for given in permission.get("UserIdGroupPairs") or ():
        named = group_id(given.get("GroupId") or given.get("GroupName") or "")
        yield {"ReferencedGroupId": named, **_described(given)}


def _described(given: Mapping[str, Any]) -> Rule:
    return {"Description": given.get("Description") or ""}


def block(text: str, version: int) -> str:
    """A CIDR block as AWS keeps it, without bits of a host."""
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        found = None
    if found is None or found.version != version or "/" not in text:
        raise AwsError("InvalidParameterValue", f"CIDR block {text} is malformed", 400)
    return str(found)


def collapse(rules: Iterable[Mapping[str, Any]], account_id: str) -> list[dict[str, Any]]:
    """Rules of one direction as DescribeSecurityGroups shows them: by protocol and numbers."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for rule in rules:
        key = (rule["IpProtocol"], rule["FromPort"], rule["ToPort"])
        permission = found.setdefault(
            key,
            {
                "IpProtocol": key[0],
                **({} if key[0] == EVERYTHING else {"FromPort": key[1], "ToPort": key[2]}),
                "IpRanges": [],
                "Ipv6Ranges": [],
                "PrefixListIds": [],
                "UserIdGroupPairs": [],
            },
        )
        member, peer = _shown_peer(rule, account_id)
        description = rule.get("Description") or None
        permission[member].append({**peer, "Description": description})
    return list(found.values())


def _shown_peer(rule: Mapping[str, Any], account_id: str) -> tuple[str, dict[str, Any]]:
    if rule.get("ReferencedGroupId"):
        return "UserIdGroupPairs", {"GroupId": rule["ReferencedGroupId"], "UserId": account_id}
    if rule.get("CidrIpv6"):
        return "Ipv6Ranges", {"CidrIpv6": rule["CidrIpv6"]}
    if rule.get("PrefixListId"):
        return "PrefixListIds", {"PrefixListId": rule["PrefixListId"]}
    return "IpRanges", {"CidrIp": rule["CidrIpv4"]}


def words(rule: Mapping[str, Any]) -> str:
    """A rule as AWS's refusals spell it."""
    peer = next((rule[name] for name in _PEERS if rule.get(name)), "")
    protocol = "ALL" if rule["IpProtocol"] == EVERYTHING else rule["IpProtocol"].upper()
    numbers = (
        ""
        if rule["FromPort"] == -1
        else f", from port: {rule['FromPort']}, to port: {rule['ToPort']}"
    )
    return f"peer: {peer}, {protocol}{numbers}, ALLOW"
