"""What leads to the targets of load balancers of every kind."""

from __future__ import annotations

from portway.controller.balancing.leads import leads_of
from portway.controller.balancing.registry import Registry
from portway.core.balancing.classic import ClassicBalancer, ClassicListener
from portway.store.documents import MemoryDocuments
from tests.controller.balancing.test_registry import RULE
from tests.core.balancing.values import BALANCER, GROUP, LISTENER


async def test_rules_come_in_order_and_the_default_action_last() -> None:
    registry = Registry(MemoryDocuments())
    await registry.put(BALANCER, GROUP, LISTENER, RULE)
    found = [(lead.rule, lead.when, lead.group) for lead in leads_of(registry, BALANCER)]
    assert found == [("5", "path /x*", "arn:other"), ("default", "", "arn:tg")]


async def test_each_listener_of_a_classic_load_balancer_leads_to_a_port_of_its_instances() -> None:
    listeners = (
        ClassicListener(protocol="HTTP", number=80, instance_protocol="HTTP", instance_port=8080),
        ClassicListener(protocol="SSL", number=443, instance_protocol="TCP", instance_port=8443),
    )
    classic = ClassicBalancer(arn="arn:c", name="old", dns_name="old.test", listeners=listeners)
    registry = Registry(MemoryDocuments())
    await registry.put(classic)
    found = [(lead.url, lead.group, lead.instance_port) for lead in leads_of(registry, classic)]
    assert found == [("http://old.test/", "old", 8080), ("tls://old.test:443", "old", 8443)]
