"""The ports of an app or pod as those of an App, and what each is called there."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from portway.core.app import Exposure, PortSpec, Protocol
from portway.manifests.marathon.balancer_labels import ALL_GROUPS, with_labels
from portway.manifests.marathon.networks import is_host

Body = Mapping[str, Any]

_NAME_MAX = 50  # the second of two protocols is called a little longer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """`specs` in order. `given`: the names that specs are not called by, "" = none. `asked`: of each port the one for TCP."""

    specs: tuple[PortSpec, ...]
    given: Mapping[str, str]
    asked: tuple[str, ...]


class Names:
    """Names for ports, each there once: those given, others for ports without one."""

    def __init__(self, given: Sequence[str]) -> None:
        self._taken = set(given)

    def new(self, wanted: str) -> str:
        """A name like this one that no other port has."""
        name = wanted
        while name in self._taken:
            name += "x"
        self._taken.add(name)
        return name


def app_ports(app: Body, *, groups: Collection[str] = (ALL_GROUPS,)) -> Ports:
    """The ports of an app in canonical form. `groups`: those of marathon-lb's labels that are served."""
    on_host = is_host(app["networks"])
    written = app.get("portDefinitions") if on_host else app["container"].get("portMappings")
    names = Names([each["name"] for each in written or () if each.get("name")])
    specs: list[PortSpec] = []
    given: dict[str, str] = {}
    asked: list[str] = []
    for nth, each in enumerate(written or ()):
        name = _short(each.get("name", "")) or names.new(f"port{nth}")
        if name != each.get("name"):
            given[name] = each.get("name", "")
        made = _on_host(name, each, app) if on_host else _mapped(name, each)
        both = _for_protocols(made, each["protocol"].split(","), names)
        both = with_labels(app.get("labels") or {}, both, nth=nth, groups=groups)
        specs.extend(both)
        asked.append(both[-1].name)
    return Ports(specs=tuple(specs), given=given, asked=tuple(asked))


def _short(name: str) -> str:
    """The name, or as much of it as names of ports may be long, with a few digits of its hash."""
    if len(name) <= _NAME_MAX:
        return name
    return f"{name[: _NAME_MAX - 11]}-{hashlib.sha256(name.encode()).hexdigest()[:10]}"


def _on_host(name: str, definition: Body, app: Body) -> PortSpec:
    """A port of the node: any, or with `requirePorts` the very number of the service port."""
    number = definition["port"]
    required = number if app["requirePorts"] and number else None
    return _spec(name, number, container_port=0, host_port=required)


def _mapped(name: str, mapping: Body) -> PortSpec:
    """A port of a container's own network; without a hostPort it takes none of the node's."""
    host_port = mapping.get("hostPort")
    return _spec(
        name,
        mapping["servicePort"],
        container_port=mapping["containerPort"],
        host_port=host_port or None,
        leased=host_port is not None,
    )


def _spec(
    name: str,
    service_port: int,
    *,
    container_port: int,
    host_port: int | None,
    leased: bool = True,
) -> PortSpec:
    """One port. Where it is on the node under the number of its service port, nothing is left to listen on."""
    is_same = host_port is not None and host_port == service_port
    return PortSpec(
        name=name,
        container_port=container_port,
        host_port=host_port,
        exposure=Exposure.HOST if is_same else Exposure.PUBLIC,
        service_ports=(service_port,) if service_port else (),
        leased=leased,
        shuffled=leased and host_port is None,
    )


def _for_protocols(spec: PortSpec, protocols: Sequence[str], names: Names) -> tuple[PortSpec, ...]:
    """The port for each protocol it speaks; the second has the first one's host port."""
    first, *others = (Protocol(each) for each in protocols)
    made = [_of_protocol(spec, first)]
    for protocol in others:
        name = names.new(f"{spec.name}-{protocol.value}")
        made.append(replace(_of_protocol(spec, protocol), name=name, same_as=spec.name))
    return tuple(made)


def _of_protocol(spec: PortSpec, protocol: Protocol) -> PortSpec:
    """The balancer speaks TCP only: a port for UDP is the node's."""
    exposure = Exposure.HOST if protocol is Protocol.UDP else spec.exposure
    return replace(spec, protocol=protocol, exposure=exposure)


def pod_ports(pod: Body) -> Ports:
    """The endpoints of a pod in canonical form. They have no service ports: whoever wants them asks the node or the address."""
    on_host = is_host(pod["networks"])
    endpoints = [(c["name"], e) for c in pod["containers"] for e in c.get("endpoints") or ()]
    names = Names([endpoint["name"] for _, endpoint in endpoints])
    specs: list[PortSpec] = []
    asked: list[str] = []
    for container, endpoint in endpoints:
        made = _endpoint(container, endpoint, on_host=on_host)
        protocols = [each.lower() for each in endpoint.get("protocol") or ("tcp",)]
        both = _for_protocols(made, protocols, names)
        specs.extend(both)
        tcp = (spec.name for spec in both if spec.protocol is Protocol.TCP)
        asked.append(next(tcp, both[0].name))
    return Ports(specs=tuple(specs), given={}, asked=tuple(asked))


def _endpoint(container: str, endpoint: Body, *, on_host: bool) -> PortSpec:
    host_port = endpoint.get("hostPort")
    return PortSpec(
        name=endpoint["name"],
        container_port=0 if on_host else endpoint.get("containerPort") or 0,
        host_port=host_port or None,
        exposure=Exposure.HOST,
        leased=host_port is not None,
        shuffled=host_port == 0,
        container=container,
    )
