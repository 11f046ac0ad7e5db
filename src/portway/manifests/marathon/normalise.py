"""An app or an update in canonical form: what is deprecated brought to what it means now, and what nobody said filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from portway.manifests.marathon.networks import (
    BRIDGE,
    CONTAINER,
    chosen_networks,
    default_definition,
    default_mapping,
    defined_ports,
    is_host,
    mapped_container,
    moved_container,
)
from portway.manifests.marathon.refusal import not_normal
from portway.manifests.marathon.settings import Settings

Body = Mapping[str, Any]

_DEPRECATED = ("ports", "uris", "ipAddress")
_ARCHIVES = (".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".gz", ".tgz", ".tbz2", ".txz", ".zip")
_RESIDENCY = {"relaunchEscalationTimeoutSeconds": 3600, "taskLostBehavior": "WAIT_FOREVER"}
_UNREACHABLE = {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}


def normal_app(app: Body, settings: Settings) -> dict[str, Any]:
    """The app in canonical form; MarathonRefusal when what it says does not go together."""
    return completed(without_deprecated(app, settings), settings)


def normal_update(update: Body, settings: Settings) -> dict[str, Any]:
    """The update in canonical form: nothing is filled in that it does not say."""
    found = _plain(update)
    found.pop("networks", None)
    networks, container = chosen_networks(update, settings), moved_container(update)
    definitions, fetch = defined_ports(update), _fetch(update)
    said: dict[str, Any] = {
        "networks": networks, "container": container, "portDefinitions": definitions, "fetch": fetch,
    }  # fmt: skip
    found.update((key, value) for key, value in said.items() if value is not None)
    return _with_checks(found, explicit=bool(update.get("portDefinitions")))


def merge_update(stored: Body, update: Body) -> dict[str, Any]:
    """The definition after a canonical update: a field that is given replaces the stored one whole."""
    kept = {k: v for k, v in stored.items() if k not in ("executorResources", "resourceLimits")}
    return {**kept, **{k: v for k, v in update.items() if k not in ("id", "version")}}


def without_deprecated(app: Body, settings: Settings) -> dict[str, Any]:
    """The app said in the fields that are left, and the ports that nobody spoke of."""
    found = _plain(app)
    networks = chosen_networks(app, settings) or []
    definitions = defined_ports(app)
    explicit = bool(app.get("portDefinitions"))
    container = mapped_container(moved_container(app), networks, definitions or ())
    found.pop("portDefinitions", None)
    if is_host(networks):
        found["portDefinitions"] = [default_definition()] if definitions is None else definitions
    found["networks"] = networks
    found["fetch"] = _fetch(app) or []
    found.pop("container", None)
    if container is not None:
        found["container"] = container
    return _with_checks(found, explicit=explicit)


def completed(app: Body, settings: Settings) -> dict[str, Any]:
    """What is filled in after the canonical rules held: names of networks, host ports, strategies."""
    found = dict(app)
    networks = [_named(network, settings) for network in app["networks"]] or [{"mode": "host", "labels": {}}]  # fmt: skip
    found["networks"] = networks
    if not is_host(networks):
        container = app.get("container") or {"type": "MESOS", "volumes": [], "portMappings": [default_mapping()]}  # fmt: skip
        found["container"] = _with_host_ports(container, networks)
        found["requirePorts"] = False
    if found.get("role") is None:
        found["role"] = settings.default_role
    return with_strategies(found)


def with_strategies(app: Body) -> dict[str, Any]:
    """The strategies and the residency that an app's volumes mean."""
    found = dict(app)
    volumes = (app.get("container") or {}).get("volumes") or ()
    lasts = any("persistent" in volume for volume in volumes)
    if lasts:
        found.setdefault("residency", dict(_RESIDENCY))
    if found.get("unreachableStrategy") is None:
        found["unreachableStrategy"] = "disabled" if found.get("residency") else dict(_UNREACHABLE)
    if found.get("upgradeStrategy") is None:
        few = lasts or any("external" in volume for volume in volumes)
        found["upgradeStrategy"] = upgrade_strategy(stateful=few)
    return found


def upgrade_strategy(*, stateful: bool) -> dict[str, Any]:
    """The bounds of an upgrade that nobody gave."""
    if stateful:
        return {"maximumOverCapacity": 0, "minimumHealthCapacity": 0.5}
    return {"maximumOverCapacity": 1, "minimumHealthCapacity": 1}


def named_networks(networks: Sequence[Body], settings: Settings) -> list[dict[str, Any]]:
    """Every container network with its name."""
    return [_named(network, settings) for network in networks]


def _named(network: Body, settings: Settings) -> dict[str, Any]:
    if network["mode"] != CONTAINER or network.get("name"):
        return dict(network)
    if settings.default_network_name is None:
        raise not_normal("container network name is not defined")
    return {**network, "name": settings.default_network_name}


def _with_host_ports(container: Body, networks: Sequence[Body]) -> dict[str, Any]:
    """In a bridge every mapping has a host port; on a container's own network only those that ask for one."""
    if all(network["mode"] != BRIDGE for network in networks):
        return dict(container)
    mappings = [{**each, "hostPort": each.get("hostPort") or 0} for each in container["portMappings"]]  # fmt: skip
    return {**container, "portMappings": mappings}


def _plain(app: Body) -> dict[str, Any]:
    return {key: value for key, value in app.items() if key not in _DEPRECATED}


def _fetch(app: Body) -> list[dict[str, Any]] | None:
    uris, fetch = app.get("uris"), app.get("fetch")
    if uris and fetch:
        raise not_normal("cannot specify both uris and fetch fields")
    return [_artifact(uri) for uri in uris] if uris else fetch


def _artifact(uri: str) -> dict[str, Any]:
    extract = _path_of_uri(uri).endswith(_ARCHIVES)
    return {"uri": uri, "extract": extract, "executable": False, "cache": False}


def _path_of_uri(uri: str) -> str:
    try:
        return urlsplit(uri).path
    except ValueError:
        return uri


def _with_checks(app: dict[str, Any], *, explicit: bool) -> dict[str, Any]:
    """Checks complete, as far as it is plain which port they ask. `explicit`: the definitions were given as such."""
    mapped = (app.get("container") or {}).get("portMappings") is not None
    if app.get("healthChecks") and (mapped or (explicit and app.get("portDefinitions"))):
        app["healthChecks"] = with_port_indices(app["healthChecks"])
    if app.get("readinessChecks"):
        app["readinessChecks"] = [{"httpStatusCodesForReady": [200], **check} for check in app["readinessChecks"]]  # fmt: skip
    return app


def with_port_indices(checks: Iterable[Body]) -> list[dict[str, Any]]:
    """Checks that name no port ask the first; none is there twice."""
    found = [
        dict(check)
        if check["protocol"] == "COMMAND" or "port" in check or "portIndex" in check
        else {**check, "portIndex": 0}
        for check in checks
    ]
    return list({repr(sorted(check.items())): check for check in found}.values())
