"""The rules of an app's container: its image, its volumes, and secrets wherever an app or pod names them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portway.manifests.marathon.deprecated import all_distinct
from portway.manifests.marathon.refusal import Violation, Where
from portway.manifests.marathon.settings import Settings

Body = Mapping[str, Any]

_IMAGE_KINDS = "mesos containers should specify, at most, a single image type"


def not_enabled(feature: str) -> str:
    """What is said of a feature that is off; the odd bracket is Marathon's."""
    return f"Feature {feature} is not enabled. Enable with --enable_features {feature})"


def container_faults(app: Body, settings: Settings) -> Iterator[Violation]:
    """Every violation of an app's container."""
    container = app.get("container")
    if container is None:
        return
    docker = container.get("docker")
    if container["type"] == "DOCKER" and docker is None:
        yield Violation(where=("container", "docker"), error="not defined")
    if container["type"] == "MESOS" and docker is not None and container.get("appc") is not None:
        yield Violation(where=("container",), error=_IMAGE_KINDS)
    if docker is not None and docker.get("pullConfig"):
        yield from _pull_faults(app, container["type"], docker["pullConfig"], settings)
    yield from _volume_faults(app, container, settings)


def _pull_faults(app: Body, kind: str, pull: Body, settings: Settings) -> Iterator[Violation]:
    where: Where = ("container", "docker", "pullConfig")
    if kind == "DOCKER":
        told = "pullConfig is not supported with Docker containerizer"
        yield Violation(where=where, error=told)
        return
    if "secrets" not in settings.enabled_features:
        yield Violation(where=where, error="must be empty")
        yield Violation(where=where, error=not_enabled("secrets"))
    if pull["secret"] not in (app.get("secrets") or {}):
        told = "pullConfig.secret must refer to an existing secret"
        yield Violation(where=where, error=told)


def _volume_faults(app: Body, container: Body, settings: Settings) -> Iterator[Violation]:
    secrets = app.get("secrets") or {}
    volumes = container.get("volumes") or ()
    for nth, volume in enumerate(volumes):
        where: Where = ("container", "volumes", nth)
        if not volume.get("containerPath"):
            yield Violation(where=(*where, "containerPath"), error="must not be empty")
        if "persistent" in volume:
            yield from _persistent_faults(volume, where)
        elif "external" in volume:
            if "external_volumes" not in settings.enabled_features:
                yield Violation(where=where, error=not_enabled("external_volumes"))
        elif "secret" in volume:
            if "secrets" not in settings.enabled_features:
                yield Violation(where=where, error=not_enabled("secrets"))
            if volume["secret"] not in secrets:
                told = "volume.secret must refer to an existing secret"
                yield Violation(where=where, error=told)
        elif not volume.get("hostPath"):
            yield Violation(where=(*where, "hostPath"), error="must not be empty")
    if not all_distinct(_external_name(volume) for volume in volumes):
        yield Violation(where=("container", "volumes"), error="Volume names must be unique")


def _external_name(volume: Body) -> str | None:
    external = volume.get("external")
    name = external.get("name") if isinstance(external, Mapping) else None
    return name if isinstance(name, str) else None


def _persistent_faults(volume: Body, where: Where) -> Iterator[Violation]:
    info, inside = volume["persistent"], (*where, "persistent")
    if "/" in volume["containerPath"]:
        yield Violation(where=(*where, "containerPath"), error='value must not contain "/"')
    if volume["mode"] != "RW":
        yield Violation(where=(*where, "mode"), error="is not equal to Rw")
    if info["size"] <= 0:
        yield Violation(where=(*inside, "size"), error=f"got {info['size']}, expected more than 0")
    is_mount = info.get("type") == "mount"
    if info.get("maxSize") is not None and not is_mount:
        yield Violation(where=inside, error="Only mount volumes can have maxSize")
    if info.get("maxSize") is not None and info["maxSize"] <= info["size"]:
        yield Violation(where=inside, error="Max size must be larger than size")
    if info.get("type", "root") == "root" and info["constraints"]:
        yield Violation(where=inside, error="Constraints on root volumes are not supported")


def secret_faults(
    owner: Body, key: str, settings: Settings, *, declared: Body | None = None, inside: Where = ()
) -> Iterator[Violation]:
    """The secrets an app, pod or container declares, and those its variables at `key` refer to. `declared`: by the pod around it."""
    enabled = "secrets" in settings.enabled_features
    secrets = owner.get("secrets") or {}
    if secrets and not enabled:
        yield Violation(where=(*inside, "secrets"), error=not_enabled("secrets"))
    for name, secret in secrets.items():
        if enabled and not (name and secret["source"]):
            yield Violation(where=(*inside, "secrets", name), error="must not be empty")
    known = secrets if declared is None else declared
    for name, value in (owner.get(key) or {}).items():
        if not name:
            yield Violation(where=(*inside, key), error="must not be empty")
        if isinstance(value, Mapping):
            if not enabled:
                yield Violation(where=(*inside, key, name), error=not_enabled("secrets"))
            if value["secret"] not in known:
                told = "references an undefined secret"
                yield Violation(where=(*inside, key, name, "secret"), error=told)
