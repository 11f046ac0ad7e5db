"""Rules of listeners, with boto3."""

from __future__ import annotations

from typing import Any

from tests.api.aws.elbv2.conftest import ANSWER, Elb

PATH = [{"Field": "path-pattern", "Values": ["/api/*"]}]


async def listener(elb: Elb) -> str:
    made = await elb.listener((await elb.balancer())["LoadBalancerArn"], DefaultActions=ANSWER)
    return made["ListenerArn"]


async def rule(elb: Elb, of: str, priority: int = 10, **members: Any) -> dict[str, Any]:
    given = {"ListenerArn": of, "Priority": priority, "Conditions": PATH, "Actions": ANSWER}
    return (await elb.ask("create_rule", **{**given, **members}))["Rules"][0]


async def test_rules_are_told_in_order_with_the_default_one_last(elb: Elb):
    of = await listener(elb)
    second, first = await rule(elb, of, 20), await rule(elb, of, 3)
    told = (await elb.ask("describe_rules", ListenerArn=of))["Rules"]
    assert [each["Priority"] for each in told] == ["3", "20", "default"]
    assert (told[0], told[1]) == (first, second)
    assert told[2]["IsDefault"]
    condition = first["Conditions"][0]
    assert (condition["Values"], condition["PathPatternConfig"]) == (["/api/*"], {"Values": ["/api/*"]})  # fmt: skip
    again = await elb.ask("describe_rules", RuleArns=[told[2]["RuleArn"], first["RuleArn"]])
    assert [each["Priority"] for each in again["Rules"]] == ["3", "default"]


async def test_a_priority_is_taken_once(elb: Elb):
    of = await listener(elb)
    await rule(elb, of)
    refusal = await elb.refusal("create_rule", ListenerArn=of, Priority=10, Conditions=PATH, Actions=ANSWER)  # fmt: skip
    assert refusal == ("PriorityInUse", "Priority '10' is currently in use")


async def test_two_rules_change_places_at_once(elb: Elb):
    of = await listener(elb)
    one, other = await rule(elb, of, 1), await rule(elb, of, 2)
    swap = [
        {"RuleArn": one["RuleArn"], "Priority": 2},
        {"RuleArn": other["RuleArn"], "Priority": 1},
    ]
    await elb.ask("set_rule_priorities", RulePriorities=swap)
    told = (await elb.ask("describe_rules", ListenerArn=of))["Rules"]
    assert [each["RuleArn"] for each in told[:2]] == [other["RuleArn"], one["RuleArn"]]
    refusal = await elb.refusal("set_rule_priorities", RulePriorities=swap[1:] and [{"RuleArn": one["RuleArn"], "Priority": 1}])  # fmt: skip
    assert refusal[0] == "PriorityInUse"


async def test_the_default_rule_is_changed_and_never_deleted(elb: Elb):
    of = await listener(elb)
    [default] = (await elb.ask("describe_rules", ListenerArn=of))["Rules"]
    arn = default["RuleArn"]
    teapot = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "418"}}]
    await elb.ask("modify_rule", RuleArn=arn, Actions=teapot)
    [told] = (await elb.ask("describe_listeners", ListenerArns=[of]))["Listeners"]
    assert told["DefaultActions"][0]["FixedResponseConfig"]["StatusCode"] == "418"
    assert (await elb.refusal("delete_rule", RuleArn=arn))[0] == "OperationNotPermitted"
    assert (await elb.refusal("modify_rule", RuleArn=arn, Conditions=PATH))[0] == "OperationNotPermitted"  # fmt: skip


async def test_a_rule_is_changed_and_deleted(elb: Elb):
    of = await listener(elb)
    made = await rule(elb, of)
    host = [{"Field": "host-header", "HostHeaderConfig": {"Values": ["a.example.com"]}}]
    [told] = (await elb.ask("modify_rule", RuleArn=made["RuleArn"], Conditions=host))["Rules"]
    assert (told["Conditions"][0]["Field"], told["Actions"]) == ("host-header", made["Actions"])
    await elb.ask("delete_rule", RuleArn=made["RuleArn"])
    assert (await elb.refusal("delete_rule", RuleArn=made["RuleArn"]))[0] == "RuleNotFound"


async def test_a_hundred_rules_are_enough(elb: Elb):
    from dataclasses import replace

    of = await listener(elb)
    made = await rule(elb, of)
    registry = elb.face.operations.balancing.registry
    kept = registry.rules[made["RuleArn"]]
    for number in range(11, 110):
        registry.rules[f"{kept.arn}{number}"] = replace(kept, arn=f"{kept.arn}{number}", priority=number)  # fmt: skip
    given = {"ListenerArn": of, "Priority": 200, "Conditions": PATH, "Actions": ANSWER}
    assert (await elb.refusal("create_rule", **given))[0] == "TooManyRules"
