"""The port mappings of a task definition: what is wrong with them, and the ports they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Any

from portway.core.app import Exposure, PortSpec, Protocol
from portway.manifests.ecs_shape import Fault
from portway.manifests.ecs_values import port_range
from portway.manifests.json_reader import Where

Body = Mapping[str, Any]

RANGES_MAX = 100  # of one container (botocore, PortMapping.containerPortRange)
PORTS_MAX = 2000  # of one task, ranges included: each is a record of its own here


class Reach(StrEnum):
    """Who reaches the ports of an App made of a task definition.

    NODE: they are published on the node, as ECS does it; load balancers find them there. LISTENER: each has a listener
    of portway's own balancer, so that a file can be deployed without anything around it.
    """

    NODE = "node"
    LISTENER = "listener"


def port_faults(body: Body) -> Iterator[Fault]:
    """Everything wrong with the port mappings of a task definition of the right shape."""
    mode = body.get("networkMode") or "bridge"
    total = 0
    taken: dict[tuple[int, str], Where] = {}
    static: dict[tuple[int, str], Where] = {}
    for index, container in enumerate(body.get("containerDefinitions") or ()):
        base: Where = ("containerDefinitions", index)
        mappings: list[Body] = list(container.get("portMappings") or ())
        if container.get("links") and mode != "bridge":
            told = f"Links are not supported when networkMode={mode}."
            yield Fault(where=(*base, "links"), message=told)
        if mappings and mode == "none":
            told = "Port mappings are not supported when networkMode=none."
            yield Fault(where=(*base, "portMappings"), message=told)
        if sum(1 for m in mappings if m.get("containerPortRange")) > RANGES_MAX:
            told = f"A container has at most {RANGES_MAX} port ranges."
            yield Fault(where=(*base, "portMappings"), message=told)
        if mode in ("bridge", "none"):
            taken = {}  # containers have ports of their own there; else they share them
        for nth, mapping in enumerate(mappings):
            where = (*base, "portMappings", nth)
            found = list(_mapping_faults(mapping, mode, where))
            yield from found
            if found:
                continue
            total += len(_ports(mapping))
            if total > PORTS_MAX:
                told = f"The containers have more than {PORTS_MAX} ports; no more are mapped."
                hint = "Use smaller ranges."
                yield Fault(where=where, message=told, hint=hint)
                return
            yield from _clashes(mapping, mode, where, taken=taken, static=static)


def _mapping_faults(mapping: Body, mode: str, where: Where) -> Iterator[Fault]:
    container_port, host_port = mapping.get("containerPort"), mapping.get("hostPort")
    written = mapping.get("containerPortRange")
    if written is not None:
        yield from _range_faults(mapping, written, mode, where)
        return
    if container_port is None:
        told = "A port mapping needs a containerPort or a containerPortRange."
        yield Fault(where=where, message=told)
    elif not 1 <= container_port <= 65535:
        told = f"Invalid 'containerPort': {container_port}. Ports are 1 to 65535."
        yield Fault(where=(*where, "containerPort"), message=told)
    if host_port is not None and not 0 <= host_port <= 65535:
        told = f"Invalid 'hostPort': {host_port}. Ports are 1 to 65535, 0 is any."
        yield Fault(where=(*where, "hostPort"), message=told)
    elif mode in ("host", "awsvpc") and host_port not in (None, 0, container_port):
        told = f"When networkMode={mode}, the host ports and container ports in port mappings must match."
        yield Fault(where=(*where, "hostPort"), message=told, aws=True)


def _range_faults(mapping: Body, written: str, mode: str, where: Where) -> Iterator[Fault]:
    place = (*where, "containerPortRange")
    if port_range(written) is None:
        told = f"Invalid 'containerPortRange': '{written[:40]}'. Write first-last, both 1 to 65535."
        yield Fault(where=place, message=told)
    if mode == "host":
        told = "containerPortRange is not supported when networkMode=host."
        yield Fault(where=place, message=told)
    for key in ("hostPort", "containerPort"):
        if mapping.get(key) is not None:
            told = f"{key} must be empty when containerPortRange is given: its ports are chosen in a row."
            yield Fault(where=(*where, key), message=told)


def _clashes(
    mapping: Body,
    mode: str,
    where: Where,
    *,
    taken: dict[tuple[int, str], Where],
    static: dict[tuple[int, str], Where],
) -> Iterator[Fault]:
    """The same container port twice is two host ports for it; everything else twice is a mistake."""
    protocol, host_port = _protocol(mapping), mapping.get("hostPort") or 0
    is_range = bool(mapping.get("containerPortRange"))
    other = Protocol.UDP if protocol is Protocol.TCP else Protocol.TCP
    for number in _ports(mapping):
        before = taken.get((number, protocol))
        alike = before is not None and _is_plain(before) and not is_range
        if before is not None and not (alike and mode == "bridge"):
            yield Fault(where=where, message=f"Container port {number} is in two port mappings.")
            return
        if (number, other) in taken and not is_range:
            told = (
                f"Container port {number} is mapped for tcp and for udp; one port has one protocol."
            )
            yield Fault(where=where, message=told)
            return
        taken[number, protocol] = ("range",) if is_range else where
    if host_port and mode == "bridge":
        if (host_port, protocol) in static:
            yield Fault(where=(*where, "hostPort"), message=f"Host port {host_port} is in two port mappings.")  # fmt: skip
        static[host_port, protocol] = where


def _is_plain(where: Where) -> bool:
    return where != ("range",)


def _ports(mapping: Body) -> range:
    """The container ports of a mapping without faults."""
    found = port_range(mapping.get("containerPortRange") or "")
    if found:
        return range(found[0], found[1] + 1)
    return range(mapping["containerPort"], mapping["containerPort"] + 1)


def _protocol(mapping: Body) -> Protocol:
    return Protocol.UDP if mapping.get("protocol") == "udp" else Protocol.TCP


def ports_of(body: Body, *, reach: Reach) -> tuple[PortSpec, ...]:
    """The ports of a sound task definition, in the order they are written; each has a name of its own."""
    mode = body.get("networkMode") or "bridge"
    found: list[PortSpec] = []
    for index, container in enumerate(body["containerDefinitions"]):
        owner = container["name"] if index else ""
        for nth, mapping in enumerate(container.get("portMappings") or ()):
            run = f"{index}-{nth}" if mapping.get("containerPortRange") else ""
            ports = (_spec(mapping, number, body, reach=reach) for number in _ports(mapping))
            found.extend(replace(spec, container=owner, run="" if mode == "awsvpc" else run) for spec in ports)  # fmt: skip
    return _with_names(found)


def _spec(mapping: Body, container_port: int, body: Body, *, reach: Reach) -> PortSpec:
    mode, protocol = body.get("networkMode") or "bridge", _protocol(mapping)
    written = mapping.get("hostPort")
    is_own = mode in ("host", "awsvpc")
    number = written if written and reach is Reach.LISTENER and not is_own else container_port
    name = mapping.get("name") or str(number)
    spec = PortSpec(name=name, container_port=container_port, protocol=protocol)
    host_port = container_port if mode == "host" else written if written and not is_own else None
    # Only what says so comes from the node's ephemeral range when portway's own network is used.
    is_said = written == 0 or bool(mapping.get("containerPortRange")) or bool(body.get("networkMode"))  # fmt: skip
    ephemeral = mode == "bridge" and host_port is None and (reach is Reach.NODE or is_said)
    if reach is Reach.NODE or protocol is Protocol.UDP:
        # At an address of its own a task answers itself: nothing of the node is published for it.
        is_leased = mode != "awsvpc" or reach is not Reach.NODE
        return replace(spec, exposure=Exposure.HOST, host_port=host_port, ephemeral=ephemeral, leased=is_leased)  # fmt: skip
    # A file's fixed host port is where its user looks for it: the listener, with any number of instances behind it.
    listener = (written,) if written and not is_own else ()
    return replace(spec, service_ports=listener, ephemeral=ephemeral)


def _with_names(ports: list[PortSpec]) -> tuple[PortSpec, ...]:
    taken: set[str] = set()
    named: list[PortSpec] = []
    for spec in ports:
        name, nth = spec.name, 1
        if name in taken and spec.protocol is Protocol.UDP:
            name = f"{spec.name}-udp"
        while name in taken:
            nth += 1
            name = f"{spec.name}-{nth}"
        taken.add(name)
        named.append(replace(spec, name=name))
    return tuple(named)
