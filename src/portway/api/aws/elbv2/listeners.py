"""Listeners, their certificates and attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from portway.api.aws.elbv2.actions import read_action, shown_action
from portway.api.aws.elbv2.common import (
    given_attributes,
    given_tags,
    invalid,
    listener,
    listing,
    load_balancer,
    refused,
    registry_of,
    shown_attributes,
)
from portway.api.aws.elbv2.policies import DEFAULT_POLICY, POLICIES
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.core.balancing.attributes import (
    LISTENER_ATTRIBUTES,
    attributes_for,
    listener_attributes,
)
from portway.core.balancing.model import (
    HTTP_PROTOCOLS,
    STREAM_PROTOCOLS,
    Kind,
    Listener,
    LoadBalancer,
    groups_of,
)
from portway.core.rules import Action

LISTENERS_MAX = 50
CERTIFICATES_MAX = 25
GROUPS_MAX = 100  # of one load balancer
_SECURE = ("HTTPS", "TLS")
_MTLS = "it asks no client for a certificate."


@operation(
    "elbv2",
    "CreateListener",
    ignores=("AlpnPolicy",),
    refuses={"MutualAuthentication": _MTLS},
)
async def create_listener(face: Face, request: Request) -> dict[str, Any]:
    """Make one; the same settings again give the same one."""
    registry = registry_of(face)
    async with registry.lock:
        balancer = load_balancer(face, request["LoadBalancerArn"])
        wanted = await _wanted(face, request, balancer)
        beside = registry.listeners_of(balancer.arn)
        known = next((each for each in beside if each.number == wanted.number), None)
        if known is not None:
            if replace(known, arn="", attributes={}) == replace(wanted, arn=""):
                return {"Listeners": [shown(known)]}
            raise refused("DuplicateListener", f"A listener already exists on this port for this load balancer '{balancer.arn}'")  # fmt: skip
        if len(beside) >= LISTENERS_MAX:
            raise refused("TooManyListeners", f"A load balancer can have at most '{LISTENERS_MAX}' listeners")  # fmt: skip
        await registry.put(wanted)
    await _served(face)
    return {"Listeners": [shown(wanted)]}


async def _served(face: Face) -> None:
    await face.operations.balancing.load_certificates()
    face.operations.balancing.touch()


async def _wanted(face: Face, request: Request, balancer: LoadBalancer) -> Listener:
    protocol, number = request.get("Protocol"), request.get("Port")
    if protocol is None or number is None:
        raise invalid("A listener protocol and a port must be specified")
    _check_protocol(balancer, protocol)
    action = read_action(request["DefaultActions"], protocol)
    check_groups(face, balancer, protocol, action)
    given = [each.get("CertificateArn") or "" for each in request.get("Certificates", [])]
    await _check_certificates(face, protocol, given)
    part = balancer.arn.partition(":loadbalancer/")[2]
    return Listener(
        arn=face.arn("elasticloadbalancing", f"listener/{part}/{face.new_id(8)}"),
        load_balancer=balancer.arn,
        protocol=protocol,
        number=number,
        action=action,
        certificates=tuple(given),
        ssl_policy=_policy(protocol, request.get("SslPolicy")),
        alpn_policy=tuple(request.get("AlpnPolicy", [])),
        tags=given_tags(request.get("Tags", [])),
    )


def _check_protocol(balancer: LoadBalancer, protocol: str) -> None:
    allowed = HTTP_PROTOCOLS if balancer.kind is Kind.APPLICATION else STREAM_PROTOCOLS
    if protocol in ("UDP", "TCP_UDP", "QUIC", "TCP_QUIC") and balancer.kind is Kind.NETWORK:
        raise invalid(f"portway does not do protocol '{protocol}' yet: its balancer passes on TCP and TLS only.")  # fmt: skip
    if protocol not in allowed:
        raise invalid(f"Listener protocol '{protocol}' must be one of '{', '.join(allowed)}'")


def _policy(protocol: str, given: str | None) -> str:
    if protocol not in _SECURE:
        if given:
            raise refused("InvalidConfigurationRequest", f"An SSL policy cannot be specified for protocol '{protocol}'")  # fmt: skip
        return ""
    if given is not None and given not in POLICIES:
        raise refused("SSLPolicyNotFound", f"SSL policy '{given}' not found")
    return given or DEFAULT_POLICY


async def _check_certificates(face: Face, protocol: str, given: Sequence[str]) -> None:
    if protocol not in _SECURE:
        if given:
            raise refused("InvalidConfigurationRequest", f"A certificate cannot be specified for protocol '{protocol}'")  # fmt: skip
        return
    if not given:
        raise refused("CertificateNotFound", "A certificate must be specified for HTTPS and TLS listeners")  # fmt: skip
    if len(given) > 1:
        raise refused("TooManyCertificates", "Only one certificate may be specified; add others with AddListenerCertificates")  # fmt: skip
    await _check_known(face, given)


async def _check_known(face: Face, arns: Sequence[str]) -> None:
    for arn in arns:
        if await face.operations.balancing.find_certificate(arn) is None:
            raise refused("CertificateNotFound", f"Certificate ARN '{arn}' is not valid or does not exist")  # fmt: skip


def check_groups(face: Face, balancer: LoadBalancer, protocol: str, action: Action) -> None:
    """That the groups of an action are there, fit the listener, and belong to no other load balancer."""
    registry = registry_of(face)
    used = registry.groups_used_by(balancer.arn) | {*groups_of(action)}
    if len(used) > GROUPS_MAX:
        raise refused("TooManyUniqueTargetGroupsPerLoadBalancer", f"A load balancer can have at most '{GROUPS_MAX}' target groups")  # fmt: skip
    for arn in groups_of(action):
        group = registry.groups.get(arn)
        if group is None:
            raise refused("TargetGroupNotFound", f"Target groups '{arn}' not found")
        fits = {
            "TCP": ("TCP",),
            "TLS": ("TCP", "TLS"),
        }.get(protocol, HTTP_PROTOCOLS)
        if group.protocol not in fits:
            told = f"Listener protocol '{protocol}' is not supported with a target group with the protocol '{group.protocol}'"  # fmt: skip
            raise refused("IncompatibleProtocols", told)
        if group.vpc_id != balancer.vpc_id:
            raise refused("InvalidConfigurationRequest", f"Target group '{arn}' is not in VPC '{balancer.vpc_id}' of the load balancer")  # fmt: skip
        if any(user.arn != balancer.arn for user in registry.users_of(arn)):
            raise refused("TargetGroupAssociationLimit", f"The following target groups cannot be associated with more than one load balancer: {arn}")  # fmt: skip


def shown(one: Listener) -> dict[str, Any]:
    """As DescribeListeners tells it."""
    return {
        "ListenerArn": one.arn,
        "LoadBalancerArn": one.load_balancer,
        "Port": one.number,
        "Protocol": one.protocol,
        "Certificates": [{"CertificateArn": arn} for arn in one.certificates[:1]] or None,
        "SslPolicy": one.ssl_policy or None,
        "DefaultActions": [shown_action(one.action)],
        "AlpnPolicy": list(one.alpn_policy) or None,
    }


@operation("elbv2", "DescribeListeners")
async def describe_listeners(face: Face, request: Request) -> dict[str, Any]:
    """Of a load balancer, or by ARN."""
    arns, of = request.get("ListenerArns", []), request.get("LoadBalancerArn")
    if not arns and not of:
        raise invalid("You must specify either listener ARNs or a load balancer ARN")
    found = [listener(face, arn) for arn in arns]
    if of:
        load_balancer(face, of)
        found = [each for each in registry_of(face).listeners_of(of) if not arns or each in found]
    return listing(request, "Listeners", found, lambda each: each.arn, shown)


@operation(
    "elbv2",
    "ModifyListener",
    ignores=("AlpnPolicy",),
    refuses={"MutualAuthentication": _MTLS},
)
async def modify_listener(face: Face, request: Request) -> dict[str, Any]:
    """Change what is given; the rest stays."""
    registry = registry_of(face)
    async with registry.lock:
        before = listener(face, request["ListenerArn"])
        balancer = load_balancer(face, before.load_balancer)
        changed = await _modified(face, request, before, balancer)
        beside = [x for x in registry.listeners_of(balancer.arn) if x.arn != before.arn]
        if any(x.number == changed.number for x in beside):
            raise refused("DuplicateListener", f"A listener already exists on this port for this load balancer '{balancer.arn}'")  # fmt: skip
        await registry.put(changed)
    await _served(face)
    return {"Listeners": [shown(changed)]}


async def _modified(
    face: Face, request: Request, before: Listener, balancer: LoadBalancer
) -> Listener:
    protocol = request.get("Protocol", before.protocol)
    _check_protocol(balancer, protocol)
    action = before.action
    if request.get("DefaultActions"):
        action = read_action(request["DefaultActions"], protocol)
    check_groups(face, balancer, protocol, action)
    given = [each.get("CertificateArn") or "" for each in request.get("Certificates", [])]
    certificates = before.certificates
    if protocol not in _SECURE:
        await _check_certificates(face, protocol, given)
        certificates = ()
    elif given or not certificates:
        await _check_certificates(face, protocol, given)
        certificates = (given[0], *(arn for arn in certificates[1:] if arn != given[0]))
    policy = request.get("SslPolicy") or (before.ssl_policy if protocol in _SECURE else None)
    return replace(
        before,
        protocol=protocol,
        number=request.get("Port", before.number),
        action=action,
        certificates=certificates,
        ssl_policy=_policy(protocol, policy or None),
        alpn_policy=tuple(request.get("AlpnPolicy", before.alpn_policy)),
    )


@operation("elbv2", "DeleteListener")
async def delete_listener(face: Face, request: Request) -> dict[str, Any]:
    """Delete it with its rules."""
    registry = registry_of(face)
    async with registry.lock:
        await registry.delete(listener(face, request["ListenerArn"]))
    await _served(face)
    return {}


@operation("elbv2", "AddListenerCertificates")
async def add_listener_certificates(face: Face, request: Request) -> dict[str, Any]:
    """Serve more certificates, chosen by the name that a client asks for."""
    registry = registry_of(face)
    given = _arns(request["Certificates"])
    async with registry.lock:
        before = listener(face, request["ListenerArn"])
        if before.protocol not in _SECURE:
            raise refused("InvalidConfigurationRequest", f"A certificate cannot be specified for protocol '{before.protocol}'")  # fmt: skip
        await _check_known(face, given)
        merged = tuple(dict.fromkeys((*before.certificates, *given)))
        if len(merged) - 1 > CERTIFICATES_MAX:
            raise refused("TooManyCertificates", f"A listener can have at most '{CERTIFICATES_MAX}' certificates besides the default one")  # fmt: skip
        changed = replace(before, certificates=merged)
        await registry.put(changed)
    await _served(face)
    return {"Certificates": [{"CertificateArn": arn, "IsDefault": arn == merged[0]} for arn in given]}  # fmt: skip


@operation("elbv2", "RemoveListenerCertificates")
async def remove_listener_certificates(face: Face, request: Request) -> dict[str, Any]:
    """Serve certificates no more; the default one stays."""
    registry = registry_of(face)
    given = _arns(request["Certificates"])
    async with registry.lock:
        before = listener(face, request["ListenerArn"])
        if before.certificates and before.certificates[0] in given:
            raise refused("OperationNotPermitted", "The default certificate cannot be removed")
        kept = tuple(arn for arn in before.certificates if arn not in given)
        await registry.put(replace(before, certificates=kept))
    await _served(face)
    return {}


def _arns(given: Sequence[Mapping[str, Any]]) -> list[str]:
    return [each.get("CertificateArn") or "" for each in given]


@operation("elbv2", "DescribeListenerCertificates")
async def describe_listener_certificates(face: Face, request: Request) -> dict[str, Any]:
    """The default one and the others."""
    one = listener(face, request["ListenerArn"])
    first = one.certificates[:1]
    return listing(
        request,
        "Certificates",
        list(one.certificates),
        lambda arn: arn,
        lambda arn: {"CertificateArn": arn, "IsDefault": arn in first},
    )


@operation("elbv2", "DescribeListenerAttributes")
async def describe_listener_attributes(face: Face, request: Request) -> dict[str, Any]:
    """All attributes, whether they were set or not."""
    one = listener(face, request["ListenerArn"])
    kind = load_balancer(face, one.load_balancer).kind
    return {"Attributes": shown_attributes(listener_attributes(one, kind))}


@operation("elbv2", "ModifyListenerAttributes")
async def modify_listener_attributes(face: Face, request: Request) -> dict[str, Any]:
    """Set some; the others stay."""
    registry = registry_of(face)
    async with registry.lock:
        one = listener(face, request["ListenerArn"])
        kind = load_balancer(face, one.load_balancer).kind
        known = attributes_for(LISTENER_ATTRIBUTES, kind) if one.protocol == "TCP" else {}
        given = given_attributes(request, known, "Listener")
        changed = replace(one, attributes={**one.attributes, **given})
        await registry.put(changed)
    face.operations.balancing.touch()
    return {"Attributes": shown_attributes(listener_attributes(changed, kind))}
