"""The map with load balancers: every rule, its target group, every target and how it stands."""

from __future__ import annotations

from dataclasses import replace

from portway.controller.balancing.shown import balanced_urls
from portway.core.balancing.classic import ClassicBalancer, ClassicListener
from portway.core.balancing.model import ListenerRule, Target
from portway.core.rules import Condition, Forward, Part, Respond
from tests.controller.balancing import test_balancing
from tests.controller.balancing.test_balancing import (
    registered,
    running,
)
from tests.controller.inprocess import Portway
from tests.core.balancing.values import BALANCER, GROUP, LISTENER

VIRTUAL_TIME = True
portway = test_balancing.portway  # a fixture

OTHER = replace(
    GROUP, arn="arn:other", name="other", target_type="ip", targets=(Target(id="127.0.0.9", number=81),)
)  # fmt: skip
RULE = ListenerRule(
    arn="arn:rule",
    listener=LISTENER.arn,
    priority=5,
    conditions=(Condition(part=Part.PATH, values=("/x*",)),),
    action=Forward(pools=((GROUP.arn, 3), (OTHER.arn, 1))),
)


async def test_each_rule_leads_to_its_groups_and_these_to_targets(portway: Portway) -> None:
    named = replace(BALANCER, dns_name="web.elb.test")
    await registered(portway, named, OTHER, RULE)
    await running(portway)
    routes = [r for r in await portway.operations.map("c") if r.load_balancer]
    told = [(r.rule, r.when, r.target_group, r.weight) for r in routes]
    assert told == [
        ("5", "path /x*", "tg", 3),
        ("5", "path /x*", "other", 1),
        ("default", "", "tg", None),
    ]
    assert {(r.url, r.address, r.service_port) for r in routes} == {
        ("http://web.elb.test/", "127.64.0.1", 80)
    }
    assert [(r.stack, r.app) for r in routes] == [("c", "web"), ("", ""), ("c", "web")]
    first = routes[0].endpoints[0]
    assert (first.instance, first.slot_name, first.container_port) == ("web.1.1", "web.1", 80)
    assert (first.state, first.reason, first.target[:2]) == ("healthy", "", "i-")
    (by_hand,) = routes[1].endpoints
    assert (by_hand.target_address, by_hand.target_port, by_hand.instance) == ("127.0.0.9", 81, "")


async def test_only_load_balancers_that_lead_to_a_stack_are_on_its_map(portway: Portway) -> None:
    await running(portway)
    await registered(portway, replace(LISTENER, action=Respond(status=404)))
    assert [r.load_balancer for r in await portway.operations.map("c")] == [""]
    (answers,) = [r for r in await portway.operations.map() if r.load_balancer]
    assert (answers.note, answers.target_group, answers.endpoints) == ("answers 404 itself", "", ())


async def test_a_stack_is_reached_at_its_public_load_balancers(portway: Portway) -> None:
    await running(portway)
    assert (await portway.operations.stack("c")).urls == ("http://127.64.0.1/",)
    assert (await portway.operations.stacks())[0].urls == ("http://127.64.0.1/",)
    await registered(portway, replace(BALANCER, scheme="internal"))
    assert balanced_urls(portway.world, portway.controller.balancing) == {}


async def test_a_classic_one_leads_to_the_ports_of_its_instances(portway: Portway) -> None:
    listener = ClassicListener(protocol="TCP", number=99, instance_protocol="TCP", instance_port=88)
    classic = ClassicBalancer(
        arn="arn:classic",
        name="old",
        address="127.64.0.2",
        listeners=(listener,),
        instances=(Target(id="i-1", number=0),),
    )
    await registered(portway, classic)
    (shown,) = [r for r in await portway.operations.map() if r.load_balancer == "old"]
    assert (shown.url, shown.rule, shown.target_group) == ("tcp://127.64.0.2:99", "default", "old")
    (target,) = shown.endpoints
    assert (target.target, target.host_port) == ("i-1", 88)
