"""A definition as GET shows it: in a settled order, without what is left out when it is empty."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

Body = Mapping[str, Any]

_APP_LATE = ("role", "unreachableStrategy", "upgradeStrategy")
_NEVER = ("ports", "uris", "ipAddress", "version", "versionInfo")
_APP_EMPTY = frozenset(
    ("args", "constraints", "dependencies", "env", "fetch", "healthChecks", "readinessChecks", "secrets")
)  # fmt: skip
_POD_EMPTY = frozenset(("environment", "secrets"))
_CONTAINER_EMPTY = frozenset(("endpoints", "environment", "volumeMounts", "artifacts", "labels"))
_PORT_EMPTY = frozenset(("labels", "networkNames", "protocol"))


def emit_app(app: Body) -> dict[str, Any]:
    """An app without its version, which is not of the definition; as often as one likes, it stays the same."""
    shown = {key: value for key, value in app.items() if key not in _NEVER + _APP_LATE}
    shown = _without_empty(shown, _APP_EMPTY)
    shown["networks"] = [_without_empty(each, ("labels",)) for each in app["networks"]]
    if "portDefinitions" in shown:
        shown["portDefinitions"] = [_without_empty(each, ("labels",)) for each in app["portDefinitions"]]  # fmt: skip
    if "container" in shown:
        shown["container"] = _container(app["container"])
    return {**shown, **{key: app[key] for key in _APP_LATE if key in app}}


def _container(container: Body) -> dict[str, Any]:
    found = dict(container)
    if "portMappings" in container:
        found["portMappings"] = [_without_empty(each, ("networkNames",)) for each in container["portMappings"]]  # fmt: skip
    return found


def emit_pod(pod: Body) -> dict[str, Any]:
    """A pod without its version."""
    shown = _without_empty({k: v for k, v in pod.items() if k not in _NEVER}, _POD_EMPTY)
    shown["networks"] = [_without_empty(each, ("labels",)) for each in pod["networks"]]
    shown["containers"] = [_pod_container(each) for each in pod["containers"]]
    return shown


def _pod_container(container: Body) -> dict[str, Any]:
    shown = _without_empty(container, _CONTAINER_EMPTY)
    if "endpoints" in shown:
        shown["endpoints"] = [_without_empty(each, _PORT_EMPTY) for each in shown["endpoints"]]
    if "image" in shown:
        shown["image"] = _without_empty(shown["image"], ("labels",))
    return shown


def _without_empty(value: Body, keys: Collection[str]) -> dict[str, Any]:
    return {key: inner for key, inner in value.items() if inner or key not in keys}
