"""Listeners with rules -> their sections of haproxy.cfg: one frontend, what answers by itself, a backend a pool. Pure.

The rules are tried in order; the first whose conditions are true says in `txn.to` where the request goes.
`txn.own` tells an answer of an endpoint, or a 503 of ours, from HAProxy's own 503 for a connection that failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portway.balancers.haproxy.header_rules import LOOK, REFUSE_SMUGGLING, SOURCE
from portway.balancers.haproxy.listeners import Group, Listener, Server, bind_address
from portway.balancers.haproxy.patterns import acl, literal
from portway.balancers.haproxy.request_lines import BACKEND_RULES
from portway.balancers.haproxy.ruled_actions import (
    SERVER,
    answer,
    body_path,
    chosen,
    cookie,
    group_cookies,
    page,
    shares,
    target,
)
from portway.core.app import Balance
from portway.core.routes import Route
from portway.core.rules import Action, Forward, ForwardedMode, PoolSpec, Respond, StickyKind

_DEFAULTS = "portway-rules"
_COOKIE = "AWSALB"
_APP_COOKIE = "AWSALBAPP-0"
_ADDRESSES_MAX = 30  # of X-Forwarded-For, as ALB has it
_EMPTY = "Service Temporarily Unavailable"
# A worker that is finishing counts its servers as none, and still answers those who are connected.
_IS_EMPTY = "if { nbsrv() eq 0 } !{ stopping }"
_UNSIGNED = (
    f"http-after-response del-header server if {{ res.hdr(server) -m str {SERVER.split()[2]} }}"
)
_REASONS = {
    400: "Bad Request",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}

Section = tuple[list[str], tuple[Server, ...]]


def sections(
    listeners: Sequence[Listener], *, defaults: list[str], log: list[str]
) -> list[Section]:
    """The sections and the servers of each, with defaults of their own first."""
    if not listeners:
        return []
    made: list[Section] = [(_defaults(defaults), ())]
    for listener in listeners:
        if listener.speaks_http:
            made.append((_frontend(listener, log), ()))
            made.append((_answers(listener), ()))
            made += [(_http_backend(listener, group), group.servers) for group in listener.pools]
        else:
            made.append((_tcp_frontend(listener, log), ()))
            made.append((_head(listener, "backend", listener.tcp_backend), ()))
            made += [(_tcp_backend(listener, group), group.servers) for group in listener.pools]
    return made


def bodies(route: Route) -> dict[str, str]:
    """The files that answers are read from."""
    return {
        body_path(action): action.body
        for action in _actions(route).values()
        if isinstance(action, Respond) and action.body
    }


def server_options(spec: PoolSpec) -> str:
    """The options of every server of a pool, as in `default-server` and in `add server`."""
    options = ["pool-purge-delay 1s", "pool-max-conn -1"]
    if spec.slow_start_s > 0:
        options.append(f"slowstart {_milliseconds(spec.slow_start_s)}")
    if spec.proxy_protocol:
        options.append("send-proxy-v2" if spec.proxy_protocol == 2 else "send-proxy")
    if spec.secure:
        options.append("ssl verify none")
    return " ".join(options)


def _actions(route: Route) -> dict[str, Action]:
    """Every action by its mark, in the order of the rules; the default one last."""
    if route.default is None:
        return {}
    named = {f".{at}": rule.action for at, rule in enumerate(route.rules, 1)}
    return {**named, ".default": route.default}


def _defaults(lines: list[str]) -> list[str]:
    # HAProxy tells connections that failed with a 503; here they are a 502, and an empty pool is the 503.
    errors = {**_REASONS, 503: _REASONS[502]}
    return [
        f"defaults {_DEFAULTS}",
        *(line for line in lines if line != "defaults" and not line.startswith("retries")),
        "retries 2",
        *(
            f"http-error status {status} {page(502 if status == 503 else status, reason)}"
            for status, reason in sorted(errors.items())
        ),
    ]


def _head(listener: Listener, kind: str, name: str) -> list[str]:
    return [f"{kind} {name} from {_DEFAULTS}", f"mode {'http' if listener.speaks_http else 'tcp'}"]


def _bind(listener: Listener, address: str) -> str:
    ruled = listener.route.ruled
    parts = [f"bind {bind_address(address, listener.route.key.service_port)}"]
    if ":" in address:
        parts.append("v6only")
    if listener.slots:
        parts.append(f"ssl crt-list {listener.list_path}")
        if "TLS13-1-3-" in ruled.tls_policy:
            parts.append("ssl-min-ver TLSv1.3")
        if listener.speaks_http:
            parts.append(f"alpn {'h2,http/1.1' if ruled.http2 else 'http/1.1'}")
    return " ".join(parts)


def _frontend(listener: Listener, log: list[str]) -> list[str]:
    ruled = listener.route.ruled
    actions = _actions(listener.route)
    idle = _milliseconds(ruled.idle_timeout_s)
    lines = [
        *_head(listener, "frontend", listener.name),
        *(_bind(listener, address) for address in listener.addresses),
        f"timeout client {idle}",
        f"timeout http-keep-alive {idle}",
        "option idle-close-on-response",
        *([] if ruled.http2 else ["option disable-h2-upgrade"]),
        SOURCE[0],
        "tcp-request session set-var(sess.begun) date()",
        *log,
        *LOOK,
        *REFUSE_SMUGGLING,
        f"http-request return status 405 {page(405, _REASONS[405])} if METH_TRACE",
        f"http-request return status 463 {page(463, 'Client Error')}"
        f" if {{ req.hdr_cnt(x-forwarded-for) gt {_ADDRESSES_MAX} }}",
        *_decided(listener),
        *_told(listener),
        *(BACKEND_RULES if log else []),
        "http-response set-var(txn.own) bool(1)",
    ]
    for mark, action in actions.items():
        if isinstance(action, Forward):
            lines += group_cookies(action, mark)
    return [
        *lines,
        f'http-after-response set-status 502 reason "{_REASONS[502]}" if {{ status 503 }}'
        " !{ var(txn.own) -m found }",
        "http-after-response set-header connection close"
        f" if {{ date(),sub(sess.begun) gt {max(1, round(ruled.keep_alive_s))} }}",
        *([] if ruled.signs else [_UNSIGNED]),
        *(f"http-after-response set-header {n} {literal(v)}" for n, v in ruled.headers_out),
        "use_backend %[var(txn.to)] unless { var(txn.to) -m beg . }",
        f"default_backend {listener.http_backend}",
    ]


def _decided(listener: Listener) -> Iterator[str]:
    """The rules in order, then what the marks of forwards to several pools become."""
    route = listener.route
    assert route.default is not None
    yield "acl decided var(txn.to) -m found"
    for at, rule in enumerate(route.rules, 1):
        names = [f"r{at}c{n}" for n in range(1, len(rule.conditions) + 1)]
        for name, condition in zip(names, rule.conditions, strict=True):
            yield acl(name, condition)
        where = target(listener, rule.action, f".{at}")
        yield f"http-request set-var(txn.to) str({where}) if {' '.join(['!decided', *names])}"
    where = target(listener, route.default, ".default")
    yield f"http-request set-var(txn.to) str({where}) if !decided"
    for mark, action in _actions(route).items():
        if isinstance(action, Forward) and target(listener, action, mark) == mark:
            yield from chosen(listener, action, mark)


def _told(listener: Listener) -> Iterator[str]:
    """What endpoints are told of the client. Rules look at the request as it came, so this is after them."""
    ruled = listener.route.ruled
    number = listener.route.key.service_port
    if ruled.drop_invalid_headers:
        yield "http-request del-header '[^-A-Za-z0-9]' -m reg"
    if not ruled.preserve_host and number not in (80, 443):
        yield (
            f'http-request set-header host "%[req.hdr(host)]:{number}"'
            " if { req.hdr(host) -m found } !{ req.hdr(host) -m reg ':[0-9]+$' }"
        )
    if ruled.forwarded is ForwardedMode.APPEND:
        yield "http-request set-var(txn.fors) req.fhdr_cnt(x-forwarded-for)"
        yield (
            'http-request set-header x-forwarded-for "%[req.fhdr(x-forwarded-for)], %[var(sess.src)]"'
            " if { var(txn.fors) -m int eq 1 }"
        )
        yield (
            "http-request add-header x-forwarded-for %[var(sess.src)]"
            " unless { var(txn.fors) -m int eq 1 }"
        )
    if ruled.forwarded is ForwardedMode.REMOVE:
        yield "http-request del-header x-forwarded-for"
    yield f"http-request set-header x-forwarded-proto {'https' if listener.slots else 'http'}"
    yield f"http-request set-header x-forwarded-port {number}"
    if ruled.is_traced:
        yield from _traced()


def _traced() -> Iterator[str]:
    some = "%[rand,hex,bytes(8,8),lower]"
    yield (
        f"http-request set-var-fmt(txn.request_id) 1-%[date,hex,bytes(8,8),lower]-{some}{some}{some}"
    )
    yield "http-request set-var(txn.given) req.fhdr(x-amzn-trace-id)"
    root, given = "%[var(txn.request_id)]", "%[var(txn.given)]"
    has, rooted = "{ var(txn.given) -m found }", "{ var(txn.given) -m sub Root= }"
    yield f'http-request set-header x-amzn-trace-id "Root={root}" unless {has}'
    yield f'http-request set-header x-amzn-trace-id "Self={root};{given}" if {has} {rooted}'
    yield f'http-request set-header x-amzn-trace-id "Root={root};{given}" if {has} !{rooted}'


def _answers(listener: Listener) -> list[str]:
    lines = [
        *_head(listener, "backend", listener.http_backend),
        "http-request set-var(txn.own) bool(1)",
    ]
    for mark, action in _actions(listener.route).items():
        lines += answer(listener, action, mark)
    return [*lines, _empty(listener)]


def _empty(listener: Listener) -> str:
    status = listener.route.ruled.answer_without_endpoints
    return f"http-request return status {status} {page(status, _REASONS.get(status, _EMPTY))}"


def _backend(listener: Listener, group: Group) -> list[str]:
    assert group.pool is not None
    spec = group.pool.spec
    idle = _milliseconds(listener.route.ruled.idle_timeout_s)
    is_by_source = spec.sticky is not None and spec.sticky.kind is StickyKind.SOURCE
    balance = ["balance source", "hash-type consistent"]
    return [
        *_head(listener, "backend", group.backend),
        *(balance if is_by_source else [f"balance {Balance(spec.balance).value}"]),
        f"timeout server {idle}",
        f"timeout tunnel {idle}",
        f"default-server {server_options(spec)}",
    ]


def _http_backend(listener: Listener, group: Group) -> list[str]:
    return [
        *_backend(listener, group),
        "http-reuse safe",
        "retry-on conn-failure",
        f"http-request set-var(txn.own) bool(1) {_IS_EMPTY}",
        f"{_empty(listener)} {_IS_EMPTY}",
        *(_sticky(group) if group.map_path else []),
    ]


def _sticky(group: Group) -> list[str]:
    assert group.pool is not None
    sticky = group.pool.spec.sticky
    assert sticky is not None
    is_app = sticky.kind is StickyKind.APP_COOKIE
    name = sticky.own_cookie or _APP_COOKIE if is_app else sticky.cookie or _COOKIE
    known = f"var(txn.sticky),map({group.map_path})"
    # The application's cookie begins and ends it; a classic balancer's is never renewed, an ALB's always.
    asked = f" if {{ 'req.cook({sticky.cookie})' -m found }}" if is_app else ""
    told = f" if {{ 'res.cook({sticky.cookie})' -m found }}" if is_app else ""
    if not is_app and name != _COOKIE:
        told = " if !{ srv_name,word(-1,-),strcmp(txn.sticky) eq 0 }"
    return [
        f"http-request set-var(txn.sticky) 'req.cook({name})'{asked}",
        f"http-request set-var(txn.sticky) 'req.cook({name}CORS)'"
        + (f"{asked} !" if asked else " if !")
        + "{ var(txn.sticky) -m found }",
        f"use-server %[{known}] if {{ {known} -m found }}",
        *(line + told for line in cookie(name, "srv_name,word(-1,-)", sticky.duration_s)),
    ]


def _tcp_frontend(listener: Listener, log: list[str]) -> list[str]:
    default = listener.route.default
    assert isinstance(default, Forward)
    return [
        *_head(listener, "frontend", listener.name),
        *(_bind(listener, address) for address in listener.addresses),
        f"timeout client {_milliseconds(listener.route.ruled.idle_timeout_s)}",
        *log,
        *shares(listener, default),
        f"default_backend {listener.tcp_backend}",
    ]


def _tcp_backend(listener: Listener, group: Group) -> list[str]:
    return [*_backend(listener, group), "option srvtcpka"]


def _milliseconds(seconds: float) -> str:
    return f"{min(max(1, round(seconds * 1000)), 2_000_000_000)}ms"
