"""The labels that marathon-lb reads off an app, and what portway does with each. Pure.

`LABELS` is the table: docs/reference/marathon-fields.md is made from it. `{n}` is the index of a service port.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from portway.core.app import Balance, JointPort, ListenerProtocol, PortSpec, VirtualHost
from portway.core.routing import is_routed
from portway.manifests.ecs_fields import Use
from portway.manifests.marathon.refusal import Violation

Labels = Mapping[str, str]

ALL_GROUPS = "*"
PREFIX = "HAPROXY_"
HOSTS_MAX = 100
_TEXT_MAX = 1000
_PORT_MAX = 65535
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9*_]([A-Za-z0-9*_-]*)(\.[A-Za-z0-9*_-]+)*")
_PATH = re.compile(r"/[!-~]*")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_INDEXED = re.compile(r"HAPROXY_([0-9]{1,5})_([A-Z0-9_]+)")
_MODES = {"http": ListenerProtocol.HTTP, "tcp": ListenerProtocol.TCP}
_BALANCES = {
    "roundrobin": Balance.ROUND_ROBIN,
    "static-rr": Balance.ROUND_ROBIN,
    "leastconn": Balance.LEAST_CONNECTIONS,
    "random": Balance.RANDOM,
}
_CHOICES: Mapping[str, tuple[Collection[str], str]] = {
    "MODE": (_MODES, "is no mode: use http or tcp"),
    "BALANCE": (_BALANCES, f"is not supported: use {', '.join(_BALANCES)}"),
}
_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One label and what becomes of it. `told`: for people; of one that is refused it is why."""

    name: str
    use: Use
    told: str


# label | use (+ honoured, - no effect, ! refused) and what is told
_TABLE = """
HAPROXY_GROUP | + who serves the app's ports: they are served if `marathon-groups` is `*` (the default) or names one of these, with commas between them. Of a file that is deployed all are served
HAPROXY_{n}_GROUP | + the same for one port, instead of the app's
HAPROXY_{n}_ENABLED | + `false`: the port is not served, and keeps its service port
HAPROXY_{n}_VHOST | + host names with commas between them, also with `*` (`*.example.com`): requests to them on `marathon-http-port` and `marathon-https-port` are the port's. What it speaks is HTTP then, unless the mode is said
HAPROXY_{n}_PATH | + with a VHOST: only requests whose path begins with it; the port sees the path as it came
HAPROXY_{n}_REDIRECT_TO_HTTPS | + with a VHOST: plain HTTP is answered with 301 to HTTPS
HAPROXY_{n}_SSL_CERT | + with a VHOST: a file with chain and key in the directory `marathon-certificates`, found by the last part of the path; HTTPS chooses by the name that the client asks for. Certificates bound to the port by `portway ssl` count as well
HAPROXY_{n}_BACKEND_WEIGHT | + rules of larger weight are tried first; else longer paths, and whole names before those with `*`
HAPROXY_{n}_MODE | + `http` or `tcp`; without it, and without a VHOST, the first bytes tell
HAPROXY_{n}_STICKY | + `true`: a cookie keeps a client on its instance; the port speaks HTTP then
HAPROXY_{n}_BALANCE | + `roundrobin` (also for `static-rr`), `leastconn` or `random`
HAPROXY_{n}_BIND_ADDR | + the address of the service port's listener
HAPROXY_{n}_PORT | + with a DEPLOYMENT_GROUP: the service port that the group has together. Without one it is refused: give it as the service port
HAPROXY_{n}_USE_HSTS | ! let the app send Strict-Transport-Security itself
HAPROXY_{n}_BIND_OPTIONS | ! it would go into haproxy.cfg unread
HAPROXY_{n}_AUTH | ! no passwords are asked for; ignored, it would open what was closed
HAPROXY_{n}_BACKEND_NETWORK_ALLOWED_ACL | ! nobody is kept out by address here; ignored, it would open what was closed
HAPROXY_{n}_HTTP_BACKEND_PROXYPASS_PATH | ! paths are not written anew: let the app answer under the path, or give it a VHOST of its own
HAPROXY_{n}_HTTP_BACKEND_REVPROXY_PATH | ! answers are not written anew
HAPROXY_{n}_HTTP_BACKEND_REDIR | ! the app itself can redirect
HAPROXY_DEPLOYMENT_GROUP | + apps of one group have a service port together: `HAPROXY_{n}_PORT`, else the app's own. What comes there goes to any instance of any of them; so two apps take turns (blue-green)
HAPROXY_DEPLOYMENT_ALT_PORT | + an app with this service port, and without `HAPROXY_{n}_PORT`, is served there alone
HAPROXY_DEPLOYMENT_COLOUR | - only the script that drives the deployment reads it
HAPROXY_DEPLOYMENT_STARTED_AT | - only the script that drives the deployment reads it
HAPROXY_DEPLOYMENT_TARGET_INSTANCES | - only the script that drives the deployment reads it
HAPROXY_DEPLOYMENT_NEW_INSTANCES | - only the script that drives the deployment reads it
"""
# Templates: what they say would be written into haproxy.cfg as it is.
_TEMPLATES = """
BACKEND_HEAD BACKEND_HSTS_OPTIONS BACKEND_HTTP_HEALTHCHECK_OPTIONS BACKEND_HTTP_OPTIONS BACKEND_REDIRECT_HTTP_TO_HTTPS
BACKEND_REDIRECT_HTTP_TO_HTTPS_WITH_PATH BACKEND_SERVER_HTTP_HEALTHCHECK_OPTIONS BACKEND_SERVER_OPTIONS
BACKEND_SERVER_TCP_HEALTHCHECK_OPTIONS BACKEND_STICKY_OPTIONS BACKEND_TCP_HEALTHCHECK_OPTIONS FRONTEND_BACKEND_GLUE
FRONTEND_HEAD HTTPS_FRONTEND_ACL HTTPS_FRONTEND_ACL_ONLY_WITH_PATH HTTPS_FRONTEND_ACL_WITH_PATH HTTPS_FRONTEND_HEAD
HTTPS_FRONTEND_AUTH_ACL_ONLY HTTPS_FRONTEND_AUTH_REQUEST_ONLY HTTPS_FRONTEND_ROUTING_ONLY_WITH_PATH
HTTPS_GROUPED_FRONTEND_HEAD HTTPS_GROUPED_VHOST_BACKEND_HEAD HTTP_BACKEND_ACL_ALLOW_DENY TCP_BACKEND_ACL_ALLOW_DENY
HTTP_FRONTEND_ACL HTTP_FRONTEND_ACL_ONLY HTTP_FRONTEND_ACL_ONLY_WITH_PATH HTTP_FRONTEND_ACL_ONLY_WITH_PATH_AND_AUTH
HTTP_FRONTEND_ACL_WITH_AUTH HTTP_FRONTEND_ACL_WITH_AUTH_AND_PATH HTTP_FRONTEND_ACL_WITH_PATH HTTP_FRONTEND_APPID_ACL
HTTP_FRONTEND_APPID_HEAD HTTP_FRONTEND_AUTH_ACL_ONLY HTTP_FRONTEND_AUTH_REQUEST_ONLY HTTP_FRONTEND_HEAD
HTTP_FRONTEND_ROUTING_ONLY HTTP_FRONTEND_ROUTING_ONLY_WITH_PATH HTTP_FRONTEND_ROUTING_ONLY_WITH_PATH_AND_AUTH
USERLIST_HEAD BACKEND_ACL_ALLOW_DENY MAP_HTTP_FRONTEND_ACL MAP_HTTP_FRONTEND_ACL_ONLY MAP_HTTP_FRONTEND_APPID_ACL
MAP_HTTPS_FRONTEND_ACL
"""
_TEMPLATE_TOLD = "a template would go into haproxy.cfg as it is"
_USES = {"+": Use.HONOURED, "-": Use.IGNORED, "!": Use.REFUSED}


def _read_table() -> dict[str, Label]:
    found: dict[str, Label] = {}
    for line in _TABLE.strip().splitlines():
        name, said = line.split(" | ", 1)
        found[name] = Label(name=name, use=_USES[said[0]], told=said[2:])
    for template in _TEMPLATES.split():
        name = f"{PREFIX}{{n}}_{template}"
        found[name] = Label(name=name, use=Use.REFUSED, told=_TEMPLATE_TOLD)
    head = f"{PREFIX}HEAD"
    return {**found, head: Label(name=head, use=Use.REFUSED, told=_TEMPLATE_TOLD)}


LABELS: Mapping[str, Label] = _read_table()


def label_faults(labels: Labels, count: int) -> Iterator[Violation]:
    """What of these labels cannot be had. `count`: of the app's ports; labels of others have no effect, as with marathon-lb."""
    for name in sorted(labels):
        if not name.startswith(PREFIX):
            continue
        nth, key = _parsed(name)
        known = LABELS.get(key) or LABELS.get(key.replace(PREFIX, f"{PREFIX}{{n}}_", 1))
        why = ""
        if known is not None and known.use is Use.REFUSED:
            why = "" if labels[name].strip().lower() in _FALSE else f"not supported: {known.told}"
        elif known is not None and nth is not None and nth < count:
            why = _value_fault(labels, nth, key.rpartition("}_")[2], labels[name])
        if why:
            yield Violation(where=("labels", name), error=why)


def _parsed(name: str) -> tuple[int | None, str]:
    """The index of the port, and the label as the table has it."""
    found = _INDEXED.fullmatch(name)
    if found is None:
        return None, name
    return int(found[1]), f"{PREFIX}{{n}}_{found[2]}"


def _value_fault(labels: Labels, nth: int, key: str, value: str) -> str:
    if len(value) > _TEXT_MAX * 10:
        return "is too long"
    text = value.strip()
    match key:
        case "ENABLED" | "STICKY" | "REDIRECT_TO_HTTPS" if text.lower() not in (*_TRUE, *_FALSE):
            return f'"{value[:64]}" is neither true nor false'
        case "MODE" | "BALANCE" if text.lower() not in _CHOICES[key][0]:
            return f'"{value[:64]}" {_CHOICES[key][1]}'
        case "BACKEND_WEIGHT" if not re.fullmatch(r"-?[0-9]{1,6}", text):
            return f'"{value[:64]}" is not a whole number'
        case "BIND_ADDR" if text != ALL_GROUPS and not _is_address(text):
            return f'"{value[:64]}" is not an IP address'
        case "PORT":
            return _port_fault(labels, text)
        case "VHOST":
            return _hosts_fault(text)
        case "PATH" | "SSL_CERT" | "REDIRECT_TO_HTTPS" if not labels.get(f"{PREFIX}{nth}_VHOST"):
            if key == "REDIRECT_TO_HTTPS" and text.lower() in _FALSE:
                return ""
            return f'has an effect only with {PREFIX}{nth}_VHOST: write one ("*" is every host)'
        case "PATH" if len(text) > _TEXT_MAX or not _PATH.fullmatch(text):
            return f'"{value[:64]}" is not a path: it begins with / and has no spaces'
        case "SSL_CERT" if "," in text or not _FILE.fullmatch(_file_of(text)):
            return f'"{value[:64]}" does not name a file of the directory marathon-certificates'
        case _:
            return ""


def _port_fault(labels: Labels, text: str) -> str:
    if not labels.get(f"{PREFIX}DEPLOYMENT_GROUP", "").strip():
        return "not supported without HAPROXY_DEPLOYMENT_GROUP: give it as the service port"
    return "" if _is_number(text) else f'"{text[:64]}" is not a port'


def _hosts_fault(text: str) -> str:
    hosts = _hosts_of(text)
    if not hosts or len(hosts) > HOSTS_MAX:
        return f"is 1 to {HOSTS_MAX} host names with commas between them"
    odd = [host for host in hosts if not _HOST.fullmatch(host)]
    return f'"{odd[0][:64]}" is not a host name' if odd else ""


def joint_port(labels: Labels, nth: int, service_port: int) -> JointPort | None:
    """What the nth port of an app shares with its deployment group; None where it is served alone. Odd labels say nothing."""
    group = labels.get(f"{PREFIX}DEPLOYMENT_GROUP", "").strip()
    own = labels.get(f"{PREFIX}{nth}_PORT", "").strip()
    if not group or (own and not _is_number(own)):
        return None
    alone = labels.get(f"{PREFIX}DEPLOYMENT_ALT_PORT", "").strip() == str(service_port)
    number = int(own) if own else 0 if alone else service_port
    return JointPort(group=group, service_port=number) if number else None


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 1 <= int(text) <= _PORT_MAX


def with_labels(
    labels: Labels, ports: Sequence[PortSpec], *, nth: int, groups: Collection[str]
) -> tuple[PortSpec, ...]:
    """The specs of the nth port (one for each protocol) as the labels want them served. What is odd in them is left aside.

    `groups`: those whose ports this server serves, or `*`.
    """
    own = {
        key: value.strip() for key in _KEYS.split() if (value := labels.get(f"{PREFIX}{nth}_{key}"))
    }
    unserved = _unserved(own, labels.get(f"{PREFIX}GROUP", ""), groups)
    served = (_served(own, spec, unserved) if is_routed(spec) else spec for spec in ports)
    return tuple(_joined(spec, labels, nth) if is_routed(spec) else spec for spec in served)


def _joined(spec: PortSpec, labels: Labels, nth: int) -> PortSpec:
    """A port whose own number is the group's is given another one to be alone at."""
    own = next(iter(spec.service_ports), 0)
    joint = joint_port(labels, nth, own)
    if joint is None:
        return spec
    is_own = own == joint.service_port
    return replace(spec, joint=joint, service_ports=() if is_own else spec.service_ports)


_KEYS = "GROUP ENABLED VHOST PATH REDIRECT_TO_HTTPS SSL_CERT BACKEND_WEIGHT MODE STICKY BALANCE BIND_ADDR"


def _unserved(own: Labels, of_app: str, groups: Collection[str]) -> str:
    """Why the port is not served; "" when it is."""
    if own.get("ENABLED", "").lower() in _FALSE:
        return "not served: its label HAPROXY_n_ENABLED says false"
    said = {name.strip() for name in own.get("GROUP", of_app).split(",")} - {""}
    if ALL_GROUPS in groups or said & set(groups):
        return ""
    which = ", ".join(sorted(said)) or "none"
    return f"not served: its HAPROXY_GROUP ({which}) is not among marathon-groups"


def _served(own: Labels, spec: PortSpec, unserved: str) -> PortSpec:
    if unserved:
        return replace(spec, unserved=unserved)
    sticky = own.get("STICKY", "").lower() in _TRUE
    virtual = _virtual(own)
    by_default = ListenerProtocol.HTTP if virtual or sticky else spec.listener.protocol
    address = own.get("BIND_ADDR", "")
    return replace(
        spec,
        listener=replace(
            spec.listener,
            protocol=_MODES.get(own.get("MODE", "").lower(), by_default),
            balance=_BALANCES.get(own.get("BALANCE", "").lower(), spec.listener.balance),
            sticky=sticky,
        ),
        address=address if _is_address(address) else spec.address,
        virtual=virtual,
    )


def _virtual(own: Labels) -> VirtualHost | None:
    text, path = own.get("VHOST", ""), own.get("PATH", "")
    if not text or _hosts_fault(text):
        return None
    weight, file = own.get("BACKEND_WEIGHT", "0"), _file_of(own.get("SSL_CERT", ""))
    return VirtualHost(
        hosts=tuple(dict.fromkeys(host.lower() for host in _hosts_of(text))),
        path=path if path != "/" and _PATH.fullmatch(path) else "",
        redirects=own.get("REDIRECT_TO_HTTPS", "").lower() in _TRUE,
        weight=int(weight) if re.fullmatch(r"-?[0-9]{1,6}", weight) else 0,
        certificate=file if _FILE.fullmatch(file) else "",
    )


def _hosts_of(text: str) -> list[str]:
    return [host.strip() for host in text.split(",") if host.strip()]


def _file_of(path: str) -> str:
    return path.rpartition("/")[2]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
