"""What a URL meets at a load balancer's listener, in a sentence."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import ListenerSpec
from portway.core.balancing.targets import CHECKING, HEALTHY, unhealthy
from portway.core.diagnosis_rules import balancer_name, diagnose_rules
from portway.core.facts import Diagnosis, PoolFacts, Verdict
from portway.core.routes import Endpoint, EndpointState, Pool, Route, RouteKey
from portway.core.rules import Action, Condition, Forward, Part, Redirect, Respond, Rule

ARN = "arn:aws:elasticloadbalancing:us-east-1:1:"
BLUE, GREEN = (f"{ARN}targetgroup/{name}/0123456789abcdef" for name in ("blue", "green"))
ONE = Endpoint(instance_id="a", address="10.0.0.1", port_number=80)
ROUTE = Route(
    key=RouteKey(address="127.64.0.1", service_port=80),
    owner=f"lb:{ARN}loadbalancer/app/shop/0123456789abcdef",
    port_name="http-80",
    listener=ListenerSpec(),
    rules=(
        Rule(
            name="10",
            conditions=(
                Condition(part=Part.HOST, values=("*.test",)),
                Condition(part=Part.QUERY, pairs=(("v", "2"),)),
            ),
            action=Forward(pools=((BLUE, 1), (GREEN, 3))),
        ),
    ),
    default=Respond(status=404),
    pools=(Pool(name=BLUE, endpoints=(ONE,)), Pool(name=GREEN, endpoints=(ONE,))),
)


def met(path: str, *, route: Route = ROUTE, default: Action | None = None) -> Diagnosis:
    asked = replace(route, default=default or route.default)
    return diagnose_rules("it", asked, host="shop.test", path=path)


def test_the_rule_is_named_with_what_it_does() -> None:
    found = met("/x?v=2")
    assert found.verdict is Verdict.OK
    assert found.sentence == "rule 10 of shop forwards it to blue (1), green (3)"
    assert found.hops[1].text == "1 of 1 targets of blue take requests"


def test_without_a_rule_that_fits_it_is_the_default_action() -> None:
    found = met("/x")
    assert found.verdict is Verdict.BROKEN
    assert found.sentence.startswith(
        "no rule of shop matches GET shop.test/x (10: host *.test, query v=2), "
        "so its default action answers it with 404 by itself"
    )
    assert "aws elbv2 create-rule" in found.fix
    said = met("/x", default=Redirect(status=301))
    assert said.verdict is Verdict.OK
    assert said.sentence.endswith("so its default action redirects it with 301")
    assert met("/x", default=Forward(pools=((BLUE, 1),))).sentence.endswith("forwards it to blue")


def test_a_pool_where_nobody_takes_requests_is_what_is_wrong() -> None:
    draining = replace(ONE, state=EndpointState.DRAINING)
    for endpoints, why in (((), "it has none"), ((draining,), "1 keep what they have")):
        route = replace(ROUTE, pools=(ROUTE.pools[0], Pool(name=GREEN, endpoints=endpoints)))
        found = met("/?v=2", route=route)
        assert found.verdict is Verdict.BROKEN
        assert f"no target of green takes requests: {why}" in found.sentence


def test_of_targets_that_are_not_healthy_the_reason_is_said() -> None:
    empty = replace(ROUTE, pools=(ROUTE.pools[0], Pool(name=GREEN)))
    ill = unhealthy("Health checks failed with these codes: [500]")
    green = PoolFacts(check="it is asked HTTP /", targets=(("i-1:32768", HEALTHY), ("i-1:2", ill)))
    for facts, why, fix in (
        (green, "i-1:2 is unhealthy: Health checks failed with these codes: [500]", "it is asked"),
        (PoolFacts(targets=(("i-1:2", CHECKING),)), "i-1:2 is initial (Initial health", "wait"),
    ):
        found = diagnose_rules("it", empty, host="a.test", path="/?v=2", pools={GREEN: facts})
        assert why in found.sentence
        assert fix in found.fix
    barred = PoolFacts(targets=(("i-1:2", ill),), barred="sg-1 does not admit sg-2; add a rule")
    found = diagnose_rules("it", empty, host="a.test", path="/?v=2", pools={GREEN: barred})
    assert found.sentence.startswith("sg-1 does not admit sg-2, so the targets of green time out")
    assert found.fix == "add a rule (by `aws ec2`)"


def test_weights_of_0_alone_are_said_to_lead_nowhere() -> None:
    found = met("/", default=Forward(pools=((BLUE, 0),)))
    assert "every target group has the weight 0" in found.sentence


def test_a_load_balancer_is_called_by_its_name() -> None:
    assert balancer_name(ROUTE) == "shop"
    assert balancer_name(replace(ROUTE, owner="lb:classic")) == "classic"


def test_a_classic_load_balancer_is_named_and_its_own_command_is_told() -> None:
    route = replace(
        ROUTE,
        owner=f"lb:{ARN}loadbalancer/httpd",
        rules=(),
        default=Forward(pools=(("httpd:3245", 1),)),
        pools=(Pool(name="httpd:3245"),),
    )
    assert balancer_name(route) == "httpd"
    found = diagnose_rules("it", route, host="", path="/")
    assert found.verdict is Verdict.BROKEN
    assert found.sentence.startswith("no target of httpd:3245 takes requests: it has none")
    assert "aws elb register-instances-with-load-balancer" in found.fix
