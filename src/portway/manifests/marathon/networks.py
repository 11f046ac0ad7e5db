"""Networks and ports of an app: the deprecated ways of saying them made the one that is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portway.manifests.marathon.refusal import not_normal
from portway.manifests.marathon.settings import Settings

Body = Mapping[str, Any]

HOST, BRIDGE, CONTAINER = "host", "container/bridge", "container"


def is_host(networks: Sequence[Body]) -> bool:
    """Whether they are the node's own network; none at all are."""
    return all(network["mode"] == HOST for network in networks)


def chosen_networks(app: Body, settings: Settings) -> list[dict[str, Any]] | None:
    """What `networks`, `ipAddress` and `container.docker.network` mean together; None when nothing is said."""
    legacy, address = _docker(app).get("network"), app.get("ipAddress")
    given = app.get("networks")
    if given and (legacy or address is not None):
        raise not_normal("cannot mix deprecated and canonical network APIs")
    if legacy == "NONE":
        raise not_normal("unsupported docker network type NONE")
    if given:
        return given
    if legacy == "HOST":
        return [{"mode": HOST, "labels": {}}]
    if legacy is None and address is None:
        return None
    return [_legacy_network(legacy, address or {}, settings)]


def _legacy_network(legacy: str | None, address: Body, settings: Settings) -> dict[str, Any]:
    labels, name = address.get("labels") or {}, address.get("networkName")
    is_bridge = legacy is None and name == settings.mesos_bridge_name
    if legacy == "BRIDGE" or is_bridge:
        return {"mode": BRIDGE, "labels": labels}
    return {"mode": CONTAINER, "labels": labels, **({"name": name} if name else {})}


def _docker(app: Body) -> Body:
    return (app.get("container") or {}).get("docker") or {}


def moved_container(app: Body) -> dict[str, Any] | None:
    """The container with all its port mappings in one place, and without what is deprecated."""
    address, given = app.get("ipAddress"), app.get("container")
    if given is None and address is None:
        return None
    container: dict[str, Any] = dict(given) if given is not None else {"type": "MESOS", "volumes": []}  # fmt: skip
    mappings = container.get("portMappings")
    docker = container.get("docker")
    if docker is not None:
        mappings = _merged(mappings, docker.get("portMappings"))
        container["docker"] = {k: v for k, v in docker.items() if k not in ("portMappings", "network")}  # fmt: skip
    discovered = ((address or {}).get("discovery") or {}).get("ports")
    if discovered:
        mappings = _discovered(container, mappings, discovered)
    if mappings is not None:
        container["portMappings"] = mappings
    return container


def _merged(mappings: list[Any] | None, of_docker: list[Any] | None) -> list[Any] | None:
    if mappings is None or of_docker is None:
        return of_docker if mappings is None else mappings
    if of_docker:
        raise not_normal("cannot specify both portMappings and docker.portMappings")
    return mappings


def _discovered(container: Body, mappings: list[Any] | None, found: Sequence[Body]) -> list[Any]:
    if container["type"] == "DOCKER":
        raise not_normal("ipAddress.discovery.ports do not apply for container type DOCKER")
    if mappings is not None:
        raise not_normal("container.portMappings and ipAddress.discovery.ports must not both be set")  # fmt: skip
    return [
        {**blank_mapping(each["number"]), "name": each["name"], "protocol": each["protocol"], "labels": each["labels"]}
        for each in found
    ]  # fmt: skip


def blank_mapping(container_port: int = 0) -> dict[str, Any]:
    """A mapping that says nothing but perhaps its container port."""
    return {
        "containerPort": container_port,
        "labels": {},
        "protocol": "tcp",
        "servicePort": 0,
        "networkNames": [],
    }


def default_mapping() -> dict[str, Any]:
    """What an app on a network of its own has when it says nothing of ports."""
    return {**blank_mapping(), "name": "default"}


def mapped_container(
    container: dict[str, Any] | None, networks: Sequence[Body], definitions: Sequence[Body]
) -> dict[str, Any] | None:
    """The container with the mappings its networks let it have: none on the node's own, otherwise at least the default.

    `definitions`: port definitions that were sent too; as many mappings there are then.
    """
    if container is None:
        return None
    if is_host(networks):
        return {k: v for k, v in container.items() if k != "portMappings"}
    mappings = container.get("portMappings")
    mappings = [default_mapping()] if mappings is None else list(mappings)
    mappings += [blank_mapping() for _ in definitions[len(mappings) :]]
    return {**container, "portMappings": mappings}


def defined_ports(app: Body) -> list[dict[str, Any]] | None:
    """The port definitions, those that `ports` means included; None when neither is said."""
    if app.get("portDefinitions") is not None:
        return list(app["portDefinitions"])
    numbers = app.get("ports")
    return None if numbers is None else [_definition(number) for number in numbers]


def _definition(service_port: int) -> dict[str, Any]:
    return {"port": service_port, "labels": {}, "protocol": "tcp"}


def default_definition() -> dict[str, Any]:
    """What an app on the node's network has when it says nothing of ports."""
    return {**_definition(0), "name": "default"}
