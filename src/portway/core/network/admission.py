"""missing_rule(): may a load balancer reach a target by the rules of both? If not, the rule that is missing, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from portway.core.network.model import (
    EVERYTHING,
    NUMBER_MAX,
    AclEntry,
    GroupRule,
    SecurityGroup,
    Side,
    Subnet,
    lies_in,
    network_of,
)

EPHEMERAL_FIRST = 32768  # AWS's advice: the kernel's range and ECS's own lie above it
_RETURN_FIRST = 1024  # a load balancer's own end of a connection has any number from here on


def missing_rule(*, source: Side, target: Side, protocol: str, number: int) -> str | None:
    """None when `source` may connect to `number` of `target`; else what is missing and what to authorise.

    Groups remember connections, so only the way there is looked at. ACLs do not: the way back is looked at too.
    They stand at the edges of subnets, so within one subnet there are none.
    """
    return (
        _not_admitted(source, target, protocol, number)
        or _not_let_out(source, target, protocol, number)
        or _stopped_by_acl(source, target, protocol, number)
    )


def _not_admitted(source: Side, target: Side, protocol: str, number: int) -> str | None:
    if not target.groups or _passes(target.groups, source, protocol, number, is_egress=False):
        return None
    groups = _named(target.groups)
    verb = "does" if len(target.groups) == 1 else "do"
    sender = _named(source.groups) if source.groups else _blocks(source)
    asked = _asked(number)
    return (
        f"{groups} of {target.noun} {verb} not admit {protocol} {number} from {sender} of {source.noun}; "
        f"authorise ingress of {protocol} {asked} from it"
    )


def _not_let_out(source: Side, target: Side, protocol: str, number: int) -> str | None:
    if not source.groups or _passes(source.groups, target, protocol, number, is_egress=True):
        return None
    groups = _named(source.groups)
    verb = "does" if len(source.groups) == 1 else "do"
    receiver = _named(target.groups) if target.groups else _blocks(target)
    return (
        f"{groups} of {source.noun} {verb} not let {protocol} {number} out to {receiver} of {target.noun}; "
        f"authorise egress of {protocol} {_asked(number)} to it"
    )


def _passes(
    groups: Sequence[SecurityGroup], other: Side, protocol: str, number: int, *, is_egress: bool
) -> bool:
    """Rules of all groups of a side together; each of the other side's subnets must be covered."""
    rules = [
        rule
        for group in groups
        for rule in group.rules
        if rule.is_egress is is_egress and rule.covers(protocol, number)
    ]
    members = {group.group_id for group in other.groups}
    if any(rule.group_id in members for rule in rules):
        return True
    return bool(other.subnets) and all(_covers(rules, subnet) for subnet in other.subnets)


def _covers(rules: Sequence[GroupRule], subnet: Subnet) -> bool:
    return any(rule.cidr and lies_in(subnet.cidr, rule.cidr) for rule in rules)


def _stopped_by_acl(source: Side, target: Side, protocol: str, number: int) -> str | None:
    for near in source.subnets:
        for far in target.subnets:
            if near.subnet_id == far.subnet_id:
                continue
            found = _crossing(source, target, near, far, protocol, number)
            if found:
                return found
    return None


def _crossing(
    source: Side, target: Side, near: Subnet, far: Subnet, protocol: str, number: int
) -> str | None:
    """The four looks of ACLs at one connection: out of here, into there, and back again."""
    back = (_RETURN_FIRST, NUMBER_MAX)
    there = (number, number)
    looks = (
        (near, source, True, far, there),
        (far, target, False, near, there),
        (far, target, True, near, back),
        (near, source, False, far, back),
    )
    for subnet, side, is_egress, other, (first, last) in looks:
        if not _allowed(subnet, other.cidr, protocol, first, last, is_egress=is_egress):
            direction = "out to" if is_egress else "in from"
            span = f"{first}-{last}" if last > first else f"{first}"
            asked = span if last > first else _asked(number)
            return (
                f"{subnet.acl_id} of {subnet.subnet_id}, the subnet of {side.noun}, does not allow {protocol} {span} "
                f"{direction} {other.cidr}; add an entry that allows {protocol} {asked}, before any that denies it"
            )
    return None


def _allowed(
    subnet: Subnet, cidr: str, protocol: str, first: int, last: int, *, is_egress: bool
) -> bool:
    """Whether all of first..last is allowed: entries in order, each deciding what none before it did."""
    if not subnet.acl_id:
        return True
    open_spans = [(first, last)]
    for entry in sorted(subnet.entries, key=lambda entry: entry.number):
        if entry.is_egress is not is_egress or entry.protocol not in (EVERYTHING, protocol):
            continue
        if entry.allows:
            if lies_in(cidr, entry.cidr):
                open_spans = [rest for span in open_spans for rest in _without(span, entry)]
        elif _overlaps(cidr, entry.cidr) and any(_touches(span, entry) for span in open_spans):
            return False
        if not open_spans:
            return True
    return False


def _span(entry: AclEntry) -> tuple[int, int]:
    return (0, NUMBER_MAX) if entry.protocol == EVERYTHING else (entry.first, entry.last)


def _touches(span: tuple[int, int], entry: AclEntry) -> bool:
    first, last = _span(entry)
    return span[0] <= last and first <= span[1]


def _without(span: tuple[int, int], entry: AclEntry) -> list[tuple[int, int]]:
    if not _touches(span, entry):
        return [span]
    first, last = _span(entry)
    rest = [(span[0], first - 1), (last + 1, span[1])]
    return [(low, high) for low, high in rest if low <= high]


def _overlaps(cidr: str, other: str) -> bool:
    one, two = network_of(cidr), network_of(other)
    return one is not None and two is not None and one.version == two.version and one.overlaps(two)


def _named(groups: Sequence[SecurityGroup]) -> str:
    return " and ".join(group.group_id for group in groups)


def _blocks(side: Side) -> str:
    return " and ".join(subnet.cidr for subnet in side.subnets) or "any address"


def _asked(number: int) -> str:
    """What to authorise: for a number that changes with every instance, all that it may be."""
    return f"{EPHEMERAL_FIRST}-{NUMBER_MAX}" if number >= EPHEMERAL_FIRST else str(number)
