"""Why a route with rules could not be served: what may be asked of a rule before any of it is written down. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_network

from portway.core.app import ListenerProtocol
from portway.core.routes import Pool, Route
from portway.core.rules import (
    Action,
    Condition,
    Forward,
    Part,
    Redirect,
    Respond,
    Sticky,
    StickyKind,
    forwards,
)

CONDITIONS_MAX = 40  # of one rule: HAProxy takes 64 words a line
BODY_MAX = 1024
WEIGHT_MAX = 999
CONTENT_TYPES = (
    "text/plain",
    "text/css",
    "text/html",
    "application/javascript",
    "application/json",
)
_NAME = re.compile(r"[A-Za-z0-9!#&*+.^_|~-]{1,128}")
_PORT = re.compile(r"#\{port\}|[0-9]{1,5}")
_PROTOCOL = re.compile(r"#\{protocol\}|https?", re.IGNORECASE)


def ruled_problem(route: Route) -> str:
    """A sentence; "" when it can be served."""
    return next(_problems(route), "")


def _problems(route: Route) -> Iterator[str]:
    assert route.default is not None
    is_http = route.listener.protocol not in (ListenerProtocol.TCP, ListenerProtocol.TLS)
    if not is_http and (route.rules or not isinstance(route.default, Forward)):
        yield "Without HTTP there are no requests: it can only forward, and has no rules."
    names = [pool.name for pool in route.pools]
    if len(set(names)) < len(names):
        yield "A pool is listed twice behind this port."
    for pool in route.pools:
        yield from _of_pool(pool)
    for name, value in route.ruled.headers_out:
        if not _NAME.fullmatch(name) or not value.isprintable():
            yield f"{name!r} with {value!r} is no header that can be sent."
    for rule in route.rules:
        if len(rule.conditions) > CONDITIONS_MAX:
            yield f"Rule {rule.name} has more than {CONDITIONS_MAX} conditions."
        for condition in rule.conditions:
            yield from (f"Rule {rule.name}: {why}" for why in _of_condition(condition))
    for action in (route.default, *(rule.action for rule in route.rules)):
        yield from _of_action(action)
    for missing in forwards(route.rules, route.default) - set(names):
        yield f"A rule forwards to {missing}, which is no pool of this listener."


def _of_pool(pool: Pool) -> Iterator[str]:
    targets = {(e.instance_id, e.address, e.port_number) for e in pool.endpoints}
    if len(targets) < len(pool.endpoints):
        yield f"An endpoint is listed twice in pool {pool.name}."
    if pool.spec.sticky is not None:
        yield from _of_sticky(pool.spec.sticky)


def _of_sticky(sticky: Sticky) -> Iterator[str]:
    needs_name = sticky.kind is StickyKind.APP_COOKIE
    if (sticky.cookie or needs_name) and not _NAME.fullmatch(sticky.cookie):
        yield f"{sticky.cookie!r} is no name of a cookie that can be looked for."
    if sticky.own_cookie and not _NAME.fullmatch(sticky.own_cookie):
        yield f"{sticky.own_cookie!r} is no name of a cookie that can be set."


def _of_condition(condition: Condition) -> Iterator[str]:
    if not (condition.pairs if condition.part is Part.QUERY else condition.values):
        yield "a condition has no values."
    if not _is_text(*condition.values, *(text for pair in condition.pairs for text in pair)):
        yield "a value holds characters that no text has."
    if condition.part is Part.HEADER and not _NAME.fullmatch(condition.name):
        yield f"{condition.name!r} is no name of a header."
    if condition.part is Part.SOURCE:
        yield from (f"{v!r} is no range of addresses." for v in condition.values if not _is_cidr(v))
    if condition.is_regex and any("\\Q" in value for value in condition.values):
        yield "write each character with a backslash instead of \\Q...\\E."


def _of_action(action: Action) -> Iterator[str]:
    match action:
        case Forward():
            if any(not 0 <= weight <= WEIGHT_MAX for _, weight in action.pools):
                yield f"A weight is a number from 0 to {WEIGHT_MAX}."
        case Redirect():
            if not _is_text(action.host, action.path, action.query):
                yield "A redirect holds characters that no text has."
            if action.status not in (301, 302):
                yield f"A redirect has the status 301 or 302, not {action.status}."
            if not _PORT.fullmatch(action.port_text) or not _PROTOCOL.fullmatch(action.protocol):
                yield f"{action.protocol}:{action.port_text} is nothing to redirect to."
        case Respond():
            if not 200 <= action.status <= 599 or 300 <= action.status <= 399:
                yield f"An answer has a status of 2xx, 4xx or 5xx, not {action.status}."
            if len(action.body) > BODY_MAX or not _is_text(action.body):
                yield f"The body of an answer is text of at most {BODY_MAX} characters."
            if action.content_type not in CONTENT_TYPES:
                yield f"{action.content_type!r} is none of {', '.join(CONTENT_TYPES)}."


def _is_text(*texts: str) -> bool:
    """Whether none of them holds a NUL or half a character, which cannot be written down."""
    return not any(c == "\0" or "\ud800" <= c <= "\udfff" for text in texts for c in text)


def _is_cidr(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "%" not in text
