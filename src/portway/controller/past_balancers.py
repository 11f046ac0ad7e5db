"""Load balancers as the map of a moment shows them: each listener, and the targets that the balancer confirmed by target group. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from portway.controller.balancing.registry import Balancer
from portway.controller.balancing.shared_shown import NAME as SHARED_NAME
from portway.controller.views import MapEndpoint, MapRoute
from portway.controller.world import app_of, short_id
from portway.core.balancing.model import OWNER_PREFIX
from portway.core.balancing.shared import OWNER as SHARED_OWNER
from portway.core.balancing.told import listener_url
from portway.core.diagnosis_rules import group_name
from portway.core.ownership import Holding, HoldingKind
from portway.core.pooled import instance_of
from portway.core.ports import LOOPBACK

_TLS = ("https", "tls")
NOTE = "behind a load balancer"


def is_of_balancer(holding: Holding) -> bool:
    """Whether a load balancer holds it, not an App."""
    return holding.app_id.startswith(OWNER_PREFIX)


def balanced_apps(holdings: Iterable[Holding]) -> frozenset[str]:
    """The Apps that were behind load balancers."""
    return frozenset(
        app_of(instance_of(h.instance_id))
        for h in holdings
        if h.kind is HoldingKind.ENDPOINT and is_of_balancer(h)
    )


def map_of_balancers_then(
    holdings: Sequence[Holding], known: Mapping[str, Balancer], *, stack: str = ""
) -> tuple[MapRoute, ...]:
    """An entry for each pool of each listener; of a stack those where one of its instances was. `known`: what there still is, by owner."""
    leases = [h for h in holdings if h.kind is HoldingKind.LEASE]
    mine = [h for h in holdings if is_of_balancer(h)]
    listeners = [h for h in mine if h.kind is HoldingKind.LISTENER]
    found: list[MapRoute] = []
    for listener in sorted(listeners, key=lambda h: (_name(h), h.number)):
        behind = [
            h
            for h in mine
            if h.kind is HoldingKind.ENDPOINT
            and (h.app_id, h.number, h.address) == (listener.app_id, listener.number, listener.address)
        ]  # fmt: skip
        for pool in sorted({h.port_name for h in behind}) or [""]:
            endpoints = sorted((h for h in behind if h.port_name == pool), key=lambda h: h.instance_id)  # fmt: skip
            if not stack or any(h.instance_id.startswith(f"{stack}/") for h in endpoints):
                found.append(_route(listener, pool, endpoints, leases, known.get(listener.app_id)))
    return tuple(found)


def _route(
    listener: Holding,
    pool: str,
    endpoints: Sequence[Holding],
    leases: Sequence[Holding],
    balancer: Balancer | None,
) -> MapRoute:
    instances = {h.instance_id for h in leases}
    apps = {app_of(i) for h in endpoints if (i := instance_of(h.instance_id)) in instances}
    stack, _, app = next(iter(apps)).rpartition("/") if len(apps) == 1 else ("", "", "")
    host = (balancer.dns_name if balancer else "") or listener.address or LOOPBACK
    return MapRoute(
        stack=stack,
        app=app,
        port_name=listener.port_name,
        exposure="internal" if balancer is not None and balancer.scheme == "internal" else "public",
        protocol=listener.protocol,
        address=listener.address,
        service_port=listener.number,
        url=listener_url(host, listener.protocol.upper(), listener.number),
        tls=listener.protocol in _TLS,
        endpoints=tuple(_endpoint(h, leases) for h in endpoints),
        note="" if pool else "no targets",
        load_balancer=balancer.name if balancer else _name(listener),
        dns_name=balancer.dns_name if balancer else "",
        target_group=group_name(pool),
    )


def _name(listener: Holding) -> str:
    return SHARED_NAME if listener.app_id == SHARED_OWNER else group_name(listener.app_id)


def _endpoint(holding: Holding, leases: Sequence[Holding]) -> MapEndpoint:
    """A target; of an App's instance with its host port, through which the balancer need not have gone."""
    instance = instance_of(holding.instance_id)
    mine = [lease for lease in leases if lease.instance_id == instance]
    ports = (holding.target_port,)
    lease = next((x for x in mine if x.number in ports or x.container_port in ports), None)
    short = short_id(instance) if mine or "/" in instance else ""
    return MapEndpoint(
        instance=short,
        slot_name=short.rpartition(".")[0],
        host_address=lease.address if lease else "",
        host_port=lease.number if lease else 0,
        container_port=lease.container_port if lease else holding.target_port,
        target_address=holding.target_address,
        target_port=holding.target_port,
        state=holding.state,
    )
