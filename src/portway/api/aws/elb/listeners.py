"""Listeners of classic load balancers and their certificates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from portway.api.aws.elb.common import change, invalid, misfit, refused
from portway.api.aws.elb.policy_types import DEFAULT_SSL_POLICY, sample_policy
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.core.balancing.classic import (
    HTTP_PROTOCOLS,
    STREAM_PROTOCOLS,
    ClassicBalancer,
    ClassicListener,
)

LISTENERS_MAX = 100
_PORT_MAX = 65535
_PROTOCOLS = (*HTTP_PROTOCOLS, *STREAM_PROTOCOLS)


async def read_listeners(
    face: Face, balancer: ClassicBalancer, given: Sequence[Mapping[str, Any]]
) -> ClassicBalancer:
    """The load balancer with these listeners too; one that is there as it is asked for stays."""
    for item in given:
        wanted = await _read(face, item)
        known = balancer.listener(wanted.number)
        if known is None:
            balancer = _with_policy(balancer, wanted)
        elif replace(known, policies=()) != wanted:
            raise refused("DuplicateListener", f"A listener already exists for {balancer.name} with LoadBalancerPort {wanted.number}, but with a different InstancePort, Protocol, or SSLCertificateId")  # fmt: skip
    if len(balancer.listeners) > LISTENERS_MAX:
        raise misfit(f"A load balancer can have at most {LISTENERS_MAX} listeners")
    return balancer


def _with_policy(balancer: ClassicBalancer, listener: ClassicListener) -> ClassicBalancer:
    """A secure listener has the usual security policy until another one is set."""
    if not listener.is_secure:
        return balancer.with_listener(listener)
    if balancer.policy(DEFAULT_SSL_POLICY) is None:
        policies = (*balancer.policies, sample_policy(DEFAULT_SSL_POLICY))
        balancer = replace(balancer, policies=policies)
    return balancer.with_listener(replace(listener, policies=(DEFAULT_SSL_POLICY,)))


async def _read(face: Face, item: Mapping[str, Any]) -> ClassicListener:
    protocol = _protocol(item["Protocol"])
    is_http = protocol in HTTP_PROTOCOLS
    family = HTTP_PROTOCOLS if is_http else STREAM_PROTOCOLS
    towards = _protocol(item.get("InstanceProtocol") or family[0])
    if towards not in family:
        raise invalid(f"InstanceProtocol '{towards}' must be one of {', '.join(family)} where Protocol is '{protocol}'")  # fmt: skip
    number, instance_port = item["LoadBalancerPort"], item["InstancePort"]
    for member, value in (("LoadBalancerPort", number), ("InstancePort", instance_port)):
        if not 1 <= value <= _PORT_MAX:
            raise invalid(f"{member} must be between 1 and {_PORT_MAX}, not {value}")
    listener = ClassicListener(
        protocol=protocol,
        number=number,
        instance_protocol=towards,
        instance_port=instance_port,
        certificate=item.get("SSLCertificateId") or "",
    )
    await _check_certificate(face, listener)
    return listener


def _protocol(given: str) -> str:
    if given.upper() not in _PROTOCOLS:
        raise refused("UnsupportedProtocol", f"Protocol '{given}' must be one of {', '.join(_PROTOCOLS)}")  # fmt: skip
    return given.upper()


async def _check_certificate(face: Face, listener: ClassicListener) -> None:
    if not listener.is_secure:
        if listener.certificate:
            raise misfit(f"SSLCertificateId is for HTTPS and SSL listeners, not for {listener.protocol}")  # fmt: skip
        return
    if not listener.certificate:
        raise invalid(f"SSLCertificateId must be specified for a listener with protocol {listener.protocol}")  # fmt: skip
    await _check_known(face, listener.certificate)


async def _check_known(face: Face, arn: str) -> None:
    if await face.operations.balancing.find_certificate(arn) is None:
        raise refused("CertificateNotFound", f"Server Certificate not found for the key: {arn}")


def shown_listener(listener: ClassicListener) -> dict[str, Any]:
    """As DescribeLoadBalancers tells it."""
    return {
        "Protocol": listener.protocol,
        "LoadBalancerPort": listener.number,
        "InstanceProtocol": listener.instance_protocol,
        "InstancePort": listener.instance_port,
        "SSLCertificateId": listener.certificate or None,
    }


@operation("elb", "CreateLoadBalancerListeners")
async def create_load_balancer_listeners(face: Face, request: Request) -> dict[str, Any]:
    """Add listeners, all or none."""
    if not request["Listeners"]:
        raise invalid("Listeners cannot be empty")
    await change(face, request, lambda before: read_listeners(face, before, request["Listeners"]))
    return {}


@operation("elb", "DeleteLoadBalancerListeners")
async def delete_load_balancer_listeners(face: Face, request: Request) -> dict[str, Any]:
    """Take listeners away by their ports; one that is not there is away already."""
    gone = set(request["LoadBalancerPorts"])

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        kept = tuple(one for one in before.listeners if one.number not in gone)
        return replace(before, listeners=kept)

    await change(face, request, by)
    return {}


@operation("elb", "SetLoadBalancerListenerSSLCertificate")
async def set_certificate(face: Face, request: Request) -> dict[str, Any]:
    """Serve another certificate on a listener, from now on and without a break."""
    number, arn = request["LoadBalancerPort"], request["SSLCertificateId"]

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        listener = find_listener(before, number)
        if not listener.is_secure:
            raise misfit(f"The listener on port {number} does not speak HTTPS or SSL, so it has no certificate")  # fmt: skip
        await _check_known(face, arn)
        return before.with_listener(replace(listener, certificate=arn))

    await change(face, request, by)
    return {}


def find_listener(balancer: ClassicBalancer, number: int) -> ClassicListener:
    """The listener on a port of the load balancer."""
    found = balancer.listener(number)
    if found is None:
        raise refused("ListenerNotFound", f"There is no listener on port {number} of {balancer.name}")  # fmt: skip
    return found
