"""The ports of an app or pod as Marathon speaks of them: matched with what nodes offer, assigned, announced. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from portway.core.app import App, NetworkMode, PortSpec
from portway.core.lease import Lease
from portway.core.marathon.labels import Origin, origin_of

HOST_SCOPE = {"network-scope": "host"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One element of portDefinitions, portMappings or endpoints, and the host port its instance got.

    `container_port` None: there is no such thing in host mode. `wanted_host_port`: None = no host port, 0 = any.
    """

    name: str = ""
    container_port: int | None = None
    wanted_host_port: int | None = 0
    service_port: int = 0
    protocols: tuple[str, ...] = ("tcp",)
    labels: Mapping[str, str] = field(default_factory=dict)
    network_names: tuple[str, ...] = ()
    host_port: int | None = None
    container: str = ""  # of a pod, which one

    @property
    def requested(self) -> int:
        """The number its variable is named after: the container port, or in host mode the service port."""
        return self.service_port if self.container_port is None else self.container_port


def ports_of(app: App, leases: Sequence[Lease] = ()) -> tuple[Port, ...]:
    """The ports of an App with the host ports in `leases`; one that speaks two protocols is one port."""
    origin = origin_of(app) or Origin(path="")
    protocols: dict[str, tuple[str, ...]] = {}
    for spec in app.ports:
        known = protocols.get(spec.same_as or spec.name, ())
        protocols[spec.same_as or spec.name] = (*known, spec.protocol.value)
    held = {lease.port_name: lease for lease in leases}
    return tuple(
        _port(app, spec, origin, protocols[spec.name], held.get(spec.name))
        for spec in app.ports
        if not spec.same_as
    )


def _port(
    app: App, spec: PortSpec, origin: Origin, protocols: tuple[str, ...], lease: Lease | None
) -> Port:
    in_host_mode = app.network_mode is NetworkMode.HOST
    wanted = app.fixed_host_port(spec) or 0
    return Port(
        name=origin.names.get(spec.name, spec.name),
        container_port=None if in_host_mode else spec.container_port,
        wanted_host_port=wanted if spec.leased else None,
        service_port=next(iter(spec.service_ports), spec.joint.service_port if spec.joint else 0),
        protocols=protocols,
        host_port=lease.host_port if lease else None,
        container=spec.container,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedRange:
    """Host ports first..last that a node offers to `role`."""

    first: int
    last: int
    role: str = "*"

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last


RolePort = tuple[str, int]  # role, host_port


def random_ports(ranges: Sequence[OfferedRange], *, bits: int) -> Iterator[RolePort]:
    """Every offered port once: the ranges in some order, as one long row, begun somewhere; `bits` say where.

    So the dynamic ports of an instance are consecutive where they can be.
    """
    order = list(ranges)
    for left in range(len(order), 1, -1):
        bits, chosen = divmod(bits, left)
        order.append(order.pop(chosen))
    row = [(r.role, number) for r in order for number in range(r.first, r.last + 1)]
    start = bits % len(row) if row else 0
    yield from (*row[start:], *row[:start])


def match_offer(
    ports: Sequence[Port],
    offered: Sequence[OfferedRange],
    *,
    requires_ports: bool = False,
    accepted_roles: Collection[str] = ("*",),
    bits: int = 0,
) -> tuple[RolePort | None, ...] | None:
    """A host port for every port that wants one, in order; None where one cannot be had, for then nothing is taken.

    `requires_ports`: those of host mode must have the numbers of their service ports.
    """
    ranges = [r for r in offered if r.role in accepted_roles]
    wanted = [p.service_port if requires_ports else p.wanted_host_port for p in ports]
    static = {number for number in wanted if number}
    dynamic = (found for found in random_ports(ranges, bits=bits) if found[1] not in static)
    matched: list[RolePort | None] = []
    for number in wanted:
        if number is None:
            matched.append(None)
            continue
        if number or requires_ports:
            found = next(((r.role, number) for r in ranges if number in r), None)
        else:
            found = next(dynamic, None)
        if found is None:
            return None
        matched.append(found)
    return tuple(matched)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortsResource:
    """Ports consumed of one role, as ranges of (first, last)."""

    role: str
    ranges: tuple[tuple[int, int], ...]


def ports_resources(allocated: Sequence[RolePort]) -> tuple[PortsResource, ...]:
    """What is consumed: runs of one role, in each only neighbours are one range, and the order is kept."""
    return tuple(
        PortsResource(role=role, ranges=_ranges([number for _, number in run]))
        for role, run in groupby(allocated, key=lambda pair: pair[0])
    )


def _ranges(numbers: Sequence[int]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return tuple(found)


def with_host_ports(ports: Sequence[Port], numbers: Sequence[int | None]) -> tuple[Port, ...]:
    """The ports with host ports given out in order to those that want one; gaps may be in `numbers` or left out."""
    if len(numbers) == len(ports):
        return tuple(replace(p, host_port=n) for p, n in zip(ports, numbers, strict=True))
    given = iter(numbers)
    return tuple(
        port if port.wanted_host_port is None else replace(port, host_port=next(given))
        for port in ports
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Where one port of an instance answers, for health and readiness checks. Unresolved: no address, number -1."""

    name: str
    address: str | None
    number: int
    host_port: int | None
    container_port: int | None


def assignments(
    ports: Sequence[Port], *, host: str, addresses: Sequence[str] = ()
) -> tuple[Assignment, ...]:
    """A host port is reached at its node; a port without one at the instance's own first address."""
    return tuple(_assigned(port, host, next(iter(addresses), None)) for port in ports)


def _assigned(port: Port, host: str, address: str | None) -> Assignment:
    if port.host_port is not None:
        inside = port.container_port
        return Assignment(
            name=port.name,
            address=host,
            number=port.host_port,
            host_port=port.host_port,
            container_port=None if inside is None else inside or port.host_port,
        )
    inside = port.container_port or 0
    number = -1 if address is None else inside
    return Assignment(
        name=port.name, address=address, number=number, host_port=None, container_port=inside
    )


def mesos_check_port(port: Port, *, number: int | None = None) -> int | None:
    """Which port a check made on the node asks: the given number, else the container's, else the host's."""
    return number or port.container_port or port.host_port


def bound_pairs(ports: Sequence[Port]) -> tuple[tuple[int, int], ...]:
    """(host port, container port) as the container's engine publishes them; what has no host port is left out."""
    return tuple(
        (port.host_port, port.container_port or port.host_port)
        for port in ports
        if port.host_port is not None and port.container_port is not None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """One port as DiscoveryInfo tells it; `name` "" and no `labels` are left out there."""

    number: int
    protocol: str
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


def announced(ports: Sequence[Port], networks: Sequence[str] = ()) -> tuple[Announced, ...]:
    """What DiscoveryInfo says of an instance's ports: one entry a protocol, and of a container's own port one a network.

    `networks`: the names of the container networks it is in.
    """
    return tuple(one for port in ports for one in _announced(port, networks))


def _announced(port: Port, networks: Sequence[str]) -> Iterator[Announced]:
    if port.host_port is not None:
        scope = {} if port.container_port is None else HOST_SCOPE
        scopes, number = [scope], port.host_port
    else:
        names = port.network_names or networks
        scopes = [{"network-scope": "container", "network-name": name} for name in names]
        number = port.container_port or 0
    for protocol in port.protocols:
        for scope in scopes:
            yield Announced(
                number=number,
                protocol=protocol,
                name=port.name,
                labels={**port.labels, **scope},
            )
