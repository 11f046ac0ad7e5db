"""Rules of a listener: which pool of endpoints, or which answer, a request gets (an ALB's listener rules).

A Route with a `default` action has rules, tried in order, and pools; one without has its endpoints alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address, ip_network

from msgspec import Struct

from portway.core.app import Balance


class Part(StrEnum):
    """What of a request a condition looks at."""

    HOST = "host-header"
    PATH = "path-pattern"
    HEADER = "http-header"
    METHOD = "http-request-method"
    QUERY = "query-string"
    SOURCE = "source-ip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """True when any of `values` fits. `*` is any number of characters, `?` exactly one; after a backslash they are themselves.

    HOST, HEADER and QUERY ignore case, PATH and METHOD keep it (ALB guide, "Rule condition types").
    `name`: the header of HEADER. QUERY has `pairs` of (key, value), key "" = any key. METHOD values are exact, SOURCE CIDRs.
    `is_regex`: values are regular expressions instead, to be found anywhere.
    """

    part: Part
    values: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    name: str = ""
    is_regex: bool = False


# Saved with their kind, which of dataclasses beside each other could not be read back.
class Forward(Struct, frozen=True, kw_only=True, tag=True):
    """To one of some pools by weight; `sticky_s`: a client stays with its pool so long."""

    pools: tuple[tuple[str, int], ...]
    sticky_s: int | None = None


class Redirect(Struct, frozen=True, kw_only=True, tag=True):
    """301 or 302; each part may hold #{protocol}, #{host}, #{port}, #{path} (without its first /), #{query}."""

    status: int
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port_text: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"


class Respond(Struct, frozen=True, kw_only=True, tag=True):
    """An answer of the balancer's own; `body` at most 1024 characters."""

    status: int
    content_type: str = "text/plain"
    body: str = ""


Action = Forward | Redirect | Respond


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """All conditions true: the action. `name` is for people and for the access log."""

    name: str
    conditions: tuple[Condition, ...]
    action: Action


class StickyKind(StrEnum):
    """What keeps a client on its endpoint: a cookie of ours, one the application sets, or the client's address."""

    COOKIE = "lb_cookie"
    APP_COOKIE = "app_cookie"
    SOURCE = "source_ip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sticky:
    """`duration_s` 0: as long as the browser's session. `cookie`: the application's, or ours ("AWSALB").

    `own_cookie`: of APP_COOKIE, ours beside the application's; "" = as an ALB calls it.
    """

    kind: StickyKind
    duration_s: int = 0
    cookie: str = ""
    own_cookie: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSpec:
    """How a group of endpoints is used, whoever they are."""

    balance: Balance = Balance.ROUND_ROBIN
    sticky: Sticky | None = None
    secure: bool = False  # TLS to the endpoints, unverified as ALB does it
    proxy_protocol: int = 0  # 0 none, 1 text, 2 binary
    slow_start_s: float = 0.0
    is_http: bool = True


class ForwardedMode(StrEnum):
    """What becomes of X-Forwarded-For."""

    APPEND = "append"
    PRESERVE = "preserve"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledListener:
    """What a listener with rules does besides them.

    `idle_timeout_s`: an endpoint silent so long means 504, a silent client is closed. `tls_policy`: a name of a
    security policy the renderer knows. `is_traced`: endpoints are told a trace id.
    """

    forwarded: ForwardedMode = ForwardedMode.APPEND
    preserve_host: bool = True
    drop_invalid_headers: bool = False
    http2: bool = True
    idle_timeout_s: float = 60.0
    keep_alive_s: float = 3600.0
    tls_policy: str = ""
    answer_without_endpoints: int = 503
    is_traced: bool = True
    signs: bool = True  # answers of the balancer's own say that they are an ELB's
    headers_out: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What rules look at. `host` without its port, `path` and `query` as sent; `query` None = there is no `?`."""

    source: str
    method: str = "GET"
    host: str = ""
    path: str = "/"
    query: str | None = None
    headers: tuple[tuple[str, str], ...] = ()


def choose(rules: Sequence[Rule], default: Action, request: Request) -> Action:
    """The action of the first rule whose conditions are all true, else `default`."""
    for rule in rules:
        if all(matches(condition, request) for condition in rule.conditions):
            return rule.action
    return default


def matches(condition: Condition, request: Request) -> bool:
    """Whether any value of the condition fits the request."""
    match condition.part:
        case Part.HOST:
            return _any_fits(condition, [request.host])
        case Part.PATH:
            return _any_fits(condition, [request.path])
        case Part.HEADER:
            name = condition.name.lower()
            return _any_fits(condition, [v for n, v in request.headers if n.lower() == name])
        case Part.METHOD:
            return request.method in condition.values
        case Part.QUERY:
            return any(_has_pair(key, value, request.query) for key, value in condition.pairs)
        case Part.SOURCE:
            source = ip_address(request.source)
            return any(source in ip_network(cidr, strict=False) for cidr in condition.values)


def wildcards(text: str) -> tuple[str, ...]:
    """The characters of a pattern: `*` and `?` alone are wildcards, everything else starts with a backslash."""
    return tuple(
        piece if piece in ("*", "?") else "\\" + piece[-1]
        for piece in re.findall(r"\\[*?\\]|.", text, re.DOTALL)
    )


def _any_fits(condition: Condition, texts: Iterable[str]) -> bool:
    flags = re.NOFLAG if condition.part is Part.PATH else re.IGNORECASE
    if condition.is_regex:
        found = [re.compile(value, flags | re.ASCII).search for value in condition.values]
    else:
        found = [
            re.compile(_expression(value), flags | re.ASCII | re.DOTALL).fullmatch
            for value in condition.values
        ]
    return any(find(text) for text in texts for find in found)


def _has_pair(key: str, value: str, query: str | None) -> bool:
    for piece in [] if query is None else query.split("&"):
        its_key, _, its_value = piece.partition("=")
        if (not key or _fits(key, its_key)) and _fits(value, its_value):
            return True
    return False


def _fits(pattern: str, text: str) -> bool:
    return bool(re.fullmatch(_expression(pattern), text, re.IGNORECASE | re.ASCII | re.DOTALL))


def _expression(pattern: str) -> str:
    known = {"*": ".*", "?": "."}
    return "".join(known.get(piece) or re.escape(piece[1]) for piece in wildcards(pattern))


def forwards(rules: Sequence[Rule], default: Action) -> frozenset[str]:
    """The names of all pools that any of these actions forwards to."""
    actions = (default, *(rule.action for rule in rules))
    return frozenset(
        name for action in actions if isinstance(action, Forward) for name, _ in action.pools
    )
