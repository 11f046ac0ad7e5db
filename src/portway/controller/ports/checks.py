"""Ports of a release that cannot be had are refused before anything starts: who has them, and what to do.

What the planner would wait for without end (another program's port, a range too small) is a sentence at
once; what solves itself within seconds (a port cooling down, our own predecessor) is left to the planner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from portway.config import Config
from portway.controller.loop import Controller
from portway.controller.ports.leases import Leases
from portway.controller.promotion import wanted_count
from portway.controller.world import World
from portway.core.app import App, Exposure, PortSpec, Protocol
from portway.core.errors import RequestError
from portway.core.ports import ANY_ADDRESS, PortRange
from portway.core.routes import RouteKey
from portway.core.routing import is_routed, joint_key, route_keys
from portway.core.state import AppState

LOOKS = 5
LOOK_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What ports are checked against. `public_addresses`: where listeners are that name none, "" = everywhere."""

    world: World
    leases: Leases
    host_ports: PortRange
    public_addresses: Sequence[str]
    publish_address: str


class ChecksPorts:
    """The part of PortwayOperations that refuses ports."""

    controller: Controller
    config: Config

    async def _check_ports(self, stack: str, apps: Sequence[App]) -> None:
        """Asked a few times before it is refused: what is just closing has let go in a moment."""
        if self.controller.world.served is None:
            await self.controller.observer.refresh_served()
        for _ in range(LOOKS - 1):
            with suppress(RequestError):
                self._check_ports_now(stack, apps)
                return
            await asyncio.sleep(LOOK_AGAIN_S)
        self._check_ports_now(stack, apps)

    def _check_ports_now(self, stack: str, apps: Sequence[App]) -> None:
        check_ports(self._ground(), stack, apps, _wanted_counts(self.controller.world, stack, apps))

    def _check_room(self, stack: str, counts: Mapping[str, int]) -> None:
        """Refuse a scaling that asks for more host ports than there are; one to fewer is never refused."""
        states = [s for s in self.controller.world.of_stack(stack) if s.target is not None]
        now = {s.app_id.rpartition("/")[2]: s.count for s in states}
        growing = {name for name, count in counts.items() if count > now.get(name, 0)}
        if growing:
            apps = [s.target.app for s in states if s.target is not None]
            wanted = {**now, **counts}
            check_fixed_counts(self._ground(), [a for a in apps if a.name in growing], wanted)
            check_room(self._ground(), stack, apps, wanted)

    def _ground(self) -> Ground:
        public = [a.strip() for a in self.config.public_address.split(",") if a.strip()]
        return Ground(
            world=self.controller.world,
            leases=self.controller.leases,
            host_ports=self.config.host_ports,
            public_addresses=public or [""],
            publish_address=self.config.publish_address,
        )


def _wanted_counts(world: World, stack: str, apps: Iterable[App]) -> dict[str, int]:
    """How many instances each App is to have once the release runs."""
    known = world.stacks.get(stack)
    scales = dict(known.scales) if known else {}
    return {
        app.name: wanted_count(
            app, world.apps.get(app.id) or AppState(app_id=app.id, target=None), scales
        )
        for app in apps
    }


def check_ports(ground: Ground, stack: str, apps: Sequence[App], counts: Mapping[str, int]) -> None:
    """RequestError (409) for the first port that another program or stack has, or that is not there at all."""
    for app in apps:
        for spec in app.ports:
            if (host_port := app.fixed_host_port(spec)) is not None:
                _check_fixed(ground, app, spec, host_port)
            if is_routed(spec):
                _check_listeners(ground, app, spec)
    check_fixed_counts(ground, apps, counts)
    check_room(ground, stack, apps, counts)


def check_fixed_counts(ground: Ground, apps: Sequence[App], counts: Mapping[str, int]) -> None:
    """RequestError (409) where more instances are wanted than there are nodes for their fixed host port."""
    nodes = sum(1 for node in ground.world.nodes if node.available)
    for app in apps:
        fixed = [spec for spec in app.ports if app.fixed_host_port(spec) is not None]
        if fixed and nodes and counts[app.name] > nodes:
            raise RequestError(
                f"{app.name} asks for {counts[app.name]} instances, and its host port "
                f"{_written(fixed[0], app.fixed_host_port(fixed[0]))} is fixed: it serves one instance on each machine",
                hint="Ask for one instance, or let the balancer listen on the port "
                "(a short entry LISTENER:PORT): it serves any number.",
                http_status=409,
            )


def check_room(ground: Ground, stack: str, apps: Sequence[App], counts: Mapping[str, int]) -> None:
    """RequestError (409) where more instances are wanted than there are host ports for."""
    for protocol in Protocol:
        needed = sum(counts[app.name] * _leased_ports(app, protocol) for app in apps)
        total, others = _room(ground, stack, protocol)
        if needed > total - others:
            taken = f", {others} of them leased by other stacks" if others else ""
            raise RequestError(
                f"{stack} needs {needed} host ports for its instances, and the range "
                f"{ground.host_ports} has {total}{taken}",
                hint="Ask for fewer instances, or start the server with a wider range: "
                "portway server stop; portway server start --host-ports FIRST-LAST",
                http_status=409,
            )


def _leased_ports(app: App, protocol: Protocol) -> int:
    return sum(
        1
        for spec in app.ports
        if spec.protocol is protocol
        and spec.leased
        and not spec.ephemeral
        and app.fixed_host_port(spec) is None
    )


def _room(ground: Ground, stack: str, protocol: Protocol) -> tuple[int, int]:
    """The host ports of all nodes, and how many of them other stacks have."""
    pool, nodes = ground.leases.host_pool, [n for n in ground.world.nodes if n.available]
    counts = [pool.counts(node.name, protocol, now_ms=0) for node in nodes]
    total = sum(count.total - count.reserved for count in counts)
    others = sum(
        1
        for lease, owner in pool.leases()
        if lease.protocol is protocol
        and lease.host_port in ground.host_ports
        and owner.rpartition("/")[0] != stack
    )
    span = ground.host_ports.last - ground.host_ports.first + 1
    return (total if nodes else span), others


def _check_fixed(ground: Ground, app: App, spec: PortSpec, host_port: int) -> None:
    what = f"the host port {_written(spec, host_port)}"
    address = _published_at(ground, spec)
    for node in ground.world.nodes:
        owner = ground.leases.host_pool.owner_of(
            node.name, spec.protocol, host_port, address=address
        )
        if owner is not None:
            if owner.rpartition("/")[0] != app.stack:
                raise _taken(app, what, f"{owner} has it already")
            return
    refusal = ground.leases.bind_refusal(spec.protocol, address, host_port)
    if refusal:
        raise _taken(app, what, refusal)


def _published_at(ground: Ground, spec: PortSpec) -> str:
    if spec.exposure is Exposure.HOST:
        return spec.address or ANY_ADDRESS
    return ground.publish_address


def _check_listeners(ground: Ground, app: App, spec: PortSpec) -> None:
    for key, _ in route_keys(spec, {}):
        _check_siblings(ground.world, app, key)
    served = ground.world.served
    if served is None:
        return  # what is ours cannot be told from what is not
    ours = {key.service_port for routes in served.values() for key in routes}
    joint = joint_key(spec)
    for key in (*(key for key, _ in route_keys(spec, {})), *([joint] if joint else [])):
        if key.service_port in ours:
            continue
        for address in [key.address] if key.address else ground.public_addresses:
            refusal = ground.leases.bind_refusal(Protocol.TCP, address, key.service_port)
            if refusal:
                raise _taken(app, f"to listen on {key.service_port}", refusal)


def _check_siblings(world: World, app: App, key: RouteKey) -> None:
    """A listener passes from one App of a stack to another only once the first is gone from it."""
    for other in world.of_stack(app.stack):
        if other.app_id == app.id or other.target is None or not other.live:
            continue
        specs = filter(is_routed, other.target.app.ports)
        has = [k for spec in specs for k, _ in route_keys(spec, other.service_ports)]
        if key in has:
            name = other.target.app.name
            raise RequestError(
                f"{app.name} wants to listen on {key.service_port}, which {name} of the release "
                f"that runs still serves",
                hint=f"Let {name} go first: deploy without that port in either, then with it in "
                f"{app.name} (nobody answers there in between); or keep the name {name}.",
                http_status=409,
            )


def _written(spec: PortSpec, host_port: int | None) -> str:
    return f"{host_port}{'/udp' if spec.protocol is Protocol.UDP else ''}"


def _taken(app: App, what: str, why: str) -> RequestError:
    if "portway itself" in why:
        hint = (
            "That is portway's own API: move it (portway server stop; "
            "portway server start --listen 127.0.0.1:PORT), or change the left number of the port."
        )
    elif "still closing" in why:
        hint = (
            "It is gone within a minute: deploy again then. A left number outside the range of "
            "outgoing connections (net.ipv4.ip_local_port_range) never meets one."
        )
    elif "held by" in why or "has it" in why:
        hint = "Stop what has it, or change the left number of the port in the manifest."
    elif "permission" in why:
        hint = "Allow it in one of these ways, or choose a left number of 1024 or more."
    else:
        hint = "Correct the address, or leave it out: the left number alone is every address."
    return RequestError(f"{app.name} wants {what}, but {why}", hint=hint, http_status=409)
