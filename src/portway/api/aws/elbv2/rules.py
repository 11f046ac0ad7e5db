"""Rules of listeners. The default rule is the listener's own action under an ARN of its own."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from typing import Any

from portway.api.aws.elbv2.actions import read_action, shown_action
from portway.api.aws.elbv2.common import (
    given_tags,
    invalid,
    listener,
    listing,
    load_balancer,
    refused,
    registry_of,
    rule,
)
from portway.api.aws.elbv2.conditions import read_conditions, shown_condition
from portway.api.aws.elbv2.listeners import check_groups
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.controller.balancing.registry import Registry
from portway.core.balancing.model import Kind, Listener, ListenerRule
from portway.core.errors import PortwayError

RULES_MAX = 100
_TRANSFORMS = "rules choose where a request goes and leave it as it is."


def default_rule_arn(of: Listener) -> str:
    """The ARN of a listener's default rule, always the same."""
    digest = hashlib.sha256(of.arn.encode()).hexdigest()[:16]
    return f"{of.arn.replace(':listener/', ':listener-rule/', 1)}/{digest}"


def shown(one: ListenerRule) -> dict[str, Any]:
    """As DescribeRules tells it."""
    return {
        "RuleArn": one.arn,
        "Priority": str(one.priority),
        "Conditions": [shown_condition(condition) for condition in one.conditions],
        "Actions": [shown_action(one.action)],
        "IsDefault": False,
    }


def shown_default(of: Listener) -> dict[str, Any]:
    """The default rule of a listener, likewise."""
    return {
        "RuleArn": default_rule_arn(of),
        "Priority": "default",
        "Conditions": [],
        "Actions": [shown_action(of.action)],
        "IsDefault": True,
    }


@operation("elbv2", "CreateRule", refuses={"Transforms": _TRANSFORMS})
async def create_rule(face: Face, request: Request) -> dict[str, Any]:
    """Make one; its priority must be free."""
    registry = registry_of(face)
    async with registry.lock:
        of = listener(face, request["ListenerArn"])
        balancer = load_balancer(face, of.load_balancer)
        if balancer.kind is not Kind.APPLICATION:
            raise invalid("portway does not do rules on Network Load Balancers: a connection says nothing to choose by.")  # fmt: skip
        conditions = read_conditions(request["Conditions"])
        action = read_action(request["Actions"], of.protocol)
        check_groups(face, balancer, of.protocol, action)
        beside = registry.rules_of(of.arn)
        _check_free(beside, request["Priority"])
        every = sum(len(registry.rules_of(x.arn)) for x in registry.listeners_of(balancer.arn))
        if every >= RULES_MAX:
            raise refused("TooManyRules", f"A load balancer can have at most '{RULES_MAX}' rules")
        part = of.arn.partition(":listener/")[2]
        made = ListenerRule(
            arn=face.arn("elasticloadbalancing", f"listener-rule/{part}/{face.new_id(8)}"),
            listener=of.arn,
            priority=request["Priority"],
            conditions=conditions,
            action=action,
            tags=given_tags(request.get("Tags", [])),
        )
        await registry.put(made)
    face.operations.balancing.touch()
    return {"Rules": [shown(made)]}


def _check_free(beside: list[ListenerRule], priority: int) -> None:
    if any(other.priority == priority for other in beside):
        raise refused("PriorityInUse", f"Priority '{priority}' is currently in use")


@operation("elbv2", "DescribeRules")
async def describe_rules(face: Face, request: Request) -> dict[str, Any]:
    """Of a listener, or by ARN; in the order they are tried, the default one last."""
    registry = registry_of(face)
    arns, of = request.get("RuleArns", []), request.get("ListenerArn")
    if bool(arns) == bool(of):
        raise invalid("You must specify either listener rule ARNs or a listener ARN")
    defaults = {default_rule_arn(x): x for x in registry.listeners.values()}
    if of:
        one = listener(face, of)
        found = [*map(shown, registry.rules_of(one.arn)), shown_default(one)]
    else:
        found = [shown_default(defaults[a]) if a in defaults else shown(rule(face, a)) for a in arns]  # fmt: skip
    return listing(request, "Rules", found, _order, lambda told: told)


def _order(told: dict[str, Any]) -> str:
    return f"{told['Priority']:0>8} {told['RuleArn']}" if not told["IsDefault"] else f"~{told['RuleArn']}"  # fmt: skip


@operation("elbv2", "ModifyRule", ignores=("ResetTransforms",), refuses={"Transforms": _TRANSFORMS})
async def modify_rule(face: Face, request: Request) -> dict[str, Any]:
    """Change what is given; of the default rule the action only."""
    registry = registry_of(face)
    async with registry.lock:
        arn = request["RuleArn"]
        default = next((x for x in registry.listeners.values() if default_rule_arn(x) == arn), None)
        if default is not None:
            if request.get("Conditions"):
                raise refused("OperationNotPermitted", f"Conditions of default rule '{arn}' cannot be changed")  # fmt: skip
            told = await _modified_default(face, request, default)
        else:
            told = await _modified(face, request, rule(face, arn))
    face.operations.balancing.touch()
    return {"Rules": [told]}


async def _modified_default(face: Face, request: Request, of: Listener) -> dict[str, Any]:
    action = read_action(request.get("Actions", []), of.protocol)
    check_groups(face, load_balancer(face, of.load_balancer), of.protocol, action)
    changed = replace(of, action=action)
    await registry_of(face).put(changed)
    return shown_default(changed)


async def _modified(face: Face, request: Request, before: ListenerRule) -> dict[str, Any]:
    of = listener(face, before.listener)
    changed = before
    if request.get("Conditions"):
        changed = replace(changed, conditions=read_conditions(request["Conditions"]))
    if request.get("Actions"):
        action = read_action(request["Actions"], of.protocol)
        check_groups(face, load_balancer(face, of.load_balancer), of.protocol, action)
        changed = replace(changed, action=action)
    await registry_of(face).put(changed)
    return shown(changed)


@operation("elbv2", "SetRulePriorities")
async def set_rule_priorities(face: Face, request: Request) -> dict[str, Any]:
    """Give rules other priorities, all at once: two may change places."""
    registry = registry_of(face)
    async with registry.lock:
        wanted: dict[str, ListenerRule] = {}
        for each in request["RulePriorities"]:
            arn, priority = each.get("RuleArn") or "", each.get("Priority")
            if any(default_rule_arn(x) == arn for x in registry.listeners.values()):
                raise refused("OperationNotPermitted", f"Priority of default rule '{arn}' cannot be changed")  # fmt: skip
            if priority is None:
                raise invalid("A priority must be specified")
            if arn in wanted:
                raise invalid(f"The rule '{arn}' is specified more than once")
            wanted[arn] = replace(rule(face, arn), priority=priority)
        for of in {each.listener for each in wanted.values()}:
            after = [wanted.get(each.arn, each) for each in registry.rules_of(of)]
            taken: set[int] = set()
            for each in after:
                if each.priority in taken:
                    raise refused(
                        "PriorityInUse", f"Priority '{each.priority}' is currently in use"
                    )
                taken.add(each.priority)
        await _put_all(registry, list(wanted.values()))
    face.operations.balancing.touch()
    return {"Rules": [shown(each) for each in wanted.values()]}


async def _put_all(registry: Registry, rules: list[ListenerRule]) -> None:
    """All of them or none: where one cannot be saved, those before it are put back."""
    before = [registry.rules[one.arn] for one in rules]
    try:
        await registry.put(*rules)
    except PortwayError:
        with suppress(PortwayError):
            await registry.put(*(one for one in before if registry.rules[one.arn] is not one))
        raise


@operation("elbv2", "DeleteRule")
async def delete_rule(face: Face, request: Request) -> dict[str, Any]:
    """Delete one; the default rule stays as long as its listener."""
    registry = registry_of(face)
    async with registry.lock:
        arn = request["RuleArn"]
        if any(default_rule_arn(x) == arn for x in registry.listeners.values()):
            raise refused("OperationNotPermitted", f"Default rule '{arn}' cannot be deleted")
        await registry.delete(rule(face, arn))
    face.operations.balancing.touch()
    return {}
