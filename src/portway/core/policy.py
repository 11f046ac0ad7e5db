"""Policy: which powers over the machine a manifest may ask for when the caller is not its admin. Pure.

The admin (the unix socket, a token of that role) is bound by nothing. For everybody else what reaches out of
a container is off until the policy file allows it. Paths are compared after symlinks, which `real_path` follows.
"""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from portway.core.app import App, NetworkMode, Volume, VolumeKind
from portway.core.containers import members
from portway.core.errors import PolicyError, Problem, RequestError
from portway.core.ports import PortRange
from portway.core.suggest import did_you_mean

RealPath = Callable[[str], str]

_PORT_MAX = 65535
_FILE = "policy.toml (in the home of the server)"
# What every container of Docker has anyway, but NET_RAW, which portway takes away.
_PLAIN_CAPABILITIES = frozenset(
    ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
     "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT")
)  # fmt: skip
_PLAIN_SECURITY = frozenset(
    ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")
)


class Power(StrEnum):
    """What a policy can allow as a whole, by its name in the file."""

    PRIVILEGED = "privileged"
    CAP_ADD = "cap_add"
    DEVICES = "devices"
    SECURITY_OPT = "security_opt"
    SYSCTLS = "sysctls"
    EXTERNAL_VOLUMES = "external_volumes"
    EXTERNAL_NETWORKS = "external_networks"
    HOST_NETWORK = "host_network"
    PROCESSES = "processes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is allowed to callers who are no admins. `capabilities`: single ones, by name without CAP_."""

    allow: frozenset[Power] = frozenset()
    capabilities: frozenset[str] = frozenset()
    bind_paths: tuple[str, ...] = ()
    port_ranges: tuple[PortRange, ...] = field(default=(PortRange(first=1024, last=_PORT_MAX),))

    def allows_path(self, path: str, real_path: RealPath) -> bool:
        """Whether the path, after symlinks, is one of the allowed ones or below it."""
        wanted = real_path(path)
        return any(_is_within(wanted, real_path(allowed)) for allowed in self.bind_paths)

    def allows_port(self, number: int) -> bool:
        """Whether a manifest may name this port of the machine."""
        return any(number in allowed for allowed in self.port_ranges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What a manifest is judged on. `runs_commands`: the engine starts processes on the machine itself; `runs_both`:
    of Apps without an image only.
    """

    policy: Policy
    real_path: RealPath
    directory: str = ""
    runs_commands: bool = False
    runs_both: bool = False


def check_policy(apps: Iterable[App], ground: Ground, *, file: str) -> None:
    """PolicyError with everything in the Apps that the policy does not allow."""
    problems = [
        Problem(message=message, path=f"services.{app.name}.{name}", hint=hint, file=file)
        for app in apps
        for name, message, hint in _refused(app, ground)
    ]
    if problems:
        raise PolicyError(problems)


def forbidden_mount(app: App, ground: Ground) -> str:
    """A sentence about a path that may not be mounted now, "" when all may: asked again at every start."""
    for volume in _binds(app):
        path = _absolute(volume, ground)
        if not ground.policy.allows_path(path, ground.real_path):
            return (
                f"{app.name} may not mount {path}: it leads to {ground.real_path(path)}, "
                "which the policy does not allow"
            )
    return ""


def parse_policy(text: str, *, file: str) -> Policy:
    """The policy a TOML file states; RequestError naming what is wrong in it."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _broken(file, f"is not valid TOML: {error}") from error
    known = ("allow", "capabilities", "bind_paths", "ports")
    for key in table:
        if key not in known:
            raise _broken(file, f'has "{key}", which is no setting.{did_you_mean(key, known)}')
    given = {key: _texts(file, key, table.get(key, [])) for key in known}
    return Policy(
        allow=frozenset(_power(file, name) for name in given["allow"]),
        capabilities=frozenset(name.upper().removeprefix("CAP_") for name in given["capabilities"]),
        bind_paths=tuple(_path(file, path) for path in given["bind_paths"]),
        port_ranges=tuple(_ports(file, ports) for ports in given["ports"]) or Policy().port_ranges,
    )


def _refused(app: App, ground: Ground) -> Iterator[tuple[str, str, str]]:
    for power, what in _powers(app, ground):
        if power not in ground.policy.allow:
            name = "command" if power is Power.PROCESSES else _FIELDS.get(power, power.value)
            hint = (
                f'Remove it, or have an admin deploy it or add "{power.value}" to allow in {_FILE}.'
            )
            yield name, f"{what} needs an admin", hint
    for name, what, hint in (*_refused_mounts(app, ground), *_refused_ports(app, ground.policy)):
        yield name, what, hint


_FIELDS: Mapping[Power, str] = {
    Power.EXTERNAL_VOLUMES: "volumes",
    Power.EXTERNAL_NETWORKS: "networks",
    Power.HOST_NETWORK: "network_mode",
}


def _powers(app: App, ground: Ground) -> Iterator[tuple[Power, str]]:
    if ground.runs_commands or (ground.runs_both and not app.names_image):
        yield Power.PROCESSES, "running a process on the machine itself"
    if app.network_mode is NetworkMode.HOST:
        yield Power.HOST_NETWORK, "the network of the machine itself"
    for network in app.networks:
        if network.external:
            yield Power.EXTERNAL_NETWORKS, f"the network {network.name} of somebody else"
    for member in members(app):
        yield from _powers_of_container(member.app, ground)


def _powers_of_container(app: App, ground: Ground) -> Iterator[tuple[Power, str]]:
    options = app.container
    if options.privileged:
        yield Power.PRIVILEGED, "a privileged container"
    more = set(options.cap_add) - _PLAIN_CAPABILITIES - ground.policy.capabilities
    if more:
        yield Power.CAP_ADD, f"the capability {sorted(more)[0]}"
    if options.devices:
        yield Power.DEVICES, f"the device {options.devices[0]}"
    if odd := [one for one in options.security_opt if one not in _PLAIN_SECURITY]:
        yield Power.SECURITY_OPT, f"the security option {odd[0]}"
    if options.sysctls:
        yield Power.SYSCTLS, f"the sysctl {next(iter(options.sysctls))}"
    for volume in app.volumes:
        if volume.external:
            yield Power.EXTERNAL_VOLUMES, f"the volume {volume.source} of somebody else"
        elif volume.driver or volume.driver_options:  # the local one can mount any path
            yield Power.EXTERNAL_VOLUMES, f"the driver of the volume {volume.source}"


def _refused_mounts(app: App, ground: Ground) -> Iterator[tuple[str, str, str]]:
    for volume in _binds(app):
        path = _absolute(volume, ground)
        if not ground.policy.allows_path(path, ground.real_path):
            yield (
                "volumes",
                f"{path} is a path of the server's machine, and mounting it needs an admin",
                f"Use a named volume, or have an admin add the path to bind_paths in {_FILE}.",
            )


def _refused_ports(app: App, policy: Policy) -> Iterator[tuple[str, str, str]]:
    for spec in app.ports:
        fixed = app.fixed_host_port(spec)
        joint = spec.joint.service_port if spec.joint is not None else None
        numbers = (*spec.service_ports, *(number for number in (fixed, joint) if number))
        for number in numbers:
            if not policy.allows_port(number + app.start_shift):
                yield (
                    "ports",
                    f"the port {number} of the server's machine needs an admin",
                    f"Choose another left number, or have an admin add it to ports in {_FILE}.",
                )
                break


def _binds(app: App) -> Iterator[Volume]:
    every = (volume for member in members(app) for volume in member.app.volumes)
    return (volume for volume in every if volume.kind is VolumeKind.BIND)


def _absolute(volume: Volume, ground: Ground) -> str:
    return posixpath.normpath(posixpath.join("/", ground.directory, volume.source))


def _is_within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _texts(file: str, key: str, value: object) -> Sequence[str]:
    items: list[Any] = cast(list[Any], value) if isinstance(value, list) else [None]
    if not all(isinstance(item, str) for item in items):
        raise _broken(file, f'has a "{key}" that is no list of texts')
    return items


def _power(file: str, name: str) -> Power:
    names = [power.value for power in Power]
    if name not in names:
        raise _broken(file, f'allows "{name}", which is no power.{did_you_mean(name, names)}')
    return Power(name)


def _path(file: str, path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise _broken(file, f'has "{path[:80]}" in bind_paths, which is no absolute path')
    return posixpath.normpath(path)


def _ports(file: str, text: str) -> PortRange:
    first, dash, last = text.partition("-")
    numbers = [part.strip() for part in ((first, last) if dash else (first, first))]
    if all(part.isascii() and part.isdigit() and len(part) < 6 for part in numbers):
        low, high = (int(part) for part in numbers)
        if 1 <= low <= high <= _PORT_MAX:
            return PortRange(first=low, last=high)
    raise _broken(file, f'has "{text[:80]}" in ports, which is no port and no range of them')


def _broken(file: str, what: str) -> RequestError:
    return RequestError(
        f"The policy {file} {what}.",
        hint='An admin mends it; for instance: allow = ["devices"], bind_paths = ["/srv/shared"], '
        'ports = ["80", "443", "1024-65535"].',
        http_status=409,
    )
