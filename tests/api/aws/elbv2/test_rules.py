"""Rules of listeners, with boto3."""

from __future__ import annotations

from typing import Any

import pytest

from portway.core.errors import StoreError
from portway.store.documents import MemoryDocuments
from tests.api.aws.elbv2.conftest import ANSWER, Elb, forward

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


async def three(elb: Elb) -> tuple[str, list[str]]:
    """A listener with rules of priority 1, 2 and 3."""
    of = await listener(elb)
    return of, [(await rule(elb, of, number))["RuleArn"] for number in (1, 2, 3)]


async def priorities(elb: Elb, of: str) -> dict[str, str]:
    told = (await elb.ask("describe_rules", ListenerArn=of))["Rules"]
    return {each["RuleArn"]: each["Priority"] for each in told if not each["IsDefault"]}


def wanted(*pairs: tuple[str, int]) -> list[dict[str, Any]]:
    return [{"RuleArn": arn, "Priority": number} for arn, number in pairs]


async def test_priorities_are_set_all_or_none(elb: Elb):
    of, (one, two, three_) = await three(elb)
    [default] = [r["RuleArn"] for r in (await elb.ask("describe_rules", ListenerArn=of))["Rules"] if r["IsDefault"]]  # fmt: skip
    before = await priorities(elb, of)
    for given, code in (
        (wanted((one, 9), (two, 3)), "PriorityInUse"),
        (wanted((one, 9), (two, 9)), "PriorityInUse"),
        (wanted((one, 9), (f"{two}0", 8)), "RuleNotFound"),
        (wanted((one, 9), (default, 8)), "OperationNotPermitted"),
        (wanted((one, 9), (one, 8)), "ValidationError"),
        (wanted((one, 9), (two, 50001)), "ValidationError"),
    ):
        assert (await elb.refusal("set_rule_priorities", RulePriorities=given))[0] == code
        assert await priorities(elb, of) == before
    await elb.ask("set_rule_priorities", RulePriorities=wanted((one, 2), (two, 3), (three_, 1)))
    assert await priorities(elb, of) == {three_: "1", one: "2", two: "3"}


async def test_where_one_cannot_be_saved_all_stay(elb: Elb, monkeypatch: pytest.MonkeyPatch):
    of, (one, two, three_) = await three(elb)
    before = await priorities(elb, of)
    really, saved = MemoryDocuments.put, []

    async def full(self: MemoryDocuments, kind: str, key: str, *rest: Any) -> Any:
        saved.append(key)
        if len(saved) == 2:
            raise StoreError("The disk is full.")
        return await really(self, kind, key, *rest)

    monkeypatch.setattr(MemoryDocuments, "put", full)
    given = wanted((one, 2), (two, 3), (three_, 1))
    await elb.refusal("set_rule_priorities", RulePriorities=given)
    assert saved == [one, two, one]
    assert await priorities(elb, of) == before
    monkeypatch.undo()
    registry = elb.face.operations.balancing.registry
    await registry.load()
    assert await priorities(elb, of) == before


async def test_a_load_balancer_leads_to_a_hundred_groups(elb: Elb, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("portway.api.aws.elbv2.listeners.GROUPS_MAX", 2)
    of = await listener(elb)
    groups = [(await elb.group(f"tg-{n}"))["TargetGroupArn"] for n in range(3)]
    for number, arn in enumerate(groups[:2], 1):
        await rule(elb, of, number, Actions=forward(arn))
    given = {"ListenerArn": of, "Priority": 9, "Conditions": PATH, "Actions": forward(groups[2])}
    refusal = await elb.refusal("create_rule", **given)
    assert refusal[0] == "TooManyUniqueTargetGroupsPerLoadBalancer"
    await rule(elb, of, 9, Actions=forward(groups[0]))


async def test_conditions_of_characters_that_alb_refuses_make_no_rule(elb: Elb):
    of = await listener(elb)
    for value in ("/a\nb", "/a}b", "/a b"):
        given = [{"Field": "path-pattern", "PathPatternConfig": {"Values": [value]}}]
        refusal = await elb.refusal("create_rule", ListenerArn=of, Priority=1, Conditions=given, Actions=ANSWER)  # fmt: skip
        assert refusal[0] == "ValidationError"
    assert await priorities(elb, of) == {}
