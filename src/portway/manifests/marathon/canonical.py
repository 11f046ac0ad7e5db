"""The rules of an app in canonical form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portway.manifests.marathon.checks import check_faults
from portway.manifests.marathon.constraints import constraint_faults
from portway.manifests.marathon.containers import container_faults, secret_faults
from portway.manifests.marathon.deprecated import all_distinct, is_uri
from portway.manifests.marathon.networks import BRIDGE, CONTAINER, HOST
from portway.manifests.marathon.paths import path_faults
from portway.manifests.marathon.refusal import Violation, Where
from portway.manifests.marathon.settings import Settings

Body = Mapping[str, Any]

SINGLE_INSTANCE = "MARATHON_SINGLE_INSTANCE_APP"
NOTHING_TO_RUN = "AppDefinition must either contain one of 'cmd' or 'args', and/or a 'container'."
ONE_NETWORK_NAME = "networkNames must be a single item list when hostPort is specified and more than 1 container network is defined"  # fmt: skip

_MIGRATION = ("DCOS_PACKAGE_FRAMEWORK_NAME", "DCOS_MIGRATION_API_PATH")


def canonical_faults(app: Body, settings: Settings) -> Iterator[Violation]:
    """Every violation, of an app whose deprecated fields are gone."""
    networks: Sequence[Body] = app.get("networks") or ()
    container: Body = app.get("container") or {}
    for error in path_faults(app.get("id", "")):
        yield Violation(where=("id",), error=error)
    yield from _dependency_faults(app)
    yield from container_faults(app, settings)
    yield from port_definition_faults(app.get("portDefinitions") or ())
    yield from port_mapping_faults(container.get("portMappings") or (), networks)
    yield from check_faults(app)
    yield from network_faults(networks, settings)
    yield from constraint_faults(app.get("constraints") or ())
    yield from secret_faults(app, "env", settings)
    yield from _fetch_faults(app)
    yield from strategy_faults(app)
    for error in _app_errors(app, container, networks):
        yield Violation(where=(), error=error)


def _dependency_faults(app: Body) -> Iterator[Violation]:
    for nth, path in enumerate(app.get("dependencies") or ()):
        for error in path_faults(path, absolute=False):
            yield Violation(where=("dependencies", nth), error=error)


def _fetch_faults(app: Body) -> Iterator[Violation]:
    for nth, artifact in enumerate(app.get("fetch") or ()):
        if not is_uri(artifact["uri"]):
            yield Violation(where=("fetch", nth, "uri"), error="URI has invalid syntax.")


def port_definition_faults(definitions: Sequence[Body]) -> Iterator[Violation]:
    """Numbers but 0, and names, are there once."""
    where: Where = ("portDefinitions",)
    if not all_distinct(each["port"] or None for each in definitions):
        yield Violation(where=where, error="Ports must be unique.")
    if not all_distinct(each.get("name") for each in definitions):
        yield Violation(where=where, error="Port names must be unique.")


def port_mapping_faults(mappings: Sequence[Body], networks: Sequence[Body]) -> Iterator[Violation]:
    """Names are there once, and the networks that a mapping names."""
    names = [network["name"] for network in networks if network.get("name")]
    if not all_distinct(each.get("name") for each in mappings):
        yield Violation(where=("container", "portMappings"), error="Port names must be unique.")
    for nth, mapping in enumerate(mappings):
        where = ("container", "portMappings", nth)
        yield from network_name_faults(mapping, where, networks, names)


def network_name_faults(
    mapping: Body, where: Where, networks: Sequence[Body], names: Sequence[str]
) -> Iterator[Violation]:
    """The networks of one mapping or endpoint."""
    several = sum(network["mode"] == CONTAINER for network in networks) > 1
    chosen = mapping.get("networkNames") or ()
    if several and mapping.get("hostPort") is not None and len(chosen) != 1:
        yield Violation(where=where, error=ONE_NETWORK_NAME)
    for nth, name in enumerate(chosen):
        if name not in names:
            told = f"is not one of ({','.join(names)})"
            yield Violation(where=(*where, "networkNames", nth), error=told)


def network_faults(networks: Sequence[Body], settings: Settings) -> Iterator[Violation]:
    """One host network, one bridge, or container networks with a name each."""
    for error in dict.fromkeys(_network_errors(networks)):
        yield Violation(where=("networks",), error=error)
    unnamed = any(each["mode"] == CONTAINER and not each.get("name") for each in networks)
    if unnamed and settings.default_network_name is None:
        told = "Network name must be specified when container network is selected."
        yield Violation(where=("networks",), error=told)


def _network_errors(networks: Sequence[Body]) -> Iterator[str]:
    modes = Counter(network["mode"] for network in networks)
    for network in networks:
        if network["mode"] == HOST and (network.get("name") or network.get("labels")):
            yield "Host networks may not have names or labels"
        if network["mode"] == BRIDGE and network.get("name"):
            yield "Bridge networks may not have names"
    named = Counter(each.get("name") for each in networks if each["mode"] == CONTAINER)
    if any(count > 1 for count in named.values()):
        yield "Duplicate networks are not allowed"
    if len(modes) > 1 or modes[HOST] > 1 or modes[BRIDGE] > 1:
        yield "May specify a single host network, single bridge network, or else 1-to-n container networks"


def has_image(container: Body) -> bool:
    """Whether a container can run by itself."""
    return bool(container.get("docker"))


def _app_errors(app: Body, container: Body, networks: Sequence[Body]) -> Iterator[str]:
    command, arguments = app.get("cmd") is not None, bool(app.get("args"))
    if (command and arguments) or not (command or arguments or has_image(container)):
        yield NOTHING_TO_RUN
    if any(each["mode"] == HOST for each in networks) and container.get("portMappings"):
        yield "portMappings are not allowed with host-networking"
    if any(each["mode"] != HOST for each in networks) and app.get("portDefinitions"):
        yield "portDefinitions are only allowed with host-networking"
    is_docker = container.get("type") == "DOCKER"
    if is_docker and sum(each["mode"] == CONTAINER for each in networks) > 1:
        yield "may only specify a single container network when using the Docker container engine"
    labels = app.get("labels") or {}
    if labels.get(SINGLE_INSTANCE) == "true" and app.get("instances", 1) > 1:
        yield "Single instance app may only have one instance"
    version = labels.get("DCOS_MIGRATION_API_VERSION")
    if version and not (version == "v1" and all(labels.get(name) for name in _MIGRATION)):
        yield "DCOS_PACKAGE_FRAMEWORK_NAME and DCOS_MIGRATION_API_PATH must be defined when using DCOS_MIGRATION_API_VERSION"
    persistent = any("persistent" in volume for volume in container.get("volumes") or ())
    if app.get("residency") and not persistent:
        yield "App must contain persistent volumes and define residency"


def strategy_faults(app: Body) -> Iterator[Violation]:
    """The bounds of an upgrade, and what is done with an instance that cannot be reached."""
    container = app.get("container") or {}
    resident = any("persistent" in volume for volume in container.get("volumes") or ())
    single = (app.get("labels") or {}).get(SINGLE_INSTANCE) == "true"
    strategy = app.get("upgradeStrategy") or {}
    zero = ["maximumOverCapacity"] if resident or single else []
    for name in [*zero, *(["minimumHealthCapacity"] if single else [])]:
        if strategy.get(name):
            told = f"got {float(strategy[name])}, expected 0.0"
            yield Violation(where=("upgradeStrategy", name), error=told)
    yield from unreachable_faults(app.get("unreachableStrategy"), (), resident=resident)


def unreachable_faults(strategy: Any, where: Where, *, resident: bool) -> Iterator[Violation]:
    """An instance is inactive before it is expunged; one with its own volume is neither."""
    if resident and strategy not in (None, "disabled"):
        yield Violation(
            where=where, error="unreachableStrategy must be disabled for resident tasks"
        )
    if isinstance(strategy, Mapping):
        first, last = strategy["inactiveAfterSeconds"], strategy["expungeAfterSeconds"]
        if first > last:
            told = f"inactiveAfterSeconds ({first}) must be less or equal to expungeAfterSeconds, which is {last}"
            yield Violation(where=(*where, "unreachableStrategy"), error=told)
