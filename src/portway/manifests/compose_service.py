"""One compose service -> one App. Everything it needs from outside itself comes in a Scope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portway.core.app import App, Exposure, Link
from portway.manifests.compose_container import build_of, container_of
from portway.manifests.compose_deploy import (
    chooses_order,
    count_of,
    deploy_of,
    is_stateful,
    resources_of,
    restart_of,
    rollout_of,
)
from portway.manifests.compose_environment import EnvFiles, environment_of
from portway.manifests.compose_health import health_of, readiness_of
from portway.manifests.compose_keys import IGNORED, REFUSED, SERVICE
from portway.manifests.compose_labels import (
    Labels,
    is_balanced,
    listen_as_labelled,
    start_shift_of,
)
from portway.manifests.compose_network import (
    Networks,
    PlacedDependency,
    check_network_mode,
    extra_hosts_of,
)
from portway.manifests.compose_ports import PlacedPort, expose_of, ports_of
from portway.manifests.compose_storage import Storage
from portway.manifests.compose_values import command_of, duration_of, ignore, refuse, signal_of
from portway.manifests.tree import Fields, filled_text_of, shown, warn_unknown

_DEFAULT = App(id="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What all services of one manifest share."""

    stack: str
    directory: str
    variables: Mapping[str, str]
    env_files: EnvFiles
    networks: Networks
    storage: Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Bonds:
    """How one service hangs together with the others. `awaited`: another waits for it to complete."""

    links: tuple[Link, ...]
    dependencies: tuple[PlacedDependency, ...]
    awaited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRead:
    """An App, where its ports stand in the file, and its own node."""

    app: App
    ports: tuple[PlacedPort, ...]
    fields: Fields


def read_service(name: str, fields: Fields, *, scope: Scope, bonds: Bonds) -> ServiceRead:
    """The App of one service; what is wrong with it is collected, and a default stands in for it."""
    warn_unknown(fields, SERVICE, of="a service")
    ignore(fields, IGNORED)
    refuse(fields, REFUSED)
    check_network_mode(fields)
    labels = Labels(fields.get("labels"), service=name)
    labels.warn_unknown()
    ports = ports_of(fields.get("ports"), balanced=is_balanced(labels))
    ports = listen_as_labelled(ports, labels)
    app = _app(name, fields, labels, ports, scope=scope, bonds=bonds)
    _check_runs(name, fields, app)
    _warn_of_pause(fields, app, labels)
    return ServiceRead(app=app, ports=ports, fields=fields)


def _app(
    name: str,
    fields: Fields,
    labels: Labels,
    placed: tuple[PlacedPort, ...],
    *,
    scope: Scope,
    bonds: Bonds,
) -> App:
    deploy = deploy_of(fields)
    count = count_of(fields, deploy)
    command, command_text = command_of(fields.get("command"))
    volumes = scope.storage.volumes_of(fields)
    ports = tuple(port.spec for port in placed)
    grace_s = duration_of(fields.get("stop_grace_period"))
    return App(
        id=f"{scope.stack}/{name}",
        image=_image(fields),
        build=build_of(fields, name=name, directory=scope.directory, variables=scope.variables),
        command=command,
        command_text=command_text,
        entrypoint=command_of(fields.get("entrypoint"))[0],
        environment=environment_of(
            fields, bonds.links, name=name, variables=scope.variables, env_files=scope.env_files
        ),
        count=count,
        ports=ports,
        expose=expose_of(fields.get("expose")),
        health=health_of(fields.get("healthcheck"), labels, ports),
        readiness=readiness_of(labels, ports),
        rollout=rollout_of(deploy, labels, volumes, count=count),
        resources=resources_of(fields, deploy),
        volumes=volumes,
        networks=scope.networks.of(fields),
        extra_hosts=extra_hosts_of(fields),
        links=bonds.links,
        depends_on=tuple(dependency.spec for dependency in bonds.dependencies),
        labels=labels.values,
        restart=restart_of(fields, deploy, awaited=bonds.awaited),
        user=fields.text("user") or "",
        working_dir=fields.text("working_dir") or "",
        stop_signal=signal_of(fields.get("stop_signal")) or _DEFAULT.stop_signal,
        stop_grace_s=_DEFAULT.stop_grace_s if grace_s is None else grace_s,
        container=container_of(fields),
        start_shift=start_shift_of(labels),
    )


def _image(fields: Fields) -> str | None:
    node = fields.get("image")
    image = filled_text_of(node)
    if node is None or image is None:
        return None
    image = image.strip()
    if any(c.isspace() or not c.isprintable() for c in image):
        node.error(f"'{shown(image)}' is not the name of an image", "Remove the spaces.")
    elif any(c.isupper() for c in _repository(image)):
        lower = image.replace(_repository(image), _repository(image).lower())
        node.error(
            f"'{shown(image)}' is not the name of an image: they are lower case",
            f"Write {shown(lower)}.",
        )
    return image


def _repository(image: str) -> str:
    """The part of an image's name that must be lower case: without registry, tag and digest."""
    name = image.partition("@")[0]
    first, slash, rest = name.partition("/")
    # As Docker tells them apart: what has a dot, a colon or a capital before the first slash is a registry.
    if slash and (set(first) & set(".:") or first == "localhost" or first != first.lower()):
        name = rest
    last = name.rpartition("/")[2]
    return name.removesuffix(":" + last.partition(":")[2]) if ":" in last else name


def _check_runs(name: str, fields: Fields, app: App) -> None:
    given = fields.get("image") or fields.get("build") or app.command
    if not given:
        unlike = (key for key in fields.entries if key not in ("image", "build", "command"))
        meant = [(key, fields.suggest(key, ("image", "build", "command"))) for key in unlike]
        mistyped = next((f" It has '{shown(key)}'. {guess}" for key, guess in meant if guess), "")
        fields.error(
            f"{name} has nothing to run",
            f"Give it an image or a build, or a command for --engine process.{mistyped}",
        )


def _warn_of_pause(fields: Fields, app: App, labels: Labels) -> None:
    """A public service that stops before its successor starts will miss requests: say so, and why."""
    public = any(spec.exposure is Exposure.PUBLIC for spec in app.ports)
    deploy = fields.get("deploy")
    chosen = chooses_order(deploy if isinstance(deploy, Fields) else None, labels)
    if public and not chosen and is_stateful(app.volumes):
        fields.keys["volumes"].warn(
            f"{app.name} writes to a volume, so a deploy stops its old instance before the new one starts",
            "Mount it with :ro if it is only read, or write deploy.update_config.order: start-first.",
        )
