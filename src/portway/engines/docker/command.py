"""StartRequest -> what is asked of the Docker API to run it. Pure: no I/O, no clock; equal requests give equal bodies."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from portway.core.app import (
    CheckKind,
    ContainerDependency,
    ContainerOptions,
    HealthCheck,
    NetworkMode,
    Resources,
    Volume,
    VolumeKind,
)
from portway.core.instance import InstanceIdentity
from portway.core.ports import Lease
from portway.engines.base import StartRequest
from portway.engines.docker.names import container_name, network_name, volume_name

LABEL_HOME = "portway.home"
LABEL_INSTANCE = "portway.instance"
LABEL_OWN_VOLUMES = "portway.own-volumes"  # named ones that go with the instance
LABEL_STACK = "portway.stack"
LABEL_IDENTITY = "portway.identity"
LABEL_CONTAINER = "portway.container"

BRIDGE = "bridge"  # Docker's own name of its default bridge

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
    """Everything to ask for: the container and its networks. The first network is the stack's own.

    `member`: which container of its instance it is; `depends_on` and `start_timeout_s` as in core.containers.
    """

    name: str
    body: Body
    networks: tuple[NetworkUse, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    member: str = ""
    depends_on: tuple[ContainerDependency, ...] = ()
    start_timeout_s: float = 180.0


def container_spec(request: StartRequest, settings: Settings) -> ContainerSpec:
    """The container that is this instance; everything not asked for is left to Docker's default."""
    app = request.revision.app
    labels = identity_labels(request, home_id=settings.home_id)
    if app.container_name:
        labels[LABEL_CONTAINER] = app.container_name
    if any(volume.of_instance for volume in app.volumes):
        labels[LABEL_OWN_VOLUMES] = "yes"
    return ContainerSpec(
        name=container_name(settings.home_id, request.identity.id),
        body=container_body(request, settings, labels=labels),
        networks=networks_of(request, settings),
        labels=labels,
        member=app.container_name,
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
    aliases = [] if use.name == BRIDGE else list(use.aliases)
    return {"Container": container, "EndpointConfig": {"Aliases": aliases}}


def network_body(name: str, *, home_id: str, stack: str) -> Body:
    """POST /networks/create for a network of a stack."""
    return {
        "Name": name,
        "CheckDuplicate": True,
        "Driver": "bridge",
        "Labels": {LABEL_HOME: home_id, LABEL_STACK: stack},
    }


def networks_of(request: StartRequest, settings: Settings) -> tuple[NetworkUse, ...]:
    """The networks of the container that holds the instance's address, the one with that address first."""
    app = request.revision.app
    if app.network_mode not in (NetworkMode.STACK, NetworkMode.OWN):
        return ()
    own = NetworkUse(
        name=network_name(settings.home_id, app.stack),
        aliases=_unique(
            request.aliases,
            *(n.aliases for n in app.networks if n.name == "default" and not n.external),
        ),
    )
    others = tuple(
        NetworkUse(
            name=n.name if n.external else network_name(settings.home_id, app.stack, n.name),
            aliases=_unique(request.aliases, n.aliases),
            external=n.external,
        )
        for n in app.networks
        if n.external or n.name != "default"
    )
    # An address of its own is on the network that was asked for, where one was.
    has_another = app.network_mode is NetworkMode.OWN and any(use.external for use in others)
    return others if has_another else (own, *others)


def _unique(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))


def container_body(
    request: StartRequest, settings: Settings, *, labels: Mapping[str, str], shares: str = ""
) -> Body:
    """POST /containers/create. `shares`: the container whose network, names and ports are this one's too."""
    app = request.revision.app
    body: Body = {
        "Image": app.image_id or app.image,
        "Env": [f"{name}={value}" for name, value in request.environment.items()],
        "Labels": {**app.labels, **labels},
        "StopSignal": app.stop_signal,
        "StopTimeout": math.ceil(app.stop_grace_s),
        "HostConfig": _host_config(request, settings),
    }
    body.update(_process(request))
    if shares:
        body["HostConfig"]["NetworkMode"] = f"container:{shares}"
    else:
        add_network(body, request, settings)
    return body


def add_network(body: Body, request: StartRequest, settings: Settings) -> None:
    """What only the container that holds the instance's address may say: networks, ports, names."""
    app = request.revision.app
    host: Body = body["HostConfig"]
    networks = networks_of(request, settings)
    if networks:
        own = networks[0]
        host["NetworkMode"] = own.name
        body["NetworkingConfig"] = {"EndpointsConfig": {own.name: {"Aliases": list(own.aliases)}}}
    else:
        host["NetworkMode"] = str(app.network_mode)
    if app.network_mode in (NetworkMode.STACK, NetworkMode.OWN, NetworkMode.BRIDGE):
        body["ExposedPorts"] = {key: {} for key in _exposed(request)}
        host["PortBindings"] = _port_bindings(request.identity.leases, settings.publish_address)
    if app.container.hostname:
        body["Hostname"] = app.container.hostname
    if hosts := [f"{name}:{address}" for name, address in (*app.extra_hosts, *request.hosts)]:
        host["ExtraHosts"] = hosts
    if app.container.dns:
        host["Dns"] = list(app.container.dns)
    if app.container.dns_search:
        host["DnsSearch"] = list(app.container.dns_search)


def docker_check(check: HealthCheck) -> Body:
    """Docker's own HEALTHCHECK for a COMMAND check."""
    words = list(check.command)
    test = words if words[:1] in (["CMD"], ["CMD-SHELL"]) else ["CMD", *words]
    return {
        "Test": test,
        "Interval": _nanoseconds(check.interval_s),
        "Timeout": _nanoseconds(check.timeout_s),
        "StartPeriod": _nanoseconds(check.start_period_s),
        "Retries": check.unhealthy_threshold,
    }


def _nanoseconds(duration_s: float) -> int:
    return round(duration_s * 1_000_000_000)


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
    if app.container.tty:
        body["Tty"] = True
    if app.container.interactive:
        body["OpenStdin"] = True
    if app.health.kind is CheckKind.NONE:
        body["Healthcheck"] = {"Test": ["NONE"]}
    return body


def _host_config(request: StartRequest, settings: Settings) -> Body:
    app = request.revision.app
    body: Body = {"RestartPolicy": {"Name": "no"}}
    if log := _log_config(app.container, settings):
        body["LogConfig"] = log
    plain = [volume for volume in app.volumes if not _is_tmpfs_with_options(volume)]
    if mounts := [_mount(v, request, settings.home_id) for v in plain]:
        body["Mounts"] = mounts
    if tmpfs := {v.target: _tmpfs(v) for v in app.volumes if _is_tmpfs_with_options(v)}:
        body["Tmpfs"] = tmpfs
    body.update(_limits(app.resources))
    body.update(_options(app.container))
    return body


def _log_config(options: ContainerOptions, settings: Settings) -> Body | None:
    if options.log_driver in ("", "json-file"):
        if not options.log_driver and not settings.rotates_logs:
            return None
        given = dict(options.log_options)
        return {"Type": "json-file", "Config": {**JSON_FILE_ROTATION, **given}}
    return {"Type": options.log_driver, "Config": dict(options.log_options)}


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


def _mount(volume: Volume, request: StartRequest, home_id: str) -> Body:
    stack, identity = request.revision.app.stack, request.identity
    # Mounts, not Binds: with Binds Docker silently creates a missing host path as root.
    mount: Body = {"Type": str(volume.kind), "Target": volume.target, "ReadOnly": volume.read_only}
    match volume.kind:
        case VolumeKind.BIND:
            mount["Source"] = posixpath.normpath(posixpath.join(request.directory, volume.source))
        case VolumeKind.NAMED:
            if volume.external:
                return {**mount, "Source": volume.source}
            if volume.source:
                mount["Source"] = volume_name(stack, volume.source)
            labels = {LABEL_HOME: home_id, LABEL_STACK: stack}
            if volume.of_instance:
                mount["Source"] += f".{identity.slot}.{identity.serial}"
                labels[LABEL_INSTANCE] = identity.id
            mount["VolumeOptions"] = {"Labels": labels, **_driver(volume)}
        case VolumeKind.TMPFS:
            if volume.size_bytes is not None:
                mount["TmpfsOptions"] = {"SizeBytes": volume.size_bytes}
    return mount


def _driver(volume: Volume) -> Body:
    if not (volume.driver or volume.driver_options):
        return {}
    options = dict(volume.driver_options)
    return {"DriverConfig": {"Name": volume.driver or "local", "Options": options}}


def _is_tmpfs_with_options(volume: Volume) -> bool:
    return volume.kind is VolumeKind.TMPFS and bool(volume.options)


def _tmpfs(volume: Volume) -> str:
    """Options of a tmpfs as `mount -o` takes them; a mount of the API knows only its size."""
    size = [] if volume.size_bytes is None else [f"size={volume.size_bytes}"]
    return ",".join([*size, *volume.options, *(["ro"] if volume.read_only else [])])


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
    if resources.swap_bytes is not None and resources.memory_bytes is not None:
        limits["MemorySwap"] = resources.memory_bytes + resources.swap_bytes
    if resources.swappiness is not None:
        limits["MemorySwappiness"] = resources.swappiness
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
