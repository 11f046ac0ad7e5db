"""The rules of an app that is complete, which hold for whatever came out of the steps before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portway.manifests.marathon.canonical import NOTHING_TO_RUN, has_image
from portway.manifests.marathon.checks import check_faults, mesos_check_faults
from portway.manifests.marathon.constraints import constraint_faults
from portway.manifests.marathon.containers import not_enabled
from portway.manifests.marathon.networks import BRIDGE
from portway.manifests.marathon.paths import path_faults
from portway.manifests.marathon.refusal import Violation
from portway.manifests.marathon.settings import Roles, Settings

Body = Mapping[str, Any]

_NUMBERS = ("instances", "cpus", "mem", "disk", "gpus")


def model_faults(app: Body, settings: Settings, roles: Roles | None = None) -> Iterator[Violation]:
    """Every violation, of an app in canonical form that is complete."""
    container = app.get("container") or {}
    for error in path_faults(app.get("id", "")):
        yield Violation(where=("id",), error=error)
    for name in _NUMBERS:
        number = app.get(name) or 0
        if number < 0:
            yield Violation(where=(name,), error=f"got {number}, expected 0 or more")
    if not _runs_something(app, container):
        yield Violation(where=(), error=NOTHING_TO_RUN)
    yield from _gpu_faults(app, container, settings)
    yield from check_faults(app)
    yield from mesos_check_faults(app)
    yield from constraint_faults(app.get("constraints") or ())
    if any(network["mode"] == BRIDGE for network in app["networks"]):
        for nth, mapping in enumerate(container.get("portMappings") or ()):
            if mapping.get("hostPort") is None:
                told = "hostPort is required for BRIDGE mode."
                yield Violation(where=("container", "portMappings", nth), error=told)
    if roles is not None:
        yield from role_faults(app["role"], app.get("acceptedResourceRoles"), roles)


def _runs_something(app: Body, container: Body) -> bool:
    command, arguments = app.get("cmd") is not None, bool(app.get("args"))
    return not (command and arguments) and (command or arguments or has_image(container))


def _gpu_faults(app: Body, container: Body, settings: Settings) -> Iterator[Violation]:
    if (app.get("gpus") or 0) <= 0:
        return
    if container.get("type") == "DOCKER":
        yield Violation(where=(), error="GPU resources only work with the Mesos containerizer")
    if "gpu_resources" not in settings.enabled_features:
        yield Violation(where=(), error=not_enabled("gpu_resources"))


def role_faults(role: str, accepted: Any, roles: Roles) -> Iterator[Violation]:
    """The role is one of those that are valid, and only its own resources and everybody's are accepted."""
    if role not in roles.valid:
        told = f"got {role}, expected one of: [{', '.join(roles.valid)}]"
        yield Violation(where=("role",), error=told)
    if accepted is None:
        return
    if not accepted:
        yield Violation(where=("acceptedResourceRoles",), error="must not be empty")
    elif any(each not in ("*", role) for each in accepted):
        told = f"acceptedResourceRoles can only contain * and {role}"
        yield Violation(where=("acceptedResourceRoles",), error=told)
