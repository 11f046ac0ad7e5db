"""Registry: every load balancer, target group, listener and rule, in memory as in the store; stored before it is known."""

from __future__ import annotations

import asyncio
from typing import Any

from portway.core.balancing.model import (
    Listener,
    ListenerRule,
    LoadBalancer,
    TargetGroup,
    groups_of,
)
from portway.core.balancing.serving import ServedListener
from portway.store.base import Documents
from portway.store.codec import from_body, to_body

Kept = LoadBalancer | TargetGroup | Listener | ListenerRule

_KINDS: dict[type[Any], str] = {
    LoadBalancer: "elbv2.load-balancer",
    TargetGroup: "elbv2.target-group",
    Listener: "elbv2.listener",
    ListenerRule: "elbv2.rule",
}


class Registry:
    """By ARN. Whoever changes something holds `lock` from the look before to the last save."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.lock = asyncio.Lock()
        self.load_balancers: dict[str, LoadBalancer] = {}
        self.groups: dict[str, TargetGroup] = {}
        self.listeners: dict[str, Listener] = {}
        self.rules: dict[str, ListenerRule] = {}

    async def load(self) -> None:
        """Everything that is stored; what a crash left of something deleted is deleted too."""
        for kind in _KINDS:
            kept = self._of(kind)
            kept.clear()
            for document in await self._documents.list(_KINDS[kind]):
                where = f"{_KINDS[kind]} {document.key}"
                kept[document.key] = from_body(kind, document.body, where=where)
        await self.delete(
            *(x for x in self.listeners.values() if x.load_balancer not in self.load_balancers)
        )
        await self.delete(*(x for x in self.rules.values() if x.listener not in self.listeners))

    async def put(self, *values: Kept) -> None:
        """Store each, new or changed."""
        for value in values:
            await self._documents.put(_KINDS[type(value)], value.arn, to_body(value))
            self._of(type(value))[value.arn] = value

    async def delete(self, *values: Kept) -> None:
        """Forget each; what belongs to a load balancer or listener goes with it."""
        for value in values:
            await self._documents.delete(_KINDS[type(value)], value.arn)
            self._of(type(value)).pop(value.arn, None)
            if isinstance(value, LoadBalancer):
                await self.delete(*self.listeners_of(value.arn))
            elif isinstance(value, Listener):
                await self.delete(*self.rules_of(value.arn))

    def _of(self, kind: type[Any]) -> dict[str, Any]:
        kept: dict[type[Any], dict[str, Any]] = {
            LoadBalancer: self.load_balancers,
            TargetGroup: self.groups,
            Listener: self.listeners,
            ListenerRule: self.rules,
        }
        return kept[kind]

    def listeners_of(self, load_balancer: str) -> list[Listener]:
        """By their ports."""
        found = [x for x in self.listeners.values() if x.load_balancer == load_balancer]
        return sorted(found, key=lambda listener: listener.number)

    def rules_of(self, listener: str) -> list[ListenerRule]:
        """In the order they are tried."""
        found = [x for x in self.rules.values() if x.listener == listener]
        return sorted(found, key=lambda rule: rule.priority)

    def served(self, load_balancer: str) -> list[ServedListener]:
        """The listeners of a load balancer with their rules."""
        return [
            ServedListener(listener=x, rules=tuple(self.rules_of(x.arn)))
            for x in self.listeners_of(load_balancer)
        ]

    def groups_used_by(self, load_balancer: str) -> frozenset[str]:
        """The target groups that its listeners and rules lead to."""
        return frozenset(
            arn
            for served in self.served(load_balancer)
            for action in (served.listener.action, *(rule.action for rule in served.rules))
            for arn in groups_of(action)
        )

    def users_of(self, group: str) -> tuple[LoadBalancer, ...]:
        """The load balancers that lead to a group."""
        listeners = {x.arn: x.load_balancer for x in self.listeners.values()}
        found = {x.load_balancer for x in self.listeners.values() if group in groups_of(x.action)}
        found |= {
            listeners[rule.listener]
            for rule in self.rules.values()
            if group in groups_of(rule.action) and rule.listener in listeners
        }
        return tuple(self.load_balancers[arn] for arn in sorted(found & self.load_balancers.keys()))

    def uses_certificate(self, arn: str) -> list[str]:
        """The load balancers whose listeners serve a certificate."""
        return sorted({x.load_balancer for x in self.listeners.values() if arn in x.certificates})
