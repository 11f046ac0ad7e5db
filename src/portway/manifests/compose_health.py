"""Compose `healthcheck` and the health labels -> HealthCheck. A label that names a path or port beats `test`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from portway.core.app import CheckKind, HealthCheck, PortSpec, Protocol
from portway.manifests.compose_labels import Labels, Setting
from portway.manifests.compose_values import duration_of
from portway.manifests.tree import (
    Fields,
    Items,
    Node,
    Scalar,
    fields_of,
    integer_of,
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


def health_of(node: Node | None, labels: Labels, ports: Iterable[PortSpec]) -> HealthCheck:
    """When an instance of the service counts as healthy."""
    check = _from_compose(fields_of(node))
    return _from_labels(check, labels, tuple(ports))


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


def _from_labels(check: HealthCheck, labels: Labels, ports: tuple[PortSpec, ...]) -> HealthCheck:
    names = ("path", "port", "timeout", "interval", "threshold.healthy", "threshold.unhealthy")
    settings = {name: labels.setting(f"health.{name}") for name in names}
    if not any(settings.values()):
        return check
    check = _with_target(check, settings["path"], settings["port"], ports, service=labels.service)
    return _with_label_times(check, settings, service=labels.service)


def _with_target(
    check: HealthCheck,
    path: Setting | None,
    port: Setting | None,
    ports: tuple[PortSpec, ...],
    *,
    service: str,
) -> HealthCheck:
    named = path or port
    if named is None:
        return check
    if check.kind is CheckKind.COMMAND:
        named.node.warn(f"{named.key} is used instead of healthcheck.test", "Remove one of them.")
        check = replace(check, command=())
    target = _target_port(port, ports, service=service)
    check = replace(check, kind=CheckKind.TCP, port_name=target.name if port and target else None)
    if path is None or not path.value:
        return check
    if not path.value.startswith("/") or any(
        c.isspace() or not c.isprintable() for c in path.value
    ):
        path.error(f"{path.key} must be a path that begins with '/'", "For instance /health.")
        return check
    if target is None:
        if port is None:
            path.error(f"{path.key} needs a TCP port to ask", "Declare one in ports.")
        return check
    kind = CheckKind.HTTPS if target.listener.secure else CheckKind.HTTP
    return replace(check, kind=kind, path=path.value)


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


def _with_label_times(
    check: HealthCheck, settings: dict[str, Setting | None], *, service: str
) -> HealthCheck:
    timeout_s = _seconds(settings["timeout"], service=service, maximum=60)
    if timeout_s is not None or check.kind is not CheckKind.COMMAND:
        check = replace(check, timeout_s=timeout_s or check.timeout_s)
        check = replace(check, interval_s=check.timeout_s + 2)
    interval_s = _seconds(settings["interval"], service=service, maximum=300)
    healthy = _threshold(settings["threshold.healthy"], service=service)
    unhealthy = _threshold(settings["threshold.unhealthy"], service=service)
    return replace(
        check,
        interval_s=interval_s or check.interval_s,
        healthy_threshold=healthy or 2,
        unhealthy_threshold=unhealthy or 2,
    )


def _limits(setting: Setting) -> _Limits:
    return _OWN_LIMITS if setting.native else _ELB_LIMITS


def _seconds(setting: Setting | None, *, service: str, maximum: float) -> float | None:
    """The seconds of a label; 0, which Convox let pass, means the default."""
    if setting is None:
        return None
    limits = _limits(setting)
    minimum = limits.timeout_min_s if maximum == 60 else limits.interval_min_s
    return setting.number(service=service, minimum=minimum, maximum=maximum)


def _threshold(setting: Setting | None, *, service: str) -> int | None:
    if setting is None:
        return None
    return setting.integer(service=service, minimum=_limits(setting).threshold_min, maximum=10)
