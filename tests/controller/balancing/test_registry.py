"""What is stored of load balancers is known, and what belongs to what."""

from __future__ import annotations

from dataclasses import replace

from portway.controller.balancing.registry import Registry
from portway.core.balancing.model import ListenerRule
from portway.core.rules import Condition, Forward, Part
from portway.store.documents import MemoryDocuments
from tests.core.balancing.classics import CLASSIC
from tests.core.balancing.values import BALANCER, GROUP, LISTENER

RULE = ListenerRule(
    arn="arn:rule",
    listener=LISTENER.arn,
    priority=5,
    conditions=(Condition(part=Part.PATH, values=("/x*",)),),
    action=Forward(pools=(("arn:other", 1),)),
)
OTHER = replace(GROUP, arn="arn:other", name="other")


async def filled(documents: MemoryDocuments) -> Registry:
    registry = Registry(documents)
    await registry.put(BALANCER, GROUP, OTHER, LISTENER, RULE)
    return registry


async def test_another_registry_on_the_same_store_knows_the_same():
    documents = MemoryDocuments()
    one, other = await filled(documents), Registry(documents)
    await other.load()
    assert (other.load_balancers, other.groups) == (one.load_balancers, one.groups)
    assert (other.listeners, other.rules) == (one.listeners, one.rules)


async def test_a_group_is_used_by_whatever_leads_to_it():
    registry = await filled(MemoryDocuments())
    assert registry.groups_used_by(BALANCER.arn) == {"arn:tg", "arn:other"}
    assert registry.users_of("arn:other") == (BALANCER,)
    assert registry.users_of("arn:nobody") == ()
    [served] = registry.served(BALANCER.arn)
    assert served.rules == (RULE,)


async def test_rules_are_in_the_order_they_are_tried():
    registry = await filled(MemoryDocuments())
    await registry.put(replace(RULE, arn="arn:first", priority=1))
    assert [rule.priority for rule in registry.rules_of(LISTENER.arn)] == [1, 5]


async def test_what_belongs_to_a_load_balancer_goes_with_it():
    documents = MemoryDocuments()
    registry = await filled(documents)
    await registry.delete(BALANCER)
    assert (registry.listeners, registry.rules) == ({}, {})
    assert set(registry.groups) == {"arn:tg", "arn:other"}
    assert await documents.list("elbv2.rule") == ()


async def test_what_a_crash_left_of_a_deleted_one_is_deleted_when_it_is_loaded():
    documents = MemoryDocuments()
    await filled(documents)
    await documents.delete("elbv2.load-balancer", BALANCER.arn)
    after = Registry(documents)
    await after.load()
    assert (after.listeners, after.rules) == ({}, {})
    assert await documents.list("elbv2.listener") == ()


async def test_a_certificate_is_used_by_the_load_balancer_whose_listener_serves_it():
    registry = await filled(MemoryDocuments())
    await registry.put(replace(LISTENER, certificates=("arn:c",)))
    assert registry.uses_certificate("arn:c") == [BALANCER.arn]
    assert registry.uses_certificate("arn:d") == []


async def test_a_classic_load_balancer_is_a_group_and_its_own_user():
    documents = MemoryDocuments()
    registry, other = await filled(documents), Registry(documents)
    await registry.put(CLASSIC)
    await other.load()
    assert other.classics == {CLASSIC.arn: CLASSIC}
    assert registry.balancers == (BALANCER, CLASSIC)
    assert (registry.balancer(CLASSIC.arn), registry.classic("httpd")) == (CLASSIC, CLASSIC)
    assert registry.users_of("httpd") == (CLASSIC,)
    assert registry.groups_used_by(CLASSIC.arn) == {"httpd"}
    found = registry.group("httpd")
    assert found is not None
    assert found.check.number_text == "3245"
    assert registry.group(GROUP.arn) == GROUP
    assert registry.group("none") is None
    assert registry.pool_names("httpd") == ("httpd:3245", "httpd:56839")
    assert registry.pool_names(GROUP.arn) == (GROUP.arn,)
    [certificate] = registry.certificates
    assert registry.uses_certificate(certificate) == [CLASSIC.arn]
    await registry.delete(CLASSIC)
    assert registry.classic("httpd") is None
