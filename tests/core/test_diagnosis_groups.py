"""The way through load balancers, in hops: the first broken one names the fault."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.balancing.targets import (
    CHECKING,
    DRAINING,
    HEALTHY,
    NOT_IN_USE,
    TargetHealth,
    unhealthy,
)
from portway.core.diagnosis_groups import (
    answer_hops,
    answered_through,
    is_unhealthy,
    target_hops,
    way_hops,
)
from portway.core.facts import Answer, GroupFacts, Reached, TargetFacts, Verdict, WayFacts

WAY = WayFacts(balancer="shop", group="tg", url="http://shop/", where="127.64.0.1:80", rule="rule 5 (path /x)")  # fmt: skip
ILL = unhealthy("Health checks failed with these codes: [500]")


def group(health: TargetHealth = HEALTHY, **fields: object) -> GroupFacts:
    target = TargetFacts(instance_id="c/web.1.1", told="i-1:32768", health=health)
    given: dict[str, object] = {"name": "tg", "ways": (WAY,), "targets": (target,), **fields}
    return GroupFacts(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (group(), Verdict.OK, "rule 5 (path /x) of http://shop/ leads to target group tg"),
        (group(exists=False), Verdict.BROKEN, "the target group tg is gone"),
        (group(ways=()), Verdict.BROKEN, "no listener or rule of a load balancer leads to target group tg"),
    ],
)  # fmt: skip
def test_a_group_has_to_be_led_to(facts: GroupFacts, verdict: Verdict, said: str) -> None:
    (hop,) = way_hops([facts])
    assert (hop.verdict, hop.text) == (verdict, said)
    assert bool(hop.fix) is (verdict is not Verdict.OK)


def test_a_way_that_is_not_served_or_has_no_weight_is_told() -> None:
    refused = replace(WAY, is_served=False, error="80 is taken", fix="free it")
    unserved = replace(WAY, is_served=False)
    unweighted = replace(WAY, weight=0)
    hops = list(way_hops([group(ways=(refused, unserved, unweighted))]))
    assert [hop.verdict for hop in hops] == [Verdict.BROKEN, Verdict.HELD, Verdict.HELD]
    assert hops[0].text == "load balancer shop: 80 is taken"
    assert "does not listen on 127.64.0.1:80" in hops[1].text
    assert "the weight 0" in hops[2].text


@pytest.mark.parametrize(
    ("health", "verdict", "said"),
    [
        (HEALTHY, Verdict.OK, "is healthy"),
        (ILL, Verdict.BROKEN, "is unhealthy: Health checks failed with these codes: [500]"),
        (CHECKING, Verdict.HELD, "is initial: Initial health checks in progress"),
        (DRAINING, Verdict.HELD, "is draining: Target deregistration is in progress"),
        (NOT_IN_USE, Verdict.HELD, "is unused: Target group is not configured"),
    ],
)
def test_a_group_says_how_an_instance_stands(
    health: TargetHealth, verdict: Verdict, said: str
) -> None:
    facts = [group(health, check="it is asked HTTP /")]
    (hop,) = target_hops(facts, "c/web.1.1")
    assert hop.verdict is verdict
    assert hop.text.startswith("target i-1:32768 of tg ")
    assert said in hop.text
    assert is_unhealthy(facts, "c/web.1.1") is (health is ILL)
    assert not list(target_hops(facts, "c/web.2.2"))


def test_what_comes_through_a_load_balancer_is_the_answer() -> None:
    good = group(answer=Answer(reached=Reached.CONNECTED, status=200, took_ms=2))
    ill = group(answer=Answer(reached=Reached.CONNECTED, status=503))
    lost = group(answer=Answer(reached=Reached.TIMEOUT))
    hops = list(answer_hops([good, ill, lost, group()]))
    assert [hop.verdict for hop in hops] == [Verdict.OK, Verdict.HELD, Verdict.BROKEN]
    assert answered_through([good]) == "HTTP 200 in 2 ms through http://shop/"
    assert answered_through([group()]) == ""
