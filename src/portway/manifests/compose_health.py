"""Compose `healthcheck` and the labels *.health.* and portway.readiness.* -> HealthCheck.

A label that says what to ask (path, port, protocol, command) beats `test`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from portway.core.app import CheckKind, HealthCheck, PortSpec, Protocol
from portway.core.health import parse_statuses
from portway.manifests.compose_labels import Labels, Setting
from portway.manifests.compose_values import duration_of, parse_duration
from portway.manifests.tree import (
    Fields,
    Items,
    Node,
    Scalar,
    fields_of,
    integer_of,
    parse_number,
    shown,
    text_of,
    warn_unknown,
)

_KEYS = ("test", "interval", "timeout", "retries", "start_period", "start_interval", "disable")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    timeout_min_s: float
    interval_min_s: float
    threshold_min: int


_ELB_LIMITS = _Limits(timeout_min_s=0, interval_min_s=5, threshold_min=2)
_OWN_LIMITS = _Limits(timeout_min_s=0.1, interval_min_s=0.1, threshold_min=1)


_CONVOX_NAMES = ("path", "port", "timeout", "interval", "threshold.healthy", "threshold.unhealthy")
_OWN_NAMES = ("status", "method", "host", "protocol", "command", "grace", "delay")
_WHAT_NAMES = ("path", "port", "protocol", "command")
_HTTP_NAMES = ("status", "method", "host")
_METHODS = ("GET", "HEAD", "OPTIONS")
_KINDS = {"http": CheckKind.HTTP, "https": CheckKind.HTTPS, "tcp": CheckKind.TCP}
_HOST_PART = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_HOST_PART}(\.{_HOST_PART})*(:[0-9]{{1,5}})?")

Settings = Mapping[str, Setting | None]


def health_of(node: Node | None, labels: Labels, ports: Iterable[PortSpec]) -> HealthCheck:
    """When an instance of the service counts as healthy."""
    fields = fields_of(node)
    check = _from_compose(fields)
    settings: dict[str, Setting | None]
    settings = {name: labels.setting(f"health.{name}") for name in _CONVOX_NAMES}
    as_in_convox = any(settings.values())
    settings |= {name: labels.own(f"health.{name}") for name in _OWN_NAMES}
    if not any(settings.values()):
        return check
    check = _with_target(check, settings, tuple(ports), service=labels.service)
    if as_in_convox:
        paced = fields is not None and fields.get("interval") is not None
        check = _with_convox_defaults(check, settings, paced=paced, service=labels.service)
    return _with_label_times(check, settings, service=labels.service)


def readiness_of(labels: Labels, ports: Iterable[PortSpec]) -> HealthCheck | None:
    """When a healthy instance wants traffic; None where the service does not say."""
    names = (*_CONVOX_NAMES, *_OWN_NAMES)
    settings = {name: labels.own(f"readiness.{name}") for name in names if name != "grace"}
    given = [setting for setting in settings.values() if setting is not None]
    if not given:
        return None
    if not any(settings[name] for name in _WHAT_NAMES):
        given[0].error(
            f"{given[0].key} says nothing of what to ask",
            "Add portway.readiness.path, .port, .protocol or .command.",
        )
        return None
    check = _with_target(HealthCheck(), settings, tuple(ports), service=labels.service)
    return _with_label_times(check, settings, service=labels.service)


def _from_compose(fields: Fields | None) -> HealthCheck:
    check = HealthCheck()
    if fields is None:
        return check
    warn_unknown(fields, _KEYS, of="healthcheck")
    if fields.flag("disable"):
        return replace(check, kind=CheckKind.NONE)
    test = fields.get("test")
    if test is None:
        if len(fields.entries) > int("disable" in fields.entries):
            fields.warn(
                "without a test, portway's own check is used: the first TCP port must accept connections",
                "Add test, or remove healthcheck.",
            )
    else:
        check = _with_test(check, test)
    return _with_times(check, fields)


def _with_test(check: HealthCheck, test: Node) -> HealthCheck:
    if isinstance(test, Scalar):
        text = (text_of(test) or "").strip()
        if not text:
            test.error("is empty", "Write a command, for instance: curl -f http://localhost/.")
        return replace(check, kind=CheckKind.COMMAND, command=("CMD-SHELL", text))
    if not isinstance(test, Items):
        text_of(test)  # says that it is a map
        return check
    words = tuple(text_of(item) or "" for item in test.items)
    match words:
        case ("NONE",):
            return replace(check, kind=CheckKind.NONE)
        case ("CMD", _, *_):
            return replace(check, kind=CheckKind.COMMAND, command=words[1:])
        case ("CMD-SHELL", text) if text.strip():
            return replace(check, kind=CheckKind.COMMAND, command=words)
        case _:
            test.error(
                f"a list must begin with CMD, CMD-SHELL or NONE and then the command, not '{shown(' '.join(words))}'",
                'For instance ["CMD", "curl", "-f", "http://localhost/"], or ["CMD-SHELL", "one text"].',
            )
            return check


def _with_times(check: HealthCheck, fields: Fields) -> HealthCheck:
    interval_s = duration_of(fields.get("interval"), minimum_s=0.001)
    timeout_s = duration_of(fields.get("timeout"), minimum_s=0.001)
    retries = integer_of(fields.get("retries"), minimum=1, maximum=1000)
    start_period_s = duration_of(fields.get("start_period"))
    start_interval_s = duration_of(fields.get("start_interval"), minimum_s=0.001)
    return replace(
        check,
        interval_s=interval_s or check.interval_s,
        timeout_s=timeout_s or check.timeout_s,
        unhealthy_threshold=retries or check.unhealthy_threshold,
        start_period_s=check.start_period_s if start_period_s is None else start_period_s,
        start_interval_s=start_interval_s or check.start_interval_s,
    )


def _with_target(
    check: HealthCheck, settings: Settings, ports: tuple[PortSpec, ...], *, service: str
) -> HealthCheck:
    """What is asked: the command, or the path and port that the labels name."""
    named = next((settings[name] for name in _WHAT_NAMES if settings[name]), None)
    if named is not None:
        if check.command:
            named.node.warn(
                f"{named.key} is used instead of healthcheck.test", "Remove one of them."
            )
        check = replace(check, kind=CheckKind.TCP, command=())
        if settings["command"] is not None:
            return _with_command(check, settings)
        check = _with_port(check, settings, ports, service=service)
    return _with_http(check, settings)


def _with_command(check: HealthCheck, settings: Settings) -> HealthCheck:
    command = settings["command"]
    assert command is not None
    for name in ("path", "port", "protocol", *_HTTP_NAMES):
        if other := settings[name]:
            other.error(f"{other.key} has no meaning beside {command.key}", "Remove one of them.")
    if not command.value:
        command.error(f"{command.key} is empty", "Write a command, for instance: test -f /ready.")
    return replace(check, kind=CheckKind.COMMAND, command=("CMD-SHELL", command.value))


def _with_port(
    check: HealthCheck, settings: Settings, ports: tuple[PortSpec, ...], *, service: str
) -> HealthCheck:
    path, port, protocol = settings["path"], settings["port"], settings["protocol"]
    target = _target_port(port, ports, service=service)
    check = replace(check, port_name=target.name if port and target else None)
    kind = _protocol(protocol)
    asks_http = kind in (CheckKind.HTTP, CheckKind.HTTPS)
    if path is not None and path.value and kind is CheckKind.TCP:
        path.error(
            f"{path.key} has no meaning for a TCP check", "Set the protocol to http or https."
        )
    elif path is not None and path.value:
        check = _with_path(check, path)
        asks_http = True
    if not asks_http:
        return check
    if target is None:
        named = path or protocol
        if port is None and named is not None:
            named.error(f"{named.key} needs a TCP port to ask", "Declare one in ports.")
        return check
    secure = CheckKind.HTTPS if target.listener.secure else CheckKind.HTTP
    return replace(check, kind=kind or secure)


def _protocol(setting: Setting | None) -> CheckKind | None:
    if setting is None:
        return None
    kind = _KINDS.get(setting.value.lower())
    if kind is None:
        hint = setting.node.suggest(setting.value.lower(), _KINDS) or "Write http, https or tcp."
        setting.error(f"{setting.key} is '{shown(setting.value)}', which no check speaks", hint)
    return kind


def _with_path(check: HealthCheck, path: Setting) -> HealthCheck:
    text = path.value
    if not text.startswith("/") or any(c.isspace() or not c.isprintable() for c in text):
        path.error(f"{path.key} must be a path that begins with '/'", "For instance /health.")
        return check
    return replace(check, path=text)


def _with_http(check: HealthCheck, settings: Settings) -> HealthCheck:
    """Which answer counts, and how it is asked for."""
    given = {name: setting for name in _HTTP_NAMES if (setting := settings[name]) is not None}
    if check.kind not in (CheckKind.HTTP, CheckKind.HTTPS):
        for setting in given.values():
            path = setting.key.rpartition(".")[0] + ".path"
            setting.error(f"{setting.key} means something for an HTTP check only", f"Add {path}.")
        return check
    if status := given.get("status"):
        check = replace(check, statuses=parse_statuses(status.value) or check.statuses)
        if parse_statuses(status.value) is None:
            status.error(
                f"{status.key} is '{shown(status.value)}', which names no HTTP statuses",
                "Write 200, or ranges and single ones between 200 and 599: 200-299,401.",
            )
    if method := given.get("method"):
        check = replace(check, method=method.value.upper())
        if check.method not in _METHODS:
            method.error(
                f"{method.key} is '{shown(method.value)}'",
                "Write GET, HEAD or OPTIONS: a check changes nothing.",
            )
    if host := given.get("host"):
        check = replace(check, host=host.value)
        if not _HOST.fullmatch(host.value):
            host.error(
                f"{host.key} is '{shown(host.value)}', which is no host name",
                "For instance shop.example.com.",
            )
    return check


def _target_port(
    setting: Setting | None, ports: tuple[PortSpec, ...], *, service: str
) -> PortSpec | None:
    streams = [spec for spec in ports if spec.protocol is Protocol.TCP]
    if setting is None:
        return streams[0] if streams else None
    for spec in streams:
        if setting.value == str(spec.container_port):
            return spec
    behind = [s for s in streams if setting.value in map(str, (*s.service_ports, s.host_port))]
    declared = ", ".join(dict.fromkeys(str(spec.container_port) for spec in streams))
    hint = f"It takes the container port: {declared}." if declared else "Declare the port in ports."
    if behind:
        hint = f"{setting.value} is the listener; write its container port, {behind[0].container_port}."
    setting.error(f"{service} service has {setting.key} set to a port it does not declare", hint)
    return None


def _with_convox_defaults(
    check: HealthCheck, settings: Settings, *, paced: bool, service: str
) -> HealthCheck:
    """With one of Convox's own labels: two passes, and asked every timeout + 2 s unless the file says how often."""
    timeout_s = _seconds(settings["timeout"], service=service, maximum=60)
    check = replace(check, healthy_threshold=2, timeout_s=timeout_s or check.timeout_s)
    if paced or (timeout_s is None and check.kind is CheckKind.COMMAND):
        return check
    return replace(check, interval_s=check.timeout_s + 2)


def _with_label_times(check: HealthCheck, settings: Settings, *, service: str) -> HealthCheck:
    timeout_s = _seconds(settings["timeout"], service=service, maximum=60)
    interval_s = _seconds(settings["interval"], service=service, maximum=300)
    healthy = _threshold(settings["threshold.healthy"], service=service)
    unhealthy = _threshold(settings["threshold.unhealthy"], service=service)
    grace_s = _wait_s(settings.get("grace"))
    delay_s = _wait_s(settings["delay"])
    return replace(
        check,
        timeout_s=timeout_s or check.timeout_s,
        interval_s=interval_s or check.interval_s,
        healthy_threshold=healthy or check.healthy_threshold,
        unhealthy_threshold=unhealthy or check.unhealthy_threshold,
        start_period_s=check.start_period_s if grace_s is None else grace_s,
        delay_s=check.delay_s if delay_s is None else delay_s,
    )


def _limits(setting: Setting) -> _Limits:
    return _OWN_LIMITS if setting.native else _ELB_LIMITS


def _seconds(setting: Setting | None, *, service: str, maximum: float) -> float | None:
    """The seconds of a label; 0, which Convox let pass, means the default."""
    if setting is None:
        return None
    limits = _limits(setting)
    minimum = limits.timeout_min_s if maximum == 60 else limits.interval_min_s
    if setting.native:
        seconds = parse_duration(setting.value)
        if seconds is not None and minimum <= seconds <= maximum:
            return seconds
    return setting.number(service=service, minimum=minimum, maximum=maximum)


def _wait_s(setting: Setting | None) -> float | None:
    if setting is None:
        return None
    seconds = parse_number(setting.value)
    seconds = parse_duration(setting.value) if seconds is None else seconds
    if seconds is None or not 0 <= seconds <= 3600:
        setting.error(
            f"{setting.key} must be seconds between 0 and 3600", "For instance 30 or 1m30s."
        )
        return None
    return seconds


def _threshold(setting: Setting | None, *, service: str) -> int | None:
    if setting is None:
        return None
    return setting.integer(service=service, minimum=_limits(setting).threshold_min, maximum=10)
