"""Listeners -> the files HAProxy reads: haproxy.cfg, certificate lists, certificates, cookie maps. Pure, byte-stable.

Nothing of a user's text is written as it is: names are slugs with hashes, the rest are numbers,
addresses and words of ours.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from portway.balancers.haproxy import ruled
from portway.balancers.haproxy.header_rules import (
    DROP_ALIASES,
    LOOK,
    REFUSE_SMUGGLING,
    REQUEST_ID,
    SOURCE,
)
from portway.balancers.haproxy.listeners import Group, Listener, Server, bind_address
from portway.balancers.haproxy.request_lines import (
    BACKEND_RULES,
    FRONTEND_RULES,
    LINE_MAX_BYTES,
    LOG_FORMAT,
    LOG_MAP,
)
from portway.core.app import ListenerProtocol, ListenerSpec

CONFIG = "haproxy.cfg"
ADMIN_SOCKET = "admin.sock"
HEALTH_SOCKET = "health.sock"
LOG_PIPE = "requests.pipe"
LOG_DESCRIPTOR = 9  # where HAProxy finds that pipe open, to write requests to


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the configuration needs to know of the machine and of our policy.

    `has_log`: HAProxy was started with a pipe at LOG_DESCRIPTOR; nothing else may be written to.
    """

    connections_max: int
    user: str = ""  # workers run as this user; "" = as whoever starts HAProxy
    hard_stop_after_s: float = 6 * 3600.0
    inspect_delay_ms: int = 100  # until a silent client is taken for a stream
    request_delay_ms: int = 30_000  # until it is let go, where HTTP is expected
    has_log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """All files by path relative to HAProxy's directory. `structure` differs when only a reload can tell HAProxy."""

    files: Mapping[str, str]
    structure: str


def render(listeners: Sequence[Listener], settings: Settings) -> Rendered:
    """The same listeners in any order give the same bytes."""
    ordered = sorted(listeners, key=lambda listener: listener.name)
    sections = _sections(ordered, settings)
    fixed = _joined(_global(settings, ""), (text for text, _servers in sections))
    structure = hashlib.sha256(fixed.encode()).hexdigest()[:16]
    whole = _joined(_global(settings, structure), (text + servers for text, servers in sections))
    files = {CONFIG: whole}
    if settings.has_log:
        files[LOG_MAP] = "".join(f"{one.name} 1\n" for one in ordered if one.is_reported)
    for listener in ordered:
        files |= _side_files(listener)
    return Rendered(files=files, structure=structure)


def structure_mark(structure: str) -> str:
    """What a worker that loaded this structure says as its description."""
    return f"portway-{structure}"


def server_options(spec: ListenerSpec) -> str:
    """The options of every server of a listener, as in `default-server` and in `add server`."""
    # A server added at run time keeps no idle connection, and so reuses none, unless told how many.
    options = ["pool-purge-delay 1s", "pool-max-conn -1"]
    if spec.slow_start_s > 0:
        options.append(f"slowstart {_milliseconds(spec.slow_start_s)}")
    if spec.proxy_protocol:
        options.append("send-proxy")
    if spec.secure:
        options.append("ssl verify none")
    return " ".join(options)


def group_options(listener: Listener, group: Group) -> str:
    """The options of every server of a group."""
    if group.pool is not None:
        return ruled.server_options(group.pool.spec)
    return server_options(listener.route.listener)


def _sections(listeners: Sequence[Listener], settings: Settings) -> list[tuple[str, str]]:
    """What only a reload changes, and the servers, which come and go without one; section by section."""
    sections = [(_indented(_defaults()), ""), (_indented(_health()), "")]
    for listener in [one for one in listeners if not one.is_ruled]:
        servers = _server_lines(listener.servers)
        sections.append((_indented(_frontend(listener, settings)), ""))
        if listener.speaks_http:
            sections.append((_indented(_http_backend(listener, settings)), servers))
        if listener.speaks_tcp:
            sections.append((_indented(_tcp_backend(listener)), servers))
    # Last, because they come with defaults of their own, and those would be everybody's after them.
    return sections + [
        (_indented(lines), _server_lines(servers))
        for lines, servers in ruled.sections(
            [one for one in listeners if one.is_ruled],
            defaults=_defaults(),
            log=_log() if settings.has_log else [],
        )
    ]


def _joined(first: str, others: Iterable[str]) -> str:
    return "\n\n".join((first, *others)) + "\n"


def _indented(section: Sequence[str]) -> str:
    return "\n    ".join(section)


def _global(settings: Settings, structure: str) -> str:
    lines = [
        "global",
        f"description {structure_mark(structure)}",
        f"stats socket unix@{ADMIN_SOCKET} mode 600 level admin expose-fd listeners",
        "stats timeout 1h",
        f"maxconn {settings.connections_max}",
        f"hard-stop-after {_milliseconds(settings.hard_stop_after_s)}",
        "noreuseport",
        *([f"user {settings.user}", f"group {settings.user}"] if settings.user else []),
        "ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets",
        "ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
        "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
        "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
        "tune.ssl.default-dh-param 2048",
    ]
    return _indented(lines)


def _defaults() -> list[str]:
    # A request is tried again only where no byte of it was sent: connecting failed.
    return [
        "defaults",
        "timeout connect 3s",
        "timeout queue 5s",
        "timeout client 1h",
        "timeout server 1h",
        "timeout http-request 30s",  # as request_delay_ms
        "timeout http-keep-alive 60s",
        "retries 3",
        "option redispatch 1",
        "option dontlognull",
    ]


def _health() -> list[str]:
    return [
        "frontend portway",
        "mode http",
        f"bind unix@{HEALTH_SOCKET} mode 600",
        "http-request return status 200 content-type text/plain string ok",
    ]


def _frontend(listener: Listener, settings: Settings) -> list[str]:
    spec = listener.route.listener
    lines = [
        f"frontend {listener.name}",
        f"mode {'tcp' if listener.speaks_tcp else 'http'}",
        *(_bind(listener, address) for address in listener.addresses),
        f"timeout client {_milliseconds(spec.idle_timeout_s)}",
        # On a reload a client may be about to ask on its idle connection: it is answered first.
        *(["option idle-close-on-response", *SOURCE] if listener.speaks_http else []),
        *(_log() if settings.has_log else []),
    ]
    if spec.protocol is ListenerProtocol.AUTO:
        delay_ms = settings.request_delay_ms if spec.expects_http else settings.inspect_delay_ms
        return [
            *lines,
            f"tcp-request inspect-delay {delay_ms}ms",
            "tcp-request content switch-mode http if HTTP",
            # An HTTP listener hangs up on who says nothing for so long; a stream would skip the rules.
            *(["tcp-request content reject unless { req.len gt 0 }"] if spec.expects_http else []),
            f"use_backend {listener.http_backend} if HTTP",
            f"default_backend {listener.tcp_backend}",
        ]
    return [*lines, f"default_backend {listener.backends[0]}"]


def _log() -> list[str]:
    """Requests are written down only where the map says so; elsewhere they cost one look into it."""
    return [
        f"log fd@{LOG_DESCRIPTOR} len {LINE_MAX_BYTES} format raw local0",
        f'log-format "{LOG_FORMAT}"',
        *FRONTEND_RULES,
    ]


def _bind(listener: Listener, address: str) -> str:
    parts = [f"bind {bind_address(address, listener.route.key.service_port)}"]
    if ":" in address:
        parts.append("v6only")
    if listener.slots:
        parts.append(f"ssl crt-list {listener.list_path}")
        if listener.speaks_http:
            parts.append("alpn h2,http/1.1")
    return " ".join(parts)


def _backend(listener: Listener, name: str, mode: str) -> list[str]:
    spec = listener.route.listener
    idle = _milliseconds(spec.idle_timeout_s)
    return [
        f"backend {name}",
        f"mode {mode}",
        f"balance {spec.balance.value}",
        f"timeout server {idle}",
        f"timeout tunnel {idle}",
        f"default-server {server_options(spec)}",
    ]


def _tcp_backend(listener: Listener) -> list[str]:
    return [
        *_backend(listener, listener.tcp_backend, "tcp"),
        "option srvtcpka",
    ]


def _http_backend(listener: Listener, settings: Settings) -> list[str]:
    return [
        *_backend(listener, listener.http_backend, "http"),
        "http-reuse safe",
        "retry-on conn-failure",
        *(BACKEND_RULES if settings.has_log else ()),
        *LOOK,
        *REFUSE_SMUGGLING,
        *DROP_ALIASES,
        *_forwarded(listener),
        *REQUEST_ID,
        *(_sticky(listener) if listener.sticky else []),
        _unavailable(listener),
    ]


def _forwarded(listener: Listener) -> list[str]:
    """What the instance is told of the client. The client's own of these were deleted before."""
    protocol = "https" if listener.slots else "http"
    has_host = "{ req.fhdr(x-forwarded-host) -m found }"
    return [
        "http-request add-header x-forwarded-for %[var(sess.src)]",
        "http-request add-header x-real-ip %[var(sess.src)]",
        f"http-request add-header x-forwarded-port {listener.route.key.service_port}",
        f"http-request add-header x-forwarded-proto {protocol}",
        "http-request add-header x-forwarded-host %[req.fhdr(host)]"
        " if { req.fhdr(host) -m reg ^[A-Za-z0-9._:\\[\\]-]+$ }",
        f'http-request add-header forwarded "%[var(sess.for)];proto={protocol}" unless {has_host}',
        'http-request add-header forwarded "%[var(sess.for)];host=\\"%[req.fhdr(host)]\\";'
        f'proto={protocol}" if {has_host}',
    ]


def _sticky(listener: Listener) -> list[str]:
    # HAProxy takes no `cookie` on servers added while it runs; the map holds the READY ones.
    cookie = "PORTWAY-" + listener.name.rpartition("-")[2]
    known = f"var(txn.sticky),map({listener.map_path})"
    set_cookie = (
        f'add-header set-cookie "{cookie}=%[srv_name,word(-1,-)]; Path=/; HttpOnly; SameSite=Lax'
    )
    kept = "{ srv_name,word(-1,-),strcmp(txn.sticky) eq 0 }"
    return [
        f"http-request set-var(txn.sticky) req.cook({cookie})",
        f"use-server %[{known}] if {{ {known} -m found }}",
        f'http-response {set_cookie}" if !{kept} !{{ ssl_fc }}',
        f'http-response {set_cookie}; Secure" if !{kept} {{ ssl_fc }}',
    ]


def _unavailable(listener: Listener) -> str:
    owner = re.sub(r"[^A-Za-z0-9/._-]", "?", listener.route.owner)[:80]
    sentence = f"No instance of {owner} can answer right now; try again in a few seconds.\\n"
    return (
        f'http-error status 503 content-type "text/plain; charset=utf-8" string "{sentence}"'
        " hdr retry-after 5 hdr cache-control no-store"
    )


def _server_lines(servers: Sequence[Server]) -> str:
    return "".join(f"\n    server {s.name} {s.address} weight {s.weight}" for s in servers)


def _side_files(listener: Listener) -> dict[str, str]:
    files = {slot.path: slot.pem for slot in listener.slots}
    if listener.slots:
        files[listener.list_path] = "".join(f"{slot.path}\n" for slot in listener.slots)
    for group in listener.sticky_groups:
        cookies = sorted(group.cookie_map.items())
        files[group.map_path] = "".join(f"{cookie} {name}\n" for cookie, name in cookies)
    if listener.is_ruled:
        files |= ruled.bodies(listener.route)
    return files


def _milliseconds(seconds: float) -> str:
    return f"{min(max(1, round(seconds * 1000)), 2_000_000_000)}ms"
