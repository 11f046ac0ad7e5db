"""Registry: every load balancer, target group, listener and rule, in memory as in the store; stored before it is known."""

from __future__ import annotations

import asyncio
from typing import Any

from portway.core.balancing.classic import ClassicBalancer, group_of, pool_name
from portway.core.balancing.model import (
    Listener,
    ListenerRule,
    LoadBalancer,
    TargetGroup,
    groups_of,
    is_classic,
)
from portway.core.balancing.serving import ServedListener
from portway.store.base import Documents
from portway.store.codec import from_body, to_body

Kept = LoadBalancer | TargetGroup | Listener | ListenerRule | ClassicBalancer
Balancer = LoadBalancer | ClassicBalancer

_KINDS: dict[type[Any], str] = {
    LoadBalancer: "elbv2.load-balancer",
    TargetGroup: "elbv2.target-group",
    Listener: "elbv2.listener",
    ListenerRule: "elbv2.rule",
    ClassicBalancer: "elb.load-balancer",
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
        self.classics: dict[str, ClassicBalancer] = {}
        self._users: dict[str, frozenset[str]] | None = None  # of groups; None: to be found anew

    async def load(self) -> None:
        """Everything that is stored; what a crash left of something deleted is deleted too."""
        self._users = None
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
            self._users = None

    async def delete(self, *values: Kept) -> None:
        """Forget each; what belongs to a load balancer or listener goes with it."""
        for value in values:
            await self._documents.delete(_KINDS[type(value)], value.arn)
            self._of(type(value)).pop(value.arn, None)
            self._users = None
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
            ClassicBalancer: self.classics,
        }
        return kept[kind]

    @property
    def balancers(self) -> tuple[Balancer, ...]:
        """Of every kind."""
        return (*self.load_balancers.values(), *self.classics.values())

    def balancer(self, arn: str) -> Balancer | None:
        """One of any kind."""
        return self.load_balancers.get(arn) or self.classics.get(arn)

    def classic(self, name: str) -> ClassicBalancer | None:
        """A classic load balancer, which people call by its name."""
        if not is_classic(name):
            return None  # most questions are about target groups
        return next((one for one in self.classics.values() if one.name == name), None)

    def group(self, key: str) -> TargetGroup | None:
        """A target group by its ARN, or the instances of a classic load balancer by its name."""
        found = self.groups.get(key)
        if found is None and (classic := self.classic(key)) is not None:
            return group_of(classic)
        return found

    def pool_names(self, group: str) -> tuple[str, ...]:
        """The pools that a group has behind listeners: itself; of a classic load balancer one for each instance port."""
        if self.classic(group) is None:
            return (group,)
        return tuple(pool_name(group, number) for number in self.instance_ports(group))

    def instance_ports(self, group: str) -> tuple[int, ...]:
        """The ports of its instances that a classic load balancer leads to, each once; none of a target group."""
        classic = self.classic(group)
        return tuple(dict.fromkeys(x.instance_port for x in classic.listeners)) if classic else ()

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
        """The target groups that its listeners and rules lead to; a classic load balancer is its own."""
        if (classic := self.classics.get(load_balancer)) is not None:
            return frozenset((classic.name,))
        return frozenset(
            arn
            for served in self.served(load_balancer)
            for action in (served.listener.action, *(rule.action for rule in served.rules))
            for arn in groups_of(action)
        )

    def users_of(self, group: str) -> tuple[Balancer, ...]:
        """The load balancers that lead to a group."""
        if (classic := self.classic(group)) is not None:
            return (classic,)
        if self._users is None:
            self._users = self._all_users()
        found = self._users.get(group, frozenset())
        return tuple(self.load_balancers[arn] for arn in sorted(found & self.load_balancers.keys()))

    def _all_users(self) -> dict[str, frozenset[str]]:
        """By group, the load balancers whose listeners or rules lead there."""
        actions = [(x.load_balancer, x.action) for x in self.listeners.values()]
        for rule in self.rules.values():
            listener = self.listeners.get(rule.listener)
            if listener is not None:
                actions.append((listener.load_balancer, rule.action))
        found: dict[str, set[str]] = {}
        for load_balancer, action in actions:
            for group in groups_of(action):
                found.setdefault(group, set()).add(load_balancer)
        return {group: frozenset(users) for group, users in found.items()}

    def uses_certificate(self, arn: str) -> list[str]:
        """The load balancers whose listeners serve a certificate."""
        found = {x.load_balancer for x in self.listeners.values() if arn in x.certificates}
        for classic in self.classics.values():
            if any(listener.certificate == arn for listener in classic.listeners):
                found.add(classic.arn)
        return sorted(found)

    @property
    def certificates(self) -> frozenset[str]:
        """The ARNs of all certificates that listeners serve."""
        of_classics = (x.certificate for one in self.classics.values() for x in one.listeners)
        others = (arn for x in self.listeners.values() for arn in x.certificates)
        return frozenset(arn for arn in (*of_classics, *others) if arn)
