"""Compose `volumes` and `tmpfs` -> Volumes. A bind's relative path begins at the manifest's directory."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from portway.core.app import Volume, VolumeKind
from portway.manifests.compose_values import ignore, parse_size, size_of
from portway.manifests.tree import (
    Fields,
    Node,
    fields_of,
    filled_text_of,
    is_null,
    items_of,
    scalars_of,
    shown,
    warn_unknown,
)

_TOP_KEYS = ("external", "name", "driver", "driver_opts", "labels")
_LONG_KEYS = ("type", "source", "src", "target", "dst", "destination", "read_only", "readonly", "bind", "volume", "tmpfs", "consistency")  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_READ_ONLY = frozenset(("ro", "readonly"))
_HARMLESS = frozenset(("rw", "cached", "delegated", "consistent", "nocopy"))
_IGNORED_OPTIONS = {
    "z": "SELinux labels are not changed",
    "Z": "SELinux labels are not changed",
    "rslave": "mounts are not propagated", "slave": "mounts are not propagated",
    "rshared": "mounts are not propagated", "shared": "mounts are not propagated",
    "rprivate": "mounts are not propagated", "private": "mounts are not propagated",
}  # fmt: skip
_TMPFS_SIZE = re.compile(r"size=(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedVolumes:
    """The top-level `volumes`: the engine's name of each, and which are external. `any_name`: version 1 had none."""

    external: Mapping[str, str]
    names: frozenset[str]
    any_name: bool


def named_volumes_of(node: Node | None, *, any_name: bool) -> NamedVolumes:
    """What the file declares at its top level."""
    fields = fields_of(node)
    external: dict[str, str] = {}
    names: set[str] = set()
    for key, value in fields.entries.items() if fields else ():
        if fields and key.startswith("x-"):
            continue
        names.add(key)
        declared = None if is_null(value) else fields_of(value)
        if declared is not None:
            name = _external_name(key, declared)
            if name:
                external[key] = name
    return NamedVolumes(external=external, names=frozenset(names), any_name=any_name)


def _external_name(key: str, declared: Fields) -> str:
    warn_unknown(declared, _TOP_KEYS, of="a volume")
    reason = "is ignored: portway uses the engine's own volumes"
    ignore(declared, {k: f"{k} {reason}" for k in ("driver_opts", "labels")})
    if declared.text("driver") not in (None, "local"):
        declared.keys["driver"].error(
            f"the volume driver '{shown(declared.text('driver') or '')}' is not supported",
            "Make the volume yourself and declare it with external: true.",
        )
    name = declared.text("name")
    if isinstance(declared.get("external"), Fields):
        inner = fields_of(declared.get("external"))
        return (inner.text("name") if inner else None) or name or key
    if declared.flag("external"):
        return name or key
    return name or ""  # a name of its own is used as it is, not prefixed with the stack's


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What a service's volumes are read against."""

    named: NamedVolumes
    directory: str
    home: str  # what ~ stands for, "" when unknown

    def volumes_of(self, service: Fields) -> tuple[Volume, ...]:
        """Every mount of the service; two at one path are an error."""
        mounts: dict[str, Volume] = {}
        written = [(item, self._volume(item)) for item in items_of(service.get("volumes"))]
        written += [(item, _tmpfs(item)) for item in scalars_of(service.get("tmpfs"))]
        for node, volume in written:
            if volume is None:
                continue
            if volume.target in mounts:
                node.error(
                    f"two volumes are mounted at {shown(volume.target)}", "Remove one of them."
                )
            mounts[volume.target] = volume
        return tuple(mounts.values())

    def _volume(self, node: Node) -> Volume | None:
        if isinstance(node, Fields):
            return self._long(node)
        text = filled_text_of(node)
        if text is None:
            return None
        parts = text.strip().split(":")
        if len(parts) > 3 or not all(parts):
            node.error(
                f"'{shown(text)}' is not a volume",
                "Write source:/target, source:/target:ro, or /target alone.",
            )
            return None
        target = _target(node, parts[-1] if len(parts) == 1 else parts[1])
        if target is None:
            return None
        read_only = len(parts) == 3 and _read_only(node, parts[2])
        if len(parts) == 1:
            return Volume(kind=VolumeKind.NAMED, source="", target=target)
        return self._mount(node, parts[0], target, read_only=read_only)

    def _mount(self, node: Node, source: str, target: str, *, read_only: bool) -> Volume | None:
        if source[0] in "/.~":
            return self._bind(node, source, target, read_only=read_only)
        return self._named(node, source, target, read_only=read_only)

    def _bind(self, node: Node, source: str, target: str, *, read_only: bool) -> Volume | None:
        if source == "~" or source.startswith("~/"):
            if not self.home:
                node.error("'~' is not known here", "Write the whole path.")
                return None
            source = self.home + source[1:]
        path = posixpath.normpath(posixpath.join(self.directory, source))
        return Volume(kind=VolumeKind.BIND, source=path, target=target, read_only=read_only)

    def _named(self, node: Node, source: str, target: str, *, read_only: bool) -> Volume | None:
        if not _NAME.fullmatch(source):
            node.error(
                f"'{shown(source)}' is neither a path nor the name of a volume",
                f"Begin a path with './': ./{shown(source)}:{shown(target)}.",
            )
            return None
        if source not in self.named.names and not self.named.any_name:
            hint = node.suggest(source, self.named.names)
            node.error(
                f"the volume '{source}' is not declared",
                hint or f"Add it to the top-level volumes, or write ./{source} for a directory.",
            )
            return None
        external = source in self.named.external
        name = self.named.external.get(source, source)
        return Volume(
            kind=VolumeKind.NAMED,
            source=name,
            target=target,
            read_only=read_only,
            external=external,
        )

    def _long(self, node: Fields) -> Volume | None:
        warn_unknown(node, _LONG_KEYS, of="a volume")
        kind = node.text("type") or "volume"
        target = _first_text(node, "target", "dst", "destination")
        source = _first_text(node, "source", "src")
        if target is None:
            node.error(
                "a volume needs a target, the path inside the container", "Add target: /path."
            )
            return None
        target = _target(node, target)
        if target is None:
            return None
        read_only = node.flag("read_only") or node.flag("readonly")
        match kind:
            case "tmpfs":
                return _long_tmpfs(node, target)
            case "volume" if not source:
                return Volume(kind=VolumeKind.NAMED, source="", target=target, read_only=read_only)
            case "volume":
                _ignore_inside(node, "volume", ("nocopy", "subpath"))
                return self._named(node, source or "", target, read_only=read_only)
            case "bind" if source:
                _ignore_inside(
                    node, "bind", ("propagation", "selinux", "create_host_path", "recursive")
                )
                return self._bind(node, source, target, read_only=read_only)
            case "bind":
                node.error("a bind needs a source, the path on this machine", "Add source: ./path.")
            case _:
                hint = (
                    node.suggest(kind, ("bind", "volume", "tmpfs"))
                    or "Write bind, volume or tmpfs."
                )
                node.entries["type"].error(
                    f"the volume type '{shown(kind)}' is not supported", hint
                )
        return None


def _first_text(node: Fields, *keys: str) -> str | None:
    for key in keys:
        text = filled_text_of(node.get(key))
        if text is not None:
            return text
    return None


def _target(node: Node, target: str) -> str | None:
    if target.startswith("/"):
        return posixpath.normpath(target)
    node.error(
        f"'{shown(target)}' is not an absolute path inside the container",
        f"Begin it with '/': /{shown(target).lstrip('./')}.",
    )
    return None


def _read_only(node: Node, options: str) -> bool:
    read_only = False
    for option in options.split(","):
        if option in _READ_ONLY:
            read_only = True
        elif option in _IGNORED_OPTIONS:
            node.warn(f"the option '{option}' is ignored: {_IGNORED_OPTIONS[option]}")
        elif option not in _HARMLESS:
            node.error(f"'{shown(option)}' is not an option of a volume", "Write ro or rw.")
    return read_only


def _long_tmpfs(node: Fields, target: str) -> Volume:
    tmpfs = fields_of(node.get("tmpfs"))
    size_bytes = size_of(tmpfs.get("size")) if tmpfs else None
    if tmpfs is not None and tmpfs.get("mode") is not None:
        tmpfs.keys["mode"].warn("the mode of a tmpfs is ignored")
    return Volume(kind=VolumeKind.TMPFS, source="", target=target, size_bytes=size_bytes)


def _tmpfs(node: Node) -> Volume | None:
    text = filled_text_of(node)
    if text is None:
        return None
    path, _, options = text.partition(":")
    target = _target(node, path)
    size_bytes: int | None = None
    for option in filter(None, options.split(",")):
        size = _TMPFS_SIZE.fullmatch(option)
        size_bytes = parse_size(size[1]) if size else size_bytes
        if size is None or size_bytes is None:
            node.warn(f"the option '{shown(option)}' of a tmpfs is ignored")
    if target is None:
        return None
    return Volume(kind=VolumeKind.TMPFS, source="", target=target, size_bytes=size_bytes)


def _ignore_inside(node: Fields, key: str, known: tuple[str, ...]) -> None:
    inner = fields_of(node.get(key))
    if inner is None:
        return
    warn_unknown(inner, known, of=key)
    for name in ("propagation", "selinux"):
        if inner.get(name) is not None:
            inner.keys[name].warn(f"{name} is ignored")
    if inner.get("subpath") is not None:
        inner.keys["subpath"].error(
            "a part of a volume cannot be mounted",
            "Mount the whole volume, or make one for this path.",
        )
