"""Balancing: load balancers at work. It tells the loop which Routes to apply, and the planner how its instances stand as targets.

Level-triggered like everything else: what is served follows from what is stored, what runs, and what the checks
say. Targets that are instances of Apps are never stored; they follow from the Apps.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

from portway.controller.balancing.barring import Barring
from portway.controller.balancing.checker import AdmittedChecker, TargetChecker
from portway.controller.balancing.left import LeftTargets
from portway.controller.balancing.registry import Balancer, Registry
from portway.controller.balancing.shared import SharedListeners
from portway.controller.clock import Clock
from portway.controller.health.probes import Checker, Prober, ProbeTarget
from portway.controller.network.addresses import LoadBalancerAddresses
from portway.controller.world import World, app_of
from portway.core.aws_names import AwsNames
from portway.core.balancing.attributes import deregistration_delay_s
from portway.core.balancing.classic import ClassicBalancer
from portway.core.balancing.classic_serving import classic_routes, state_of_instance
from portway.core.balancing.model import (
    OWNER_PREFIX,
    TargetGroup,
    health_check,
    is_classic,
)
from portway.core.balancing.serving import Standing, routes_of
from portway.core.balancing.targets import (
    Member,
    TargetState,
    check_number,
    members_by_hand,
    members_of_app,
    overall,
    state_of,
)
from portway.core.errors import BalancerError, StoreError
from portway.core.health import Health, HealthStatus
from portway.core.instance import Phase
from portway.core.network.defaults import ZONES
from portway.core.placement import NodeView
from portway.core.plan import ApplyRoutes
from portway.core.pooled import SHARED, bound_groups, instance_of
from portway.core.routes import EndpointState, Route, RouteKey, ServedPool, ServedRoute
from portway.core.stack import Certificate
from portway.core.state import AppState
from portway.store.base import Documents

_CERTIFICATES = {"acm": "aws/acm/certificate", "iam": "aws/iam/server-certificate"}
REFUSED_AGAIN_MS = 2000


class Place(Protocol):
    """Where a load balancer answers."""

    @property
    def address(self) -> str: ...
    @property
    def dns_name(self) -> str: ...


class Addresses(Protocol):
    """Gives each load balancer an address of its own, and a name that leads there."""

    async def assign(self, arn: str, name: str, *, internal: bool = False) -> Place: ...
    async def release(self, arn: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What came of looking at one load balancer."""

    actions: tuple[ApplyRoutes, ...] = ()
    wake_at_ms: int | None = None


class Balancing:
    """`touch` has the loop look at Apps and load balancers; `checker` asks instead of the network."""

    def __init__(
        self,
        world: World,
        documents: Documents,
        clock: Clock,
        *,
        addresses: Addresses | None = None,
        touch: Callable[..., None],
        checker: Checker | None = None,
    ) -> None:
        self.registry = Registry(documents)
        self._left = LeftTargets(documents)
        self.addresses = addresses or LoadBalancerAddresses(
            documents, home_id="", region="us-east-1", network="127.64.0.0/16", hosts=None
        )
        self.health: dict[str, Health] = {}
        self.region = "us-east-1"
        self.serve_certificates: Callable[[], Awaitable[None]] = _nothing
        self._barring = Barring(world, documents, clock, lambda: self.region)
        self._world = world
        self._documents = documents
        self._clock = clock
        self._touch = touch
        self._members: dict[str, tuple[str, Member]] = {}  # by key: the group, and who is checked
        self._first: dict[str, int] = {}  # by key: since when it is checked
        self._proven: set[str] = set()  # keys of those that the balancer served when we came
        self._probed: set[str] = set()  # the groups that are checked
        self._told: dict[str, tuple[Route, ...]] = {}
        self._certificates: dict[str, Certificate] = {}
        self.shared = SharedListeners(world, clock, touch=touch)
        asking = AdmittedChecker(checker or TargetChecker(), self._bar)
        self.prober = Prober(asking, clock, self.health, self._changed)

    async def open(self, serve_certificates: Callable[[], Awaitable[None]]) -> None:
        """Everything that is stored; its certificates are served together with the others."""
        await self.registry.load()
        await self._left.load(self.registry.groups)
        self.shared.read_files()  # or HTTPS would go until somebody does
        await self.load_certificates()
        self.serve_certificates = serve_certificates
        self._touch(*self.owners)

    async def run(self) -> None:
        """Check targets, and look at the files of certificates, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.prober.run())
            group.create_task(self.shared.run(lambda: self.serve_certificates()))

    @property
    def owners(self) -> tuple[str, ...]:
        """The owners of Routes that are load balancers."""
        shared = [self.shared.owner] if self.shared.app_ids else []
        return (*(b.owner for b in self.registry.balancers), *shared)

    @property
    def certificates(self) -> dict[str, Certificate]:
        """Those that listeners name, by ARN or file."""
        return {**self._certificates, **self.shared.certificates}

    @staticmethod
    def is_owner(name: str) -> bool:
        """Whether Routes of this owner are a load balancer's, known or not."""
        return name.startswith(OWNER_PREFIX)

    def touch(self) -> None:
        """Something of a load balancer or group was changed: look at all of them, and at the Apps behind them."""
        self._barring.forget()
        used = {arn for b in self.registry.balancers for arn in self.registry.groups_used_by(b.arn)}
        for arn in self._probed - used:
            self._sync(arn, {})
        self._probed &= used
        apps = {app_id for bound in self._world.members.values() for app_id in bound}
        # One that is gone is still served: what is served is looked at as well.
        gone = [name for name in self._world.served or () if self.is_owner(name)]
        self._touch(*self.owners, *gone, *apps)

    @property
    def nodes(self) -> tuple[NodeView, ...]:
        """The machines that targets of type instance are on."""
        return self._world.nodes

    # Certificates ------------------------------------------------------------------------------------------------

    async def load_certificates(self) -> None:
        """Read the certificates that listeners name, and have them served."""
        found = {arn: await self.find_certificate(arn) for arn in self.registry.certificates}
        self._certificates = {arn: given for arn, given in found.items() if given is not None}
        with suppress(BalancerError):  # the loop tries again
            await self.serve_certificates()

    async def find_certificate(self, arn: str) -> Certificate | None:
        """The certificate of an IAM or ACM ARN, None when there is none."""
        if ":acm:" in arn:
            documents = [await self._documents.get(_CERTIFICATES["acm"], arn)]
        else:
            documents = [*await self._documents.list(_CERTIFICATES["iam"])]
        for document in documents:
            if document is not None and document.body["Arn"] == arn:
                body = document.body
                return Certificate(
                    name=arn,
                    target="",
                    pem=body["Pem"],
                    domains=tuple(body["Domains"]),
                    expires_at_ms=body["Expiration"],
                    fingerprint=body["Fingerprint"],
                )
        return None

    # Targets -----------------------------------------------------------------------------------------------------

    def members(self, group: TargetGroup) -> list[Member]:
        """The targets of a group as they are now."""
        now_ms, world = self._clock.now_ms(), self._world
        names = AwsNames(region="", account_id="", home_id=world.home_id)
        addresses = {names.ec2_instance_id(n.name): n.address for n in world.nodes if n.available}
        found = [*members_by_hand(group, lambda i: addresses.get(i, ""), now_ms=now_ms)]
        for state in self._bound_to(group.arn):
            seen = world.seen(state.app_id) or {}
            found += members_of_app(
                group, state, seen, world.nodes, names.ec2_instance_id, now_ms=now_ms
            )
        found += self._left.members(group.arn, found, now_ms=now_ms)
        return [
            replace(m, was_well=True) if _key(group.arn, m) in self._proven else m for m in found
        ]

    async def forget(self, states: Sequence[AppState]) -> None:
        """These Apps are gone; those of their targets that drain are shown until their delay is over."""
        world, groups = self._world, self.registry.groups.values()
        node_id = AwsNames(region="", account_id="", home_id=world.home_id).ec2_instance_id
        with suppress(StoreError):  # what is only shown stops nothing
            await self._left.keep(states, groups, world.nodes, node_id, now_ms=self._clock.now_ms())
        if any(self.shared.is_behind(state) for state in states):
            self._touch(self.shared.owner)

    def standings(self, group: TargetGroup) -> list[Standing]:
        """Those, and how each stands."""
        members = [(m, self.health.get(_key(group.arn, m))) for m in self.members(group)]
        if (classic := self.registry.classic(group.arn)) is not None:
            zone = f"{self.region}{ZONES[0]}"  # where every machine is
            return [(m, state_of_instance(classic, m, found, zone=zone)) for m, found in members]
        in_use = bool(self.registry.users_of(group.arn))
        return [(m, state_of(group, m, found, in_use=in_use)) for m, found in members]

    def _bound_to(self, group: str) -> list[AppState]:
        apps = self._world.apps
        return [apps[app_id] for app_id in sorted(self._world.members.get(group, ()))]

    def _sync_group(self, group: TargetGroup) -> None:
        """Check those of a group that is in use, from now on."""
        targets: dict[str, ProbeTarget] = {}
        if group.check.enabled:
            check = health_check(group)
            for member in self.members(group):
                if member.is_draining or not member.address:
                    continue
                key = _key(group.arn, member)
                if key not in self._first:
                    self._first[key] = self._clock.now_ms()
                    if member.was_well or self._is_served(group.arn, member):
                        self._proven.add(key)
                self._members[key] = (group.arn, member)
                address, number = member.reached_at(check_number(group, member))
                targets[key] = ProbeTarget(
                    instance_id=key,
                    check=check,
                    address=address,
                    port_number=number,
                    started_at_ms=self._first[key],
                    is_proven=key in self._proven,
                    subject=member.instance_id,
                )
        self._probed.add(group.arn)
        self._sync(group.arn, targets)

    def _sync(self, group: str, targets: Mapping[str, ProbeTarget]) -> None:
        self.prober.sync(group, targets)
        gone = [key for key, (arn, _) in self._members.items() if arn == group and key not in targets]  # fmt: skip
        for key in gone:
            del self._members[key], self._first[key]
            self._proven.discard(key)

    def _is_served(self, group: str, member: Member) -> bool:
        """Whether the balancer sends it connections: then it was well, whoever found that out."""
        of_node = is_classic(group)
        return any(
            endpoint.state is EndpointState.READY
            and (
                endpoint.instance_id == member.endpoint_id
                or (of_node and endpoint.address in member.addresses)
            )
            for _, pool in self._pools(group)
            for endpoint in pool.endpoints
        )

    async def barred(self, group: TargetGroup, member: Member, number: int | None = None) -> str:
        """The rule of a security group or ACL that a load balancer lacks to reach a target; "" when it does reach it.

        `number`: a port of it; None is the one that is checked.
        """
        users = self.registry.users_of(group.arn)
        return await self._barring.rule(group, member, users, number) if users else ""

    async def barred_from(self, app_id: str) -> tuple[str, ...]:
        """The rules that load balancers lack to reach instances of an App, each once."""
        found: dict[str, None] = {}
        for arn, member in [*self._members.values()]:
            group = self.registry.group(arn)
            if group is not None and member.instance_id and app_of(member.instance_id) == app_id:
                # What a classic load balancer checks is one port, what it sends traffic to are several.
                for number in (None, *self.registry.instance_ports(arn)):
                    found[await self.barred(group, member, number)] = None
        return tuple(why for why in found if why)

    async def _bar(self, key: str) -> str:
        known = self._members.get(key)
        group = self.registry.group(known[0]) if known else None
        return await self.barred(group, known[1]) if known and group else ""

    def _changed(self, key: str) -> None:
        """A verdict changed."""
        known = self._members.get(key)
        if known is None:
            return
        arn, member = known
        self._touch(*(b.owner for b in self.registry.users_of(arn)))
        if is_classic(arn):
            self._touch(*(state.app_id for state in self._bound_to(arn)))
        elif member.instance_id:
            self._touch(app_of(member.instance_id))

    # Routes ------------------------------------------------------------------------------------------------------

    def look(self, owner: str) -> Look:
        """The Routes to apply for one load balancer, if the balancer serves something else."""
        served = self._world.served_by(owner)
        balancer = self.registry.balancer(owner.removeprefix(OWNER_PREFIX))
        if served is None or self._world.instances is None or self._world.hidden:
            return Look()  # while nothing is known of what runs, everything stays
        is_shared = owner == self.shared.owner
        routes = self._routes(balancer) if balancer is not None else ()
        routes = self.shared.routes() if is_shared else routes
        wake_at_ms = self._wake_at_ms(balancer) if balancer is not None else None
        applied = self._world.applied.get(owner, ())
        is_known = owner in self._told
        if is_known and applied == routes and _serving(served.values()) == _wanted(routes):
            return Look(wake_at_ms=wake_at_ms)
        if balancer is None and not routes and not served:
            self._told.pop(owner, None)
            return Look()
        self._told[owner] = routes
        again_ms = self._clock.now_ms() + REFUSED_AGAIN_MS
        return Look(
            actions=(ApplyRoutes(app_id=owner, routes=routes),),
            wake_at_ms=min(again_ms, wake_at_ms or again_ms),
        )

    def _routes(self, balancer: Balancer) -> tuple[Route, ...]:
        groups = {
            arn: group
            for arn in self.registry.groups_used_by(balancer.arn)
            if (group := self.registry.group(arn)) is not None
        }
        for group in groups.values():
            self._sync_group(group)
        targets = {arn: self.standings(group) for arn, group in groups.items()}
        if isinstance(balancer, ClassicBalancer):
            return classic_routes(balancer, targets[balancer.name])
        return routes_of(balancer, self.registry.served(balancer.arn), groups, targets)

    def _wake_at_ms(self, balancer: Balancer) -> int | None:
        """When the next target has drained."""
        ends = [
            member.draining_until_ms
            for arn in self.registry.groups_used_by(balancer.arn)
            if (group := self.registry.group(arn)) is not None
            for member in self.members(group)
            if member.draining_until_ms is not None
        ]
        return min(ends, default=None)

    def refusal(self, balancer: Balancer) -> str:
        """Why the balancer does not serve one of its listeners, "" when it does."""
        return self._world.route_errors.get(balancer.owner, "")

    # What the planner of an App is told --------------------------------------------------------------------------

    def owners_of(self, state: AppState) -> frozenset[str]:
        """The load balancers that lead to an App's instances."""
        bound = bound_groups(state)
        owners = [b.owner for arn in bound for b in self.registry.users_of(arn)]
        return frozenset([*owners, self.shared.owner] if SHARED in bound else owners)

    def apps_of(self, owner: str) -> list[str]:
        """The Apps behind a load balancer; of an App, the shared listeners that it is behind."""
        if owner == self.shared.owner:
            return self.shared.app_ids
        if not self.is_owner(owner):
            is_behind = owner in self._world.members.get(SHARED, ())
            return [self.shared.owner] if is_behind else []
        used = self.registry.groups_used_by(owner.removeprefix(OWNER_PREFIX))
        return sorted({app_id for group in used for app_id in self._world.members.get(group, ())})

    def pooled(self, state: AppState) -> dict[str, tuple[tuple[RouteKey, ServedPool], ...]]:
        """The pools of the App's groups as they are served, by name; those of groups in use."""
        found: dict[str, tuple[tuple[RouteKey, ServedPool], ...]] = {}
        for arn in bound_groups(state):
            if self.registry.users_of(arn):
                found |= dict.fromkeys(self.registry.pool_names(arn), ())
                for key, pool in self._pools(arn):
                    found[pool.name] = (*found.get(pool.name, ()), (key, pool))
        return found | self.shared.pooled(state)

    def _pools(self, group: str) -> Iterable[tuple[RouteKey, ServedPool]]:
        of_ports = f"{group}:" if is_classic(group) else ""
        for balancer in self.registry.users_of(group):
            for key, route in (self._world.served_by(balancer.owner) or {}).items():
                for pool in route.pools:
                    if pool.name == group or (of_ports and pool.name.startswith(of_ports)):
                        yield key, pool

    def drain_timeout_s(self, state: AppState) -> float | None:
        """How long an instance of the App may drain: the longest delay of its groups, None without any."""
        groups = [self.registry.group(arn) for arn in bound_groups(state)]
        return max(
            (float(deregistration_delay_s(g)) for g in groups if g is not None), default=None
        )

    def verdicts(self, state: AppState, own: Mapping[str, Health]) -> dict[str, Health]:
        """The health of the App's instances: well when their own checks and all their groups in use say so."""
        found: dict[str, Health] = {}
        for arn in bound_groups(state):
            group = self.registry.group(arn)
            if group is None or not self.registry.users_of(arn) or not group.check.enabled:
                continue
            for member, health in self.standings(group):
                record = self._world.find_record(member.instance_id)
                if record is None or app_of(record.id) != state.app_id or record.phase >= Phase.DRAINING:  # fmt: skip
                    continue
                instance_id = instance_of(member.endpoint_id)
                verdict = self.health.get(_key(arn, member))
                if verdict is None:
                    is_well = health.state is TargetState.HEALTHY
                    status = HealthStatus.PASSING if is_well else HealthStatus.UNKNOWN
                    verdict = Health(status=status, detail=health.description)
                before = found.get(instance_id) or own.get(instance_id) or Health()
                found[instance_id] = overall([before, verdict])
        return found


async def _nothing() -> None:
    """Nobody serves certificates yet."""


def _key(group: str, member: Member) -> str:
    """Of a classic load balancer the instance is checked, whatever runs there."""
    return f"{group} {member.id if is_classic(group) else member.endpoint_id}"


_Endpoints = frozenset[tuple[object, ...]]


def _wanted(routes: tuple[Route, ...]) -> dict[RouteKey, dict[str, _Endpoints]]:
    return {
        route.key: {
            pool.name: frozenset(
                (e.instance_id, e.address, e.port_number, e.state) for e in pool.endpoints
            )
            for pool in route.pools
        }
        for route in routes
    }


def _serving(routes: Iterable[ServedRoute]) -> dict[RouteKey, dict[str, _Endpoints]]:
    return {
        route.key: {
            pool.name: frozenset(
                (e.instance_id, e.address, e.port_number, e.state) for e in pool.endpoints
            )
            for pool in route.pools
        }
        for route in routes
    }
