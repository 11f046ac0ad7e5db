"""The `parameters` of a Docker container: options of docker run, as the fields of an App that say the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from portway.core.app import Volume, VolumeKind
from portway.manifests.compose_values import parse_size

_CAPABILITY = re.compile(r"(?:CAP_)?[A-Za-z_]{2,40}")
_LIMIT = re.compile(r"([a-z]{2,16})=(-?\d{1,18})(?::(-?\d{1,18}))?")
_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """Which field of `part` (app, container, resources) a parameter sets; `many`: it is one of several there."""

    part: str
    field: str
    parse: Callable[[str], Any]
    many: bool = False


def _fail(message: str) -> ValueError:
    return ValueError(message)


def _text(value: str) -> str:
    if not value:
        raise _fail("a value is expected")
    return value


def _flag(value: str) -> bool:
    if value not in ("true", "false", ""):
        raise _fail(f"true or false is expected, not {value[:40]}")
    return value != "false"


def _number(value: str) -> int:
    if not re.fullmatch(r"\d{1,9}", value):
        raise _fail(f"a whole number is expected, not {value[:40]}")
    return int(value)


def _size(value: str) -> int:
    size_bytes = parse_size(value)
    if size_bytes is None:
        raise _fail(f"a size as 64m is expected, not {value[:40]}")
    return size_bytes


def _capability(value: str) -> str:
    if not _CAPABILITY.fullmatch(value):
        raise _fail(f"a capability as NET_ADMIN is expected, not {value[:40]}")
    return value.upper().removeprefix("CAP_")


def _pair(value: str) -> tuple[str, str]:
    key, sign, inner = value.partition("=")
    if not (key and sign):
        raise _fail(f"NAME=value is expected, not {value[:40]}")
    return key, inner


def _host(value: str) -> tuple[str, str]:
    name, sign, address = value.partition(":")
    if not (name and sign and address):
        raise _fail(f"name:address is expected, not {value[:40]}")
    return name, address


def _hostname(value: str) -> str:
    if not _HOSTNAME.fullmatch(value):
        raise _fail(f"a host name is expected, not {value[:40]}")
    return value


def _limit(value: str) -> tuple[str, tuple[int, int]]:
    found = _LIMIT.fullmatch(value)
    if found is None:
        raise _fail(f"name=soft:hard is expected, not {value[:40]}")
    soft = int(found[2])
    return found[1], (soft, int(found[3]) if found[3] else soft)


def _words(value: str) -> tuple[str, ...]:
    return (_text(value),)


def _volume(value: str) -> Volume:
    source, sign, rest = value.partition(":")
    target, _, options = rest.partition(":") if sign else (source, "", "")
    if not target.startswith("/") or (options or "rw") not in ("ro", "rw"):
        raise _fail(f"source:/target or source:/target:ro is expected, not {value[:80]}")
    kind = VolumeKind.BIND if sign and source.startswith("/") else VolumeKind.NAMED
    return Volume(kind=kind, source=source if sign else "", target=target, read_only=options == "ro")  # fmt: skip


def _tmpfs(value: str) -> Volume:
    target, _, options = value.partition(":")
    if not target.startswith("/"):
        raise _fail(f"a path as /run is expected, not {value[:80]}")
    given = tuple(each for each in options.split(",") if each)
    return Volume(kind=VolumeKind.TMPFS, source="", target=target, options=given)


_RULES: Mapping[str, _Rule] = {
    "add-host": _Rule(part="app", field="extra_hosts", parse=_host, many=True),
    "cap-add": _Rule(part="container", field="cap_add", parse=_capability, many=True),
    "cap-drop": _Rule(part="container", field="cap_drop", parse=_capability, many=True),
    "cpu-shares": _Rule(part="resources", field="cpu_shares", parse=_number),
    "device": _Rule(part="container", field="devices", parse=_text, many=True),
    "dns": _Rule(part="container", field="dns", parse=_text, many=True),
    "dns-search": _Rule(part="container", field="dns_search", parse=_text, many=True),
    "entrypoint": _Rule(part="app", field="entrypoint", parse=_words),
    "env": _Rule(part="app", field="environment", parse=_pair, many=True),
    "group-add": _Rule(part="container", field="group_add", parse=_text, many=True),
    "hostname": _Rule(part="container", field="hostname", parse=_hostname),
    "init": _Rule(part="container", field="init", parse=_flag),
    "interactive": _Rule(part="container", field="interactive", parse=_flag),
    "label": _Rule(part="app", field="labels", parse=_pair, many=True),
    "log-driver": _Rule(part="container", field="log_driver", parse=_text),
    "log-opt": _Rule(part="container", field="log_options", parse=_pair, many=True),
    "memory-swappiness": _Rule(part="resources", field="swappiness", parse=_number),
    "pids-limit": _Rule(part="resources", field="pids", parse=_number),
    "privileged": _Rule(part="container", field="privileged", parse=_flag),
    "read-only": _Rule(part="container", field="read_only", parse=_flag),
    "security-opt": _Rule(part="container", field="security_opt", parse=_text, many=True),
    "shm-size": _Rule(part="container", field="shm_size_bytes", parse=_size),
    "stop-signal": _Rule(part="app", field="stop_signal", parse=_text),
    "sysctl": _Rule(part="container", field="sysctls", parse=_pair, many=True),
    "tmpfs": _Rule(part="app", field="volumes", parse=_tmpfs, many=True),
    "tty": _Rule(part="container", field="tty", parse=_flag),
    "ulimit": _Rule(part="container", field="ulimits", parse=_limit, many=True),
    "user": _Rule(part="app", field="user", parse=_text),
    "volume": _Rule(part="app", field="volumes", parse=_volume, many=True),
    "workdir": _Rule(part="app", field="working_dir", parse=_text),
}

_SHORT = {"e": "env", "h": "hostname", "l": "label", "u": "user", "v": "volume", "w": "workdir"}
_MAPS = ("environment", "labels", "log_options", "sysctls", "ulimits")

PARAMETERS = (*_RULES, *_SHORT)


def parameter_error(key: str, value: str) -> str:
    """What is wrong with the value of a parameter that is known; "" when nothing is."""
    try:
        _RULES[_SHORT.get(key, key)].parse(value)
    except ValueError as error:
        return f"{key}: {error}"
    return ""


def parameter_fields(parameters: Iterable[Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """The fields that sound parameters set: of the App, its container and its resources."""
    found: dict[str, dict[str, Any]] = {"app": {}, "container": {}, "resources": {}}
    for parameter in parameters:
        rule = _RULES[_SHORT.get(parameter["key"], parameter["key"])]
        fields, value = found[rule.part], rule.parse(parameter["value"])
        if rule.many:
            fields[rule.field] = (*fields.get(rule.field, ()), value)
        else:
            fields[rule.field] = value
    for fields in found.values():
        fields.update({name: dict(fields[name]) for name in _MAPS if name in fields})
    return found
