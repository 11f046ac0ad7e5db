"""Endpoint and Route: where a live instance answers, and the listener in front of it. (Types and the pure projection.)"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from portway.core.app import ListenerSpec
from portway.core.rules import Action, PoolSpec, Rule, RuledListener
from portway.core.traffic import Traffic


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RouteKey:
    """A listener: `address` "" = the balancer's default for public listeners, else the address asked for."""

    address: str
    service_port: int


class EndpointState(StrEnum):
    """READY gets new connections; DRAINING keeps those it has and gets no new ones."""

    READY = "ready"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One target of a route. `port_number` is the container_port or the host_port, whichever answers at `address`."""

    instance_id: str
    address: str
    port_number: int
    state: EndpointState = EndpointState.READY


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Endpoints that rules lead to (a target group). The same pool may be behind several routes."""

    name: str
    spec: PoolSpec = PoolSpec()
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A listener and the endpoints behind it; everything a balancer needs to know, nothing else.

    `certificates` are names of certificates in the balancer's certificate set; empty = no TLS.
    `label` is for people (the App's id and port), `owner` the App id.
    """

    key: RouteKey
    owner: str
    port_name: str
    listener: ListenerSpec
    certificates: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    rules: tuple[Rule, ...] = ()
    default: Action | None = (
        None  # with it the route has pools and rules, and no endpoints of its own
    )
    pools: tuple[Pool, ...] = ()
    ruled: RuledListener = RuledListener()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedEndpoint:
    """One endpoint as the balancer really has it (read back, never assumed)."""

    instance_id: str
    address: str
    port_number: int
    state: EndpointState
    connections: int  # open now, queued ones included
    traffic: Traffic = Traffic()  # its own, since it is behind this listener


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedPool:
    """One pool of a route as the balancer really serves it."""

    name: str
    endpoints: tuple[ServedEndpoint, ...] = ()
    traffic: Traffic = Traffic()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRoute:
    """One route as the balancer really serves it. Counters are since the listener exists."""

    key: RouteKey
    owner: str
    port_name: str
    endpoints: tuple[ServedEndpoint, ...] = ()
    requests: int = 0
    failed: int = 0
    traffic: Traffic = Traffic()
    pools: tuple[ServedPool, ...] = ()
