"""What only a container engine understands: build, privileges, kernel settings -> Build, ContainerOptions."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from portway.core.app import Build, ContainerOptions
from portway.manifests.compose_network import check_hostname
from portway.manifests.compose_values import ignore, refuse, size_of
from portway.manifests.tree import (
    Fields,
    Node,
    Scalar,
    fields_of,
    filled_text_of,
    integer_of,
    pairs_of,
    scalars_of,
    shown,
    texts_of,
    warn_unknown,
)

_BUILD_IGNORED = {
    key: f"{key} is ignored: portway builds with the engine's own builder and its cache"
    for key in (
        "cache_from", "cache_to", "labels", "network", "shm_size", "ssh", "secrets", "platforms", "pull",
        "no_cache", "extra_hosts", "tags", "isolation", "privileged", "ulimits", "entitlements",
        "provenance", "sbom",
    )
}  # fmt: skip
_BUILD_REFUSED = {
    "dockerfile_inline": (
        "a Dockerfile inside the manifest is not supported",
        "Put it into a file.",
    ),
    "additional_contexts": (
        "additional build contexts are not supported",
        "Copy what is needed into the one context.",
    ),
}
_BUILD_KEYS = ("context", "dockerfile", "args", "target", *_BUILD_IGNORED, *_BUILD_REFUSED)
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/")
_CAPABILITY = re.compile(r"[A-Za-z_]{2,40}")
_ULIMIT_MAX = (1 << 63) - 1


def build_of(
    service: Fields, *, name: str, directory: str, variables: Mapping[str, str]
) -> Build | None:
    """How the service's image is made; the context is resolved against the manifest's directory."""
    node = service.get("build")
    dockerfile_node = service.get("dockerfile")
    if node is None:
        if dockerfile_node is not None:
            dockerfile_node.error("dockerfile without build", "Add build: . beside it.")
        return None
    if isinstance(node, Scalar):
        context, fields = filled_text_of(node), None
    else:
        fields = fields_of(node)
        if fields is None:
            return None
        context = _checked_build(fields)
    inner = fields.get("dockerfile") if fields else None
    if inner is not None and dockerfile_node is not None:
        dockerfile_node.error(f"dockerfile specified twice for {name}", "Keep the one under build.")
    if context is None:
        return None
    return Build(
        context=_context(node, context, directory),
        dockerfile=filled_text_of(inner or dockerfile_node) or "Dockerfile",
        args=_build_args(fields, variables),
        target=(fields.text("target") if fields else None) or "",
    )


def _checked_build(fields: Fields) -> str | None:
    warn_unknown(fields, _BUILD_KEYS, of="build")
    ignore(fields, _BUILD_IGNORED)
    refuse(fields, _BUILD_REFUSED)
    return filled_text_of(fields.get("context")) if fields.get("context") is not None else "."


def _context(node: Node, context: str, directory: str) -> str:
    if _REMOTE.match(context):
        node.error(
            f"the build context '{shown(context)}' is not a directory on this machine",
            "Clone it first, and write the path of the clone.",
        )
    return posixpath.normpath(posixpath.join(directory, context))


def _build_args(fields: Fields | None, variables: Mapping[str, str]) -> dict[str, str]:
    """The build's arguments; one without a value takes it from the variables, or is left to the Dockerfile."""
    args: dict[str, str] = {}
    for pair in pairs_of(fields.get("args") if fields else None):
        if pair.value is not None:
            args[pair.key] = pair.value
        elif pair.key in variables:
            args[pair.key] = variables[pair.key]
    return args


def container_of(service: Fields) -> ContainerOptions:
    """The container options of a service."""
    return ContainerOptions(
        privileged=service.flag("privileged"),
        cap_add=_capabilities(service.get("cap_add")),
        cap_drop=_capabilities(service.get("cap_drop")),
        read_only=service.flag("read_only"),
        init=service.flag("init"),
        hostname=check_hostname(service.get("hostname")),
        tty=service.flag("tty"),
        shm_size_bytes=size_of(service.get("shm_size")),
        ulimits=_ulimits(fields_of(service.get("ulimits"))),
        sysctls=_sysctls(service.get("sysctls")),
        dns=texts_of(service.get("dns")),
        security_opt=texts_of(service.get("security_opt")),
        devices=_devices(service),
        group_add=texts_of(service.get("group_add")),
    )


def _capabilities(node: Node | None) -> tuple[str, ...]:
    names: list[str] = []
    for scalar in scalars_of(node):
        if _CAPABILITY.fullmatch(scalar.value):
            names.append(scalar.value.upper().removeprefix("CAP_"))
        else:
            scalar.error(f"'{shown(scalar.value)}' is not a capability", "For instance NET_ADMIN.")
    return tuple(names)


def _ulimits(fields: Fields | None) -> dict[str, tuple[int, int]]:
    limits: dict[str, tuple[int, int]] = {}
    for name in fields.entries if fields else ():
        node = fields.get(name) if fields else None
        if isinstance(node, Fields):
            warn_unknown(node, ("soft", "hard"), of="a ulimit")
            soft, hard = _ulimit(node.get("soft")), _ulimit(node.get("hard"))
        else:
            soft = hard = _ulimit(node)
        if soft is None and hard is None:
            continue
        soft, hard = hard if soft is None else soft, soft if hard is None else hard
        assert soft is not None
        assert hard is not None
        if -1 < hard < soft and node is not None:
            node.error(
                f"the soft limit {soft} is above the hard limit {hard}", "Lower the soft one."
            )
        limits[name] = (soft, hard)
    return limits


def _ulimit(node: Node | None) -> int | None:
    return integer_of(node, minimum=-1, maximum=_ULIMIT_MAX)


def _sysctls(node: Node | None) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in pairs_of(node):
        if pair.value is None:
            pair.node.error(f"the sysctl {shown(pair.key)} has no value", "Write name=value.")
        else:
            values[pair.key] = pair.value
    return values


def _devices(service: Fields) -> tuple[str, ...]:
    for scalar in (devices := scalars_of(service.get("devices"))):
        if not scalar.value.startswith("/"):
            scalar.error(
                f"'{shown(scalar.value)}' is not a device",
                "Write its path, for instance /dev/fuse.",
            )
    return tuple(scalar.value for scalar in devices)
