"""Policies of classic load balancers: made for one, and in effect where a listener or an instance port is given them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from portway.api.aws.elb.common import change, find, invalid, misfit, refused
from portway.api.aws.elb.listeners import find_listener
from portway.api.aws.elb.policy_types import (
    POLICY_TYPES,
    REFERENCE,
    SAMPLES,
    PolicyType,
    allowed_by,
    sample_policy,
)
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.core.balancing.classic import (
    APP_COOKIE,
    LB_COOKIE,
    PROXY_PROTOCOL,
    SSL_NEGOTIATION,
    STICKINESS,
    ClassicBalancer,
    ClassicListener,
    ClassicPolicy,
)

POLICIES_MAX = 100
_NAME = re.compile(r"[A-Za-z0-9-]{1,128}")
_COOKIE = re.compile(r"[A-Za-z0-9!#&*+.^_|~-]{1,128}")


def shown_policies(balancer: ClassicBalancer) -> dict[str, Any]:
    """As DescribeLoadBalancers tells them."""
    by_type: dict[str, list[ClassicPolicy]] = {}
    for policy in balancer.policies:
        kind = policy.type_name if policy.type_name in STICKINESS else ""
        by_type.setdefault(kind, []).append(policy)
    return {
        "AppCookieStickinessPolicies": [
            {"PolicyName": policy.name, "CookieName": policy.value("CookieName")}
            for policy in by_type.get(APP_COOKIE, ())
        ],
        "LBCookieStickinessPolicies": [
            {
                "PolicyName": policy.name,
                "CookieExpirationPeriod": int(policy.value("CookieExpirationPeriod") or 0),
            }
            for policy in by_type.get(LB_COOKIE, ())
        ],
        "OtherPolicies": [policy.name for policy in by_type.get("", ())],
    }


async def _add(face: Face, request: Request, type_name: str, given: Mapping[str, str]) -> None:
    policy = _made(request["PolicyName"], type_name, given)

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        known = before.policy(policy.name)
        if known is not None:
            if known == policy:
                return before
            raise refused("DuplicatePolicyName", f"A policy with the name {policy.name} already exists for load balancer {before.name}")  # fmt: skip
        if len(before.policies) >= POLICIES_MAX:
            raise refused("TooManyPolicies", f"A load balancer can have at most {POLICIES_MAX} policies")  # fmt: skip
        return replace(before, policies=(*before.policies, policy))

    await change(face, request, by)


def _made(name: str, type_name: str, given: Mapping[str, str]) -> ClassicPolicy:
    if not _NAME.fullmatch(name):
        raise invalid("Policy names must be 1 to 128 alphanumeric characters or hyphens")
    kind = POLICY_TYPES.get(type_name)
    if kind is None:
        raise refused("PolicyTypeNotFound", f"There is no policy type {type_name}")
    if kind.refusal:
        raise invalid(f"portway does not do policies of type {type_name}: {kind.refusal}")
    for attribute, value in given.items():
        known = kind.attribute(attribute)
        problem = known.problem(value) if known else f"Policies of type {type_name} have no attribute {attribute}"  # fmt: skip
        if problem:
            raise misfit(problem)
    for needed in kind.attributes:
        if needed.is_needed and needed.name not in given:
            raise misfit(f"A policy of type {type_name} must have the attribute {needed.name}")
    if type_name == APP_COOKIE and not _COOKIE.fullmatch(given["CookieName"]):
        raise misfit(f"'{given['CookieName']}' is not the name of a cookie")
    return ClassicPolicy(name=name, type_name=type_name, attributes=_whole(type_name, given))


def _whole(type_name: str, given: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """With everything that a security policy of AWS's stands for."""
    reference = given.get(REFERENCE)
    if type_name != SSL_NEGOTIATION or reference is None:
        return tuple(given.items())
    if reference not in SAMPLES:
        raise misfit(f"There is no security policy {reference}")
    return ((REFERENCE, reference), *allowed_by(reference))


@operation("elb", "CreateLBCookieStickinessPolicy")
async def create_lb_cookie_policy(face: Face, request: Request) -> dict[str, Any]:
    """A cookie of the load balancer's own, for a time or for the session of the browser."""
    period_s = request.get("CookieExpirationPeriod")
    if period_s is not None and period_s < 0:
        raise invalid("CookieExpirationPeriod must be 0 or more seconds")
    given = {"CookieExpirationPeriod": str(period_s)} if period_s else {}
    await _add(face, request, LB_COOKIE, given)
    return {}


@operation("elb", "CreateAppCookieStickinessPolicy")
async def create_app_cookie_policy(face: Face, request: Request) -> dict[str, Any]:
    """A cookie that lives as long as one of the application's."""
    await _add(face, request, APP_COOKIE, {"CookieName": request["CookieName"]})
    return {}


@operation("elb", "CreateLoadBalancerPolicy")
async def create_load_balancer_policy(face: Face, request: Request) -> dict[str, Any]:
    """A policy of any type."""
    given = {
        each.get("AttributeName") or "": each.get("AttributeValue") or ""
        for each in request.get("PolicyAttributes") or ()
    }
    await _add(face, request, request["PolicyTypeName"], given)
    return {}


@operation("elb", "DeleteLoadBalancerPolicy")
async def delete_load_balancer_policy(face: Face, request: Request) -> dict[str, Any]:
    """Forget a policy that is in effect nowhere; one that is not there is forgotten already."""
    name = request["PolicyName"]

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        used = [names for _, names in before.backend_policies]
        used += [listener.policies for listener in before.listeners]
        if any(name in names for names in used):
            raise misfit(f"Policy {name} is in use. Take it from its listeners and instance ports first")  # fmt: skip
        return replace(before, policies=tuple(p for p in before.policies if p.name != name))

    await change(face, request, by)
    return {}


@operation("elb", "SetLoadBalancerPoliciesOfListener")
async def set_policies_of_listener(face: Face, request: Request) -> dict[str, Any]:
    """Put these in effect on a listener, in place of those there were."""
    names = tuple(dict.fromkeys(request["PolicyNames"]))

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        listener = find_listener(before, request["LoadBalancerPort"])
        _check_listener(listener, _named(before, names))
        return before.with_listener(replace(listener, policies=names))

    await change(face, request, by)
    return {}


def _named(balancer: ClassicBalancer, names: Sequence[str]) -> list[ClassicPolicy]:
    found: list[ClassicPolicy] = []
    for name in names:
        policy = balancer.policy(name)
        if policy is None:
            raise refused("PolicyNotFound", f"There is no policy with name {name} for load balancer {balancer.name}")  # fmt: skip
        found.append(policy)
    return found


def _check_listener(listener: ClassicListener, policies: Sequence[ClassicPolicy]) -> None:
    types = [policy.type_name for policy in policies]
    for kind in types:
        if kind in STICKINESS and not listener.is_http:
            raise misfit("Only listeners with protocol HTTP or HTTPS can have stickiness policies")
        if kind == SSL_NEGOTIATION and not listener.is_secure:
            raise misfit("Only listeners with protocol HTTPS or SSL can have SSL negotiation policies")  # fmt: skip
        if kind == PROXY_PROTOCOL:
            raise misfit("A ProxyProtocol policy is set for an instance port, not for a listener")
    if sum(kind in STICKINESS for kind in types) > 1:
        raise misfit("A listener can have one stickiness policy")
    if types.count(SSL_NEGOTIATION) > 1:
        raise misfit("A listener can have one SSL negotiation policy")


@operation("elb", "SetLoadBalancerPoliciesForBackendServer")
async def set_policies_for_backend_server(face: Face, request: Request) -> dict[str, Any]:
    """Put these in effect towards a port of the instances, in place of those there were."""
    number, names = request["InstancePort"], tuple(dict.fromkeys(request["PolicyNames"]))

    async def by(before: ClassicBalancer) -> ClassicBalancer:
        if not any(listener.instance_port == number for listener in before.listeners):
            raise misfit(f"No listener of {before.name} leads to instance port {number}")
        for policy in _named(before, names):
            if policy.type_name != PROXY_PROTOCOL:
                raise misfit(f"A policy of type {policy.type_name} cannot be set for an instance port")  # fmt: skip
        others = [one for one in before.backend_policies if one[0] != number]
        kept = sorted([*others, *([(number, names)] if names else [])])
        return replace(before, backend_policies=tuple(kept))

    await change(face, request, by)
    return {}


@operation("elb", "DescribeLoadBalancerPolicies")
async def describe_load_balancer_policies(face: Face, request: Request) -> dict[str, Any]:
    """Those of a load balancer; without one, the security policies that AWS has ready."""
    of = request.get("LoadBalancerName")
    known = find(face, of).policies if of else tuple(sample_policy(name) for name in SAMPLES)
    names = request.get("PolicyNames") or []
    for name in names:
        if name not in [policy.name for policy in known]:
            raise refused("PolicyNotFound", f"There is no policy with name {name}" + (f" for load balancer {of}" if of else ""))  # fmt: skip
    found = [policy for policy in known if not names or policy.name in names]
    return {"PolicyDescriptions": [_shown(policy) for policy in found]}


def _shown(policy: ClassicPolicy) -> dict[str, Any]:
    return {
        "PolicyName": policy.name,
        "PolicyTypeName": policy.type_name,
        "PolicyAttributeDescriptions": [
            {"AttributeName": name, "AttributeValue": value} for name, value in policy.attributes
        ],
    }


@operation("elb", "DescribeLoadBalancerPolicyTypes")
async def describe_load_balancer_policy_types(face: Face, request: Request) -> dict[str, Any]:
    """By name, or all."""
    names = request.get("PolicyTypeNames") or list(POLICY_TYPES)
    for name in names:
        if name not in POLICY_TYPES:
            raise refused("PolicyTypeNotFound", f"There is no policy type {name}")
    return {"PolicyTypeDescriptions": [_shown_type(POLICY_TYPES[name]) for name in names]}


def _shown_type(kind: PolicyType) -> dict[str, Any]:
    return {
        "PolicyTypeName": kind.name,
        "Description": kind.description,
        "PolicyAttributeTypeDescriptions": [
            {
                "AttributeName": one.name,
                "AttributeType": one.kind,
                "Cardinality": one.cardinality,
                "DefaultValue": one.default or None,
                "Description": one.description or None,
            }
            for one in kind.attributes
        ],
    }
