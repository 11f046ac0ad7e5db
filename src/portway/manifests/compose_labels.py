"""The labels that steer portway: portway.* and Convox's convox.*, with the same suffixes; portway.* wins.

N in portway.port.N.* is the listener's number (the left one of 443:5000), as it was in Convox.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from portway.core.app import Balance, Exposure, ListenerProtocol, ListenerSpec, PortSpec
from portway.manifests.compose_ports import PlacedPort
from portway.manifests.compose_values import parse_duration
from portway.manifests.tree import Node, Pair, pairs_of, parse_boolean, parse_number, shown

_PORT_LABEL = re.compile(r"(convox|portway)\.port\.([^.]+)\.(.+)")
_PORT_SUFFIXES = ("protocol", "proxy", "secure")
_PORTWAY_PORT_SUFFIXES = (*_PORT_SUFFIXES, "balance", "sticky", "slow-start")
_SUFFIXES = (
    "health.path", "health.port", "health.timeout", "health.interval",
    "health.threshold.healthy", "health.threshold.unhealthy", "idle.timeout", "draining.timeout",
    "deployment.minimum", "deployment.maximum", "balancer", "start.shift", "access_log",
    "deploy.strategy", "deploy.canary", "deploy.bake_s", "deploy.hold", "deploy.max_failed",
    "deploy.min_requests",
)  # fmt: skip
_CHECK_SUFFIXES = ("status", "method", "host", "protocol", "command", "grace", "delay")
_READINESS_SUFFIXES = (
    "path", "port", "timeout", "interval", "threshold.healthy", "threshold.unhealthy",
    "status", "method", "host", "protocol", "command", "delay",
)  # fmt: skip
_PORTWAY_SUFFIXES = (
    *_SUFFIXES,
    *(f"health.{suffix}" for suffix in _CHECK_SUFFIXES),
    *(f"readiness.{suffix}" for suffix in _READINESS_SUFFIXES),
)
_CONVOX_MEANINGLESS = {
    "convox.agent": "one instance on every node; portway runs as many instances as it is told to",
    "convox.daemon": "one instance on every node; portway runs as many instances as it is told to",
    "convox.environment.secure": "an encrypted environment on AWS; portway never shows variables but to 'portway env'",
    "convox.process.type": "set by Convox itself on one-off containers",
}
_CRON = re.compile(r"(convox|portway)\.cron\.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One label that steers portway. `native`: it is a portway.* label, free of the limits of an ELB."""

    key: str
    value: str
    node: Node
    native: bool

    def error(self, message: str, hint: str = "") -> None:
        """Say that its value cannot be used."""
        self.node.error(message, hint)

    def number(self, *, service: str, minimum: float, maximum: float) -> float | None:
        """The value as a number within the limits."""
        number = parse_number(self.value)
        if number is not None and minimum <= number <= maximum:
            return number
        self.error(
            f"{self.key} is invalid for {service}, must be a number between {minimum:g} and {maximum:g}",
            f"It is '{shown(self.value)}'.",
        )
        return None

    def integer(self, *, service: str, minimum: int, maximum: int) -> int | None:
        """The value as a whole number within the limits."""
        number = self.number(service=service, minimum=minimum, maximum=maximum)
        if number is None or number == int(number):
            return None if number is None else int(number)
        self.error(f"{self.key} is invalid for {service}, must be a whole number")
        return None

    def flag(self) -> bool:
        """The value as true or false."""
        truth = parse_boolean(self.value)
        if truth is None:
            self.error(f"{self.key} must be true or false, not '{shown(self.value)}'")
        return truth or False


class Labels:
    """The labels of one service, and the settings among them by suffix."""

    def __init__(self, node: Node | None, *, service: str) -> None:
        self.service = service
        self._pairs = {pair.key: pair for pair in pairs_of(node)}
        for pair in self._pairs.values():
            if pair.value is None and pair.key.startswith(("convox.", "portway.")):
                pair.node.error(f"the label {shown(pair.key)} has no value", "Write LABEL=value.")

    @property
    def values(self) -> Mapping[str, str]:
        """Every label, steering or not, as the container gets it."""
        return {pair.key: pair.value or "" for pair in self._pairs.values()}

    def setting(self, suffix: str) -> Setting | None:
        """portway.SUFFIX, else convox.SUFFIX."""
        for prefix in ("portway", "convox"):
            pair = self._pairs.get(f"{prefix}.{suffix}")
            if pair is not None and pair.value is not None:
                return _setting(pair, pair.value)
        return None

    def own(self, suffix: str) -> Setting | None:
        """portway.SUFFIX alone, for what Convox did not know."""
        pair = self._pairs.get(f"portway.{suffix}")
        return _setting(pair, pair.value) if pair is not None and pair.value is not None else None

    def port_settings(self) -> Iterable[tuple[str, str, Setting]]:
        """(N, suffix, setting) of every known port label; portway.* after convox.*, so that it wins."""
        for pair in sorted(self._pairs.values(), key=lambda p: p.key.startswith("portway.")):
            found = _PORT_LABEL.fullmatch(pair.key)
            if found and pair.value is not None and found[3] in _known_port_suffixes(found[1]):
                yield found[2], found[3], _setting(pair, pair.value)

    def warn_unknown(self) -> None:
        """Warn of convox.* and portway.* labels that mean nothing, with the one probably meant."""
        if setting := self.setting("access_log"):
            setting.flag()
        for pair in self._pairs.values():
            if pair.key.startswith(("convox.", "portway.")):
                self._warn_if_unknown(pair)

    def _warn_if_unknown(self, pair: Pair) -> None:
        prefix, _, suffix = pair.key.partition(".")
        if suffix in _known_suffixes(prefix):
            return
        if pair.key in _CONVOX_MEANINGLESS:
            pair.node.warn(f"the label {pair.key} is ignored: {_CONVOX_MEANINGLESS[pair.key]}")
        elif _CRON.match(pair.key):
            pair.node.warn(
                f"the label {shown(pair.key)} is ignored: portway runs nothing on a timetable"
            )
        else:
            _warn_unknown_suffix(pair, prefix)


def _warn_unknown_suffix(pair: Pair, prefix: str) -> None:
    found = _PORT_LABEL.fullmatch(pair.key)
    if found and found[3] in _known_port_suffixes(prefix):
        return
    choices = [f"{prefix}.{suffix}" for suffix in _SUFFIXES]
    choices += [f"portway.{suffix}" for suffix in _PORTWAY_SUFFIXES]
    own = f"portway.{pair.key.partition('.')[2]}"
    if own in choices:
        choices = [own]
    if found:
        choices = [f"{prefix}.port.{found[2]}.{s}" for s in _known_port_suffixes(prefix)]
        choices += [f"portway.port.{found[2]}.{s}" for s in _PORTWAY_PORT_SUFFIXES]
    hint = pair.node.suggest(pair.key, choices)
    pair.node.warn(f"the label {shown(pair.key)} is not one portway knows", hint)


def _known_suffixes(prefix: str) -> tuple[str, ...]:
    return _PORTWAY_SUFFIXES if prefix == "portway" else _SUFFIXES


def _known_port_suffixes(prefix: str) -> tuple[str, ...]:
    return _PORTWAY_PORT_SUFFIXES if prefix == "portway" else _PORT_SUFFIXES


def _setting(pair: Pair, value: str) -> Setting:
    return Setting(
        key=pair.key, value=value.strip(), node=pair.node, native=pair.key.startswith("portway.")
    )


def is_balanced(labels: Labels) -> bool:
    """False only for convox.balancer=false, exactly that, or portway.balancer=false."""
    setting = labels.setting("balancer")
    if setting is None:
        return True
    if setting.native:
        return setting.flag() or parse_boolean(setting.value) is None
    if setting.value not in ("true", "false"):
        setting.node.warn(
            f"{setting.key}={shown(setting.value)} is ignored: only 'false' means anything"
        )
    return setting.value != "false"


def start_shift_of(labels: Labels) -> int:
    """What `portway start` adds to the service's public listeners."""
    setting = labels.setting("start.shift")
    if setting is None:
        return 0
    if not re.fullmatch(r"-?[0-9]{1,5}", setting.value, re.ASCII):
        setting.error(
            f"invalid shift: {shown(setting.value)}", "Write a whole number, for instance 5000."
        )
        return 0
    return int(setting.value)


def listen_as_labelled(ports: Iterable[PlacedPort], labels: Labels) -> tuple[PlacedPort, ...]:
    """The ports with what the labels say of their listeners."""
    ports = tuple(ports)
    idle_timeout_s = _idle_timeout_s(labels)
    listeners = [replace(port.spec.listener, idle_timeout_s=idle_timeout_s) for port in ports]
    by_number: dict[str, list[int]] = {}
    for index, port in enumerate(ports):
        for number in _numbers(port.spec):
            by_number.setdefault(number, []).append(index)
    listener_of = {str(p.spec.container_port): p.spec.service_ports for p in reversed(ports)}
    for number, suffix, setting in labels.port_settings():
        if number not in by_number:
            _warn_undeclared(setting, number, listener_of.get(number, ()))
        for index in by_number.get(number, ()):
            listeners[index] = _APPLY[suffix](listeners[index], setting)
            if ports[index].spec.exposure is Exposure.HOST:
                setting.node.warn(
                    f"{setting.key} is ignored: the balancer has no part in that port"
                )
    _refuse_sticky_streams(labels, listeners)
    return tuple(
        replace(port, spec=replace(port.spec, listener=listener))
        for port, listener in zip(ports, listeners, strict=True)
    )


def _idle_timeout_s(labels: Labels) -> float:
    setting = labels.setting("idle.timeout")
    default_s = ListenerSpec().idle_timeout_s
    if setting is None:
        return default_s
    return setting.number(service=labels.service, minimum=1, maximum=3600) or default_s


def _numbers(spec: PortSpec) -> tuple[str, ...]:
    """What N may be for this port: its listener's number, its host port, or its own where it has neither."""
    if spec.host_port is not None:
        return (str(spec.host_port),)
    return tuple(map(str, spec.service_ports)) or (str(spec.container_port),)


def _warn_undeclared(setting: Setting, number: str, listeners: tuple[int, ...]) -> None:
    hint = "The number is the listener's, the left one of 443:5000."
    if listeners:
        hint = f"{number} is a container port; did you mean its listener, {listeners[0]}?"
    setting.node.warn(f"{shown(setting.key)} is ignored: no port {shown(number)} is declared", hint)


def _with_protocol(listener: ListenerSpec, setting: Setting) -> ListenerSpec:
    word = setting.value.lower()
    if word in tuple(ListenerProtocol):
        return replace(listener, protocol=ListenerProtocol(word))
    known = [p.value for p in ListenerProtocol if p is not ListenerProtocol.AUTO]
    hint = "Did you mean 'tls'?" if word == "ssl" else setting.node.suggest(word, known)
    setting.error(
        f"{setting.key} is '{shown(setting.value)}', which is no protocol",
        hint or "Write http, https, tcp or tls.",
    )
    return listener


def _with_balance(listener: ListenerSpec, setting: Setting) -> ListenerSpec:
    if setting.value in tuple(Balance):
        return replace(listener, balance=Balance(setting.value))
    hint = (
        setting.node.suggest(setting.value, tuple(Balance))
        or "Write roundrobin, leastconn or random."
    )
    setting.error(f"{setting.key} is '{shown(setting.value)}', which is no way to balance", hint)
    return listener


def _with_slow_start(listener: ListenerSpec, setting: Setting) -> ListenerSpec:
    seconds = parse_number(setting.value)
    seconds = parse_duration(setting.value) if seconds is None else seconds
    if seconds is None or not 0 <= seconds <= 3600:
        setting.error(
            f"{setting.key} must be seconds between 0 and 3600", "For instance 30 or 30s."
        )
        return listener
    return replace(listener, slow_start_s=seconds)


_APPLY: Mapping[str, Callable[[ListenerSpec, Setting], ListenerSpec]] = {
    "protocol": _with_protocol,
    "proxy": lambda listener, setting: replace(listener, proxy_protocol=setting.flag()),
    "secure": lambda listener, setting: replace(listener, secure=setting.flag()),
    "sticky": lambda listener, setting: replace(listener, sticky=setting.flag()),
    "balance": _with_balance,
    "slow-start": _with_slow_start,
}


def _refuse_sticky_streams(labels: Labels, listeners: Iterable[ListenerSpec]) -> None:
    streams = (ListenerProtocol.TCP, ListenerProtocol.TLS)
    if not any(listener.sticky and listener.protocol in streams for listener in listeners):
        return
    for _, suffix, setting in labels.port_settings():
        if suffix == "sticky" and setting.flag():
            setting.error(
                f"{setting.key} needs an HTTP listener: stickiness is a cookie",
                "Set the port's protocol to http or https, or remove the label.",
            )
