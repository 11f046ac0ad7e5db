"""StartRequest -> what is asked of the Docker API to run it. Pure: no I/O, no clock; equal requests give equal bodies."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from portway.core.app import App, CheckKind, ContainerOptions, Resources, Volume, VolumeKind
from portway.core.instance import InstanceIdentity
from portway.core.ports import Lease
from portway.engines.base import StartRequest
from portway.engines.docker.names import container_name, network_name, volume_name

LABEL_HOME = "portway.home"
LABEL_INSTANCE = "portway.instance"
LABEL_STACK = "portway.stack"
LABEL_IDENTITY = "portway.identity"

JSON_FILE_ROTATION: Mapping[str, str] = {"max-size": "10m", "max-file": "3"}

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is the same for every container of one engine. `rotates_logs`: the daemon logs to json-file."""

    home_id: str
    publish_address: str = "127.0.0.1"
    rotates_logs: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkUse:
    """A network the container joins, and the names it is found under there. `external`: never created by us."""

    name: str
    aliases: tuple[str, ...] = ()
    external: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """Everything to ask for: the container and its networks. The first network is the stack's own."""

    name: str
    body: Body
    networks: tuple[NetworkUse, ...]
    labels: Mapping[str, str] = field(default_factory=dict)


def container_spec(request: StartRequest, settings: Settings) -> ContainerSpec:
    """The container that is this instance; everything not asked for is left to Docker's default."""
    networks = _networks(request, settings)
    labels = identity_labels(request, home_id=settings.home_id)
    return ContainerSpec(
        name=container_name(settings.home_id, request.identity.id),
        body=_body(request, settings, own=networks[0], labels=labels),
        networks=networks,
        labels=labels,
    )


def identity_labels(request: StartRequest, *, home_id: str) -> dict[str, str]:
    """Labels that let the next controller adopt the container."""
    identity = request.identity
    return {
        LABEL_HOME: home_id,
        LABEL_INSTANCE: identity.id,
        "portway.app": identity.app_id,
        LABEL_STACK: request.revision.app.stack,
        "portway.slot": str(identity.slot),
        "portway.serial": str(identity.serial),
        "portway.revision": identity.revision,
        "portway.release": identity.release,
        "portway.node": identity.node,
        LABEL_IDENTITY: msgspec.json.encode(identity).decode(),
    }


def identity_from_labels(labels: Mapping[str, str]) -> InstanceIdentity:
    """The identity written by `identity_labels`; msgspec.DecodeError when it is not one."""
    return msgspec.json.decode(labels.get(LABEL_IDENTITY, "").encode(), type=InstanceIdentity)


def connect_body(container: str, use: NetworkUse) -> Body:
    """POST /networks/{name}/connect. Docker's default bridge knows no aliases."""
    aliases = [] if use.name == "bridge" else list(use.aliases)
    return {"Container": container, "EndpointConfig": {"Aliases": aliases}}


def network_body(name: str, *, home_id: str, stack: str) -> Body:
    """POST /networks/create for a network of a stack."""
    return {
        "Name": name,
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Labels": {LABEL_HOME: home_id, LABEL_STACK: stack},
    }


def _networks(request: StartRequest, settings: Settings) -> tuple[NetworkUse, ...]:
    app = request.revision.app
    own = NetworkUse(
        name=network_name(settings.home_id, app.stack),
        aliases=_unique(
            request.aliases,
            *(n.aliases for n in app.networks if n.name == "default" and not n.external),
        ),
    )
    others = (
        NetworkUse(
            name=n.name if n.external else network_name(settings.home_id, app.stack, n.name),
            aliases=_unique(request.aliases, n.aliases),
            external=n.external,
        )
        for n in app.networks
        if n.external or n.name != "default"
    )
    return (own, *others)


def _unique(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))


def _body(
    request: StartRequest, settings: Settings, *, own: NetworkUse, labels: Mapping[str, str]
) -> Body:
    app = request.revision.app
    body: Body = {
        "Image": app.image_id or app.image,
        "Env": [f"{name}={value}" for name, value in request.environment.items()],
        "Labels": {**app.labels, **labels},
        "ExposedPorts": {key: {} for key in _exposed(request)},
        "StopSignal": app.stop_signal,
        "StopTimeout": math.ceil(app.stop_grace_s),
        "HostConfig": _host_config(request, settings, own=own),
        "NetworkingConfig": {"EndpointsConfig": {own.name: {"Aliases": list(own.aliases)}}},
    }
    body.update(_process(request))
    return body


def _process(request: StartRequest) -> Body:
    app = request.revision.app
    body: Body = {}
    if request.command is not None:
        body["Cmd"] = list(request.command)
    if app.entrypoint is not None:
        # [""] is how the API says "no entrypoint, not even the image's"; [] means the image's.
        body["Entrypoint"] = list(app.entrypoint) or [""]
    if app.user:
        body["User"] = app.user
    if app.working_dir:
        body["WorkingDir"] = app.working_dir
    if app.container.hostname:
        body["Hostname"] = app.container.hostname
    if app.container.tty:
        body["Tty"] = True
    if app.health.kind is CheckKind.NONE:
        body["Healthcheck"] = {"Test": ["NONE"]}
    return body


def _host_config(request: StartRequest, settings: Settings, *, own: NetworkUse) -> Body:
    app = request.revision.app
    body: Body = {
        "NetworkMode": own.name,
        "PortBindings": _port_bindings(request.identity.leases, settings.publish_address),
        "RestartPolicy": {"Name": "no"},
    }
    if settings.rotates_logs:
        body["LogConfig"] = {"Type": "json-file", "Config": dict(JSON_FILE_ROTATION)}
    if mounts := [_mount(v, app, request.directory, settings.home_id) for v in app.volumes]:
        body["Mounts"] = mounts
    if hosts := [f"{name}:{address}" for name, address in (*app.extra_hosts, *request.hosts)]:
        body["ExtraHosts"] = hosts
    body.update(_limits(app.resources))
    body.update(_options(app.container))
    return body


def _exposed(request: StartRequest) -> tuple[str, ...]:
    leased = (_port_key(lease) for lease in request.identity.leases)
    return _unique(leased, (f"{number}/tcp" for number in request.revision.app.expose))


def _port_key(lease: Lease) -> str:
    return f"{lease.container_port or lease.host_port}/{lease.protocol}"


def _port_bindings(leases: Iterable[Lease], publish_address: str) -> dict[str, list[Body]]:
    bindings: dict[str, list[Body]] = {}
    for lease in leases:
        binding = {"HostIp": lease.address or publish_address, "HostPort": str(lease.host_port)}
        bindings.setdefault(_port_key(lease), []).append(binding)
    return bindings


def _mount(volume: Volume, app: App, directory: str, home_id: str) -> Body:
    # Mounts, not Binds: with Binds Docker silently creates a missing host path as root.
    mount: Body = {"Type": str(volume.kind), "Target": volume.target, "ReadOnly": volume.read_only}
    match volume.kind:
        case VolumeKind.BIND:
            mount["Source"] = posixpath.normpath(posixpath.join(directory, volume.source))
        case VolumeKind.NAMED:
            if volume.external:
                return {**mount, "Source": volume.source}
            if volume.source:
                mount["Source"] = volume_name(app.stack, volume.source)
            labels = {LABEL_HOME: home_id, LABEL_STACK: app.stack}
            mount["VolumeOptions"] = {"Labels": labels}
        case VolumeKind.TMPFS:
            if volume.size_bytes is not None:
                mount["TmpfsOptions"] = {"SizeBytes": volume.size_bytes}
    return mount


def _limits(resources: Resources) -> Body:
    limits: Body = {}
    if resources.memory_bytes is not None:
        limits["Memory"] = resources.memory_bytes
    if resources.memory_reservation_bytes is not None:
        limits["MemoryReservation"] = resources.memory_reservation_bytes
    if resources.cpus is not None:
        limits["NanoCpus"] = round(resources.cpus * 1_000_000_000)
    if resources.cpu_shares is not None:
        limits["CpuShares"] = resources.cpu_shares
    if resources.pids is not None:
        limits["PidsLimit"] = resources.pids
    return limits


def _dropped(options: ContainerOptions) -> list[str]:
    """Forged packets are for those who ask for NET_RAW; Docker gives it to everybody (CVE-2021-32575 is one result)."""
    asked = {"NET_RAW", "ALL"} & {*options.cap_add, *options.cap_drop}
    raw = [] if options.privileged or asked else ["NET_RAW"]
    return [*options.cap_drop, *raw]


def _options(options: ContainerOptions) -> Body:
    every: Body = {
        "Privileged": options.privileged,
        "CapAdd": list(options.cap_add),
        "CapDrop": _dropped(options),
        "ReadonlyRootfs": options.read_only,
        "Init": options.init,
        "ShmSize": options.shm_size_bytes,
        "Ulimits": [
            {"Name": name, "Soft": soft, "Hard": hard}
            for name, (soft, hard) in options.ulimits.items()
        ],
        "Sysctls": dict(options.sysctls),
        "Dns": list(options.dns),
        "SecurityOpt": list(options.security_opt),
        "Devices": [_device(text) for text in options.devices],
        "GroupAdd": list(options.group_add),
    }
    return {key: value for key, value in every.items() if value}


def _device(text: str) -> Body:
    """HOST[:CONTAINER[:rwm]], as compose writes it."""
    on_host, _, rest = text.partition(":")
    inside, _, permissions = rest.partition(":")
    if inside and not permissions and set(inside) <= set("rwm"):
        inside, permissions = "", inside
    return {
        "PathOnHost": on_host,
        "PathInContainer": inside or on_host,
        "CgroupPermissions": permissions or "rwm",
    }
