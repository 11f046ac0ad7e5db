"""Lead: one rule of a listener of a load balancer, of whatever kind, and the targets it leads to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from portway.controller.balancing.registry import Balancer, Registry
from portway.core.balancing.classic import ClassicBalancer
from portway.core.balancing.model import LoadBalancer
from portway.core.balancing.told import action_text, conditions_text, listener_url
from portway.core.routes import RouteKey
from portway.core.rules import Action, Condition, Forward

DEFAULT_RULE = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """`group`: its key in the registry, "" where the listener answers itself, as `note` says. `weight` 0: nothing goes there.

    `shares`: the rule divides between several groups. `instance_port`: of a classic load balancer.
    """

    balancer: Balancer
    protocol: str
    number: int
    rule: str = DEFAULT_RULE
    when: str = ""
    note: str = ""
    group: str = ""
    weight: int = 1
    shares: bool = False
    instance_port: int = 0

    @property
    def key(self) -> RouteKey:
        """Which listener it is."""
        return RouteKey(address=self.balancer.address, service_port=self.number)

    @property
    def url(self) -> str:
        """How clients write the listener."""
        return listener_url(self.host, self.protocol, self.number)

    @property
    def host(self) -> str:
        """What the load balancer is called, or else its address."""
        return self.balancer.dns_name or self.balancer.address


def leads_of(registry: Registry, balancer: Balancer) -> Iterator[Lead]:
    """Listener by listener, the rules in the order they are tried, the default action last."""
    if isinstance(balancer, ClassicBalancer):
        for one in balancer.listeners:
            yield Lead(
                balancer=balancer,
                protocol=one.protocol,
                number=one.number,
                group=balancer.name,
                instance_port=one.instance_port,
            )
        return
    for served in registry.served(balancer.arn):
        listener = served.listener
        for rule in served.rules:
            where = (listener.protocol, listener.number, str(rule.priority))
            yield from _leads(balancer, where, rule.conditions, rule.action)
        where = (listener.protocol, listener.number, DEFAULT_RULE)
        yield from _leads(balancer, where, (), listener.action)


def _leads(
    balancer: LoadBalancer,
    where: tuple[str, int, str],
    conditions: tuple[Condition, ...],
    action: Action,
) -> Iterator[Lead]:
    protocol, number, rule = where
    pools = action.pools if isinstance(action, Forward) else (("", 0),)
    for arn, weight in pools:
        yield Lead(
            balancer=balancer,
            protocol=protocol,
            number=number,
            rule=rule,
            when=conditions_text(conditions),
            note=action_text(action),
            group=arn,
            weight=weight,
            shares=len(pools) > 1,
        )
