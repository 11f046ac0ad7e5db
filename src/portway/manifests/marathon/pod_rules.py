"""The rules of a pod, and a pod in canonical form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from portway.manifests.marathon.canonical import (
    network_faults,
    network_name_faults,
    unreachable_faults,
)
from portway.manifests.marathon.constraints import pod_constraint_faults
from portway.manifests.marathon.containers import not_enabled, secret_faults
from portway.manifests.marathon.deprecated import all_distinct, is_uri
from portway.manifests.marathon.networks import CONTAINER, HOST
from portway.manifests.marathon.normalise import named_networks, upgrade_strategy
from portway.manifests.marathon.paths import path_faults
from portway.manifests.marathon.refusal import Violation, Where
from portway.manifests.marathon.settings import Settings

Body = Mapping[str, Any]

_BACKOFF = {"backoff": 1, "backoffFactor": 1.15, "maxLaunchDelay": 300}
_EXECUTOR = {"cpus": 0.1, "mem": 32, "disk": 10}


def is_resident(pod: Body) -> bool:
    """Whether it has a volume that stays with its instance."""
    return any("persistent" in volume for volume in pod.get("volumes") or ())


def normal_pod(pod: Body, settings: Settings) -> dict[str, Any]:
    """The pod in canonical form: networks named, host ports and strategies filled in."""
    networks = named_networks(pod["networks"], settings)
    publishes = all(network["mode"] != CONTAINER for network in networks)
    resident = is_resident(pod)
    return {
        **pod,
        "networks": networks or [{"mode": HOST, "labels": {}}],
        "containers": [_container(each, publishes=publishes) for each in pod["containers"]],
        "scaling": pod.get("scaling") or {"kind": "fixed", "instances": 1},
        "scheduling": _scheduling(pod.get("scheduling") or {}, resident=resident),
        "executorResources": pod.get("executorResources") or dict(_EXECUTOR),
        "role": pod.get("role") or settings.default_role,
    }


def _container(container: Body, *, publishes: bool) -> dict[str, Any]:
    if not publishes:
        return dict(container)
    endpoints = [{**each, "hostPort": each.get("hostPort") or 0} for each in container["endpoints"]]
    return {**container, "endpoints": endpoints}


def _scheduling(given: Body, *, resident: bool) -> dict[str, Any]:
    unreachable = {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}
    return {
        "backoff": given.get("backoff") or dict(_BACKOFF),
        "upgrade": given.get("upgrade") or upgrade_strategy(stateful=resident),
        "placement": given.get("placement") or {"constraints": [], "acceptedResourceRoles": []},
        "killSelection": given.get("killSelection") or "YOUNGEST_FIRST",
        "unreachableStrategy": given.get("unreachableStrategy") or ("disabled" if resident else unreachable),
    }  # fmt: skip


def pod_faults(pod: Body, settings: Settings) -> Iterator[Violation]:
    """Every violation, of a pod as it was read."""
    for error in path_faults(pod.get("id", "")):
        yield Violation(where=("id",), error=error)
    if pod.get("user") == "":
        yield Violation(where=("user",), error="must not be empty")
    yield from secret_faults(pod, "environment", settings)
    yield from _volume_faults(pod, settings)
    yield from network_faults(pod["networks"], settings)
    yield from _containers_faults(pod, settings)
    yield from _scheduling_faults(pod)
    for error in _unique_errors(pod["containers"]):
        yield Violation(where=(), error=error)


def _volume_faults(pod: Body, settings: Settings) -> Iterator[Violation]:
    volumes = pod["volumes"]
    if not all_distinct(volume["name"] for volume in volumes):
        yield Violation(where=("volumes",), error="volume names must be unique")
    mounted = {mount["name"] for each in pod["containers"] for mount in each["volumeMounts"]}
    for nth, volume in enumerate(volumes):
        where: Where = ("volumes", nth)
        if volume["name"] not in mounted:
            told = "volume must be referenced by at least one container"
            yield Violation(where=where, error=told)
        if "secret" in volume and "secrets" not in settings.enabled_features:
            yield Violation(where=where, error=not_enabled("secrets"))
        if "secret" in volume and volume["secret"] not in pod["secrets"]:
            told = "volume.secret must refer to an existing secret"
            yield Violation(where=where, error=told)


def _containers_faults(pod: Body, settings: Settings) -> Iterator[Violation]:
    containers: Sequence[Body] = pod["containers"]
    if not containers:
        yield Violation(where=("containers",), error="must not be empty")
    if not all_distinct(container["name"] for container in containers):
        yield Violation(where=("containers",), error="container names must be unique")
    volumes = {volume["name"] for volume in pod["volumes"]}
    for nth, container in enumerate(containers):
        where: Where = ("containers", nth)
        yield from secret_faults(container, "environment", settings, declared=pod["secrets"], inside=where)  # fmt: skip
        yield from _endpoint_faults(container, where, pod["networks"])
        yield from _health_faults(container, where)
        yield from _part_faults(container, where, volumes)


def _part_faults(container: Body, where: Where, volumes: set[str]) -> Iterator[Violation]:
    for nth, mount in enumerate(container["volumeMounts"]):
        if mount["name"] not in volumes:
            told = "Referenced Volume in VolumeMount should exist"
            yield Violation(where=(*where, "volumeMounts", nth, "name"), error=told)
    for nth, artifact in enumerate(container["artifacts"]):
        if not is_uri(artifact["uri"]):
            yield Violation(where=(*where, "artifacts", nth, "uri"), error="URI has invalid syntax.")  # fmt: skip
    if container.get("check") and _ways(container["check"]) != 1:
        told = "Only one of http, tcp, or command may be specified"
        yield Violation(where=(*where, "check"), error=told)


def _endpoint_faults(
    container: Body, where: Where, networks: Sequence[Body]
) -> Iterator[Violation]:
    names = [network["name"] for network in networks if network.get("name")]
    modes = {network["mode"] for network in networks}
    for nth, endpoint in enumerate(container["endpoints"]):
        here = (*where, "endpoints", nth)
        has_number = endpoint.get("containerPort") is not None
        if HOST in modes and has_number:
            told = "is not allowed when using host-mode networking"
            yield Violation(where=(*here, "containerPort"), error=told)
        if CONTAINER in modes and not has_number:
            told = "is required when using container-mode networking"
            yield Violation(where=(*here, "containerPort"), error=told)
        if not all_distinct(each for each in endpoint["protocol"]):
            told = "Duplicate protocols within the same endpoint are not allowed"
            yield Violation(where=(*here, "protocol"), error=told)
        yield from network_name_faults(endpoint, here, networks, names)


def _ways(check: Body) -> int:
    return sum(check.get(way) is not None for way in ("http", "tcp", "exec"))


def _health_faults(container: Body, where: Where) -> Iterator[Violation]:
    check = container.get("healthCheck")
    if check is None:
        return
    here = (*where, "healthCheck")
    if _ways(check) != 1:
        told = "Only one of http, tcp, or command may be specified"
        yield Violation(where=here, error=told)
    timeout_s, interval_s = check["timeoutSeconds"], check["intervalSeconds"]
    if timeout_s >= interval_s:
        told = f"got {timeout_s}, expected less than {interval_s}"
        yield Violation(where=(*here, "timeoutSeconds"), error=told)
    names = {endpoint["name"] for endpoint in container["endpoints"]}
    for way in ("http", "tcp"):
        asked = check.get(way)
        if asked is not None and asked["endpoint"] not in names:
            told = "contained in the container endpoints"
            yield Violation(where=(*here, way, "endpoint"), error=told)


def _scheduling_faults(pod: Body) -> Iterator[Violation]:
    resident, scheduling = is_resident(pod), pod.get("scheduling") or {}
    placement = scheduling.get("placement") or {}
    yield from pod_constraint_faults(placement.get("constraints") or ())
    strategy = scheduling.get("unreachableStrategy")
    yield from unreachable_faults(strategy, ("scheduling",), resident=resident)
    if resident and (scheduling.get("upgrade") or {}).get("maximumOverCapacity"):
        where: Where = ("scheduling", "upgrade", "maximumOverCapacity")
        got = float(scheduling["upgrade"]["maximumOverCapacity"])
        yield Violation(where=where, error=f"got {got}, expected 0.0")
    if resident and pod.get("role") == "*":
        yield Violation(where=("role",), error="Resident pods cannot have the role *")


def _unique_errors(containers: Sequence[Body]) -> Iterator[str]:
    endpoints = [endpoint for container in containers for endpoint in container["endpoints"]]
    if not all_distinct(endpoint["name"] for endpoint in endpoints):
        yield "endpoint names nust be unique across all containers"
    if not all_distinct(endpoint.get("containerPort") or None for endpoint in endpoints):
        yield "container ports must be unique across all containers"
    if not all_distinct(endpoint.get("hostPort") or None for endpoint in endpoints):
        yield "host ports must be unique across all containers"
