"""Actions of rules -> lines of HAProxy's configuration. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from portway.balancers.haproxy.listeners import Listener, digest, pool_backend
from portway.balancers.haproxy.patterns import literal
from portway.core.rules import Action, Forward, Redirect, Respond

SERVER = "hdr server awselb/2.0 hdr date %[date,http_date]"
GROUP_COOKIE = "AWSALBTG"
_USUAL = {"http": "80", "https": "443"}


def target(listener: Listener, action: Action, mark: str) -> str:
    """What `txn.to` becomes: a backend, or the mark of an action that more is to be said of."""
    if isinstance(action, Forward) and len(action.pools) == 1 and action.sticky_s is None:
        ((name, weight),) = action.pools
        return pool_backend(listener.name, name) if weight else mark
    return mark


def chosen(listener: Listener, action: Forward, mark: str) -> list[str]:
    """The lines that turn the mark of a forward into one of its pools, by cookie or by chance."""
    here = f"{{ var(txn.to) -m str {mark} }}"
    pools = [(pool_backend(listener.name, name), w) for name, w in action.pools if w]
    if not pools:
        return []
    lines = [f"http-request set-var(txn.share) rand({sum(w for _, w in pools)}) if {here}"]
    if action.sticky_s is not None:
        lines.append(f"http-request set-var(txn.group) str({mark}) if {here}")
        lines.append(f"http-request set-var(txn.kept) req.cook({GROUP_COOKIE}) if {here}")
        lines.append(
            f"http-request set-var(txn.kept) req.cook({GROUP_COOKIE}CORS) if {here}"
            " !{ var(txn.kept) -m found }"
        )
        lines += [
            f"http-request set-var(txn.to) str({backend}) if {here}"
            f" {{ var(txn.kept) -m str {backend.rpartition('-')[2]} }}"
            for backend, _ in pools
        ]
    return lines + [
        f"http-request set-var(txn.to) str({backend}) if {here} {{ var(txn.share) -m int lt {upto} }}"
        for backend, upto in _cumulated(pools)
    ]


def shares(listener: Listener, action: Forward) -> list[str]:
    """The same for connections, where there is no request to remember anything of."""
    pools = [(pool_backend(listener.name, name), w) for name, w in action.pools if w]
    if not pools:
        return []
    return [
        f"tcp-request content set-var(txn.share) rand({sum(w for _, w in pools)})",
        *(
            f"use_backend {backend} if {{ var(txn.share) -m int lt {upto} }}"
            for backend, upto in _cumulated(pools)
        ),
    ]


def group_cookies(action: Forward, mark: str) -> list[str]:
    """The answers' cookies that keep a client with its pool."""
    if action.sticky_s is None:
        return []
    said = cookie(GROUP_COOKIE, "var(txn.to),word(-1,-)", action.sticky_s)
    return [f"{line} if {{ var(txn.group) -m str {mark} }}" for line in said]


def cookie(name: str, value: str, duration_s: int) -> list[str]:
    """The lines that set a cookie, and its twin for pages of other sites."""
    until = f"; Expires=%[date({duration_s}),http_date]" if duration_s else ""
    return [
        f'http-response add-header set-cookie "{name}=%[{value}]{until}; Path=/; HttpOnly"',
        f'http-response add-header set-cookie "{name}CORS=%[{value}]{until}; Path=/; HttpOnly;'
        ' SameSite=None; Secure"',
    ]


def answer(listener: Listener, action: Action, mark: str) -> list[str]:
    """The lines that answer in the place of an endpoint."""
    here = f"if {{ var(txn.to) -m str {mark} }}"
    match action:
        case Respond(body=""):
            return [f"http-request return status {action.status} {SERVER} {here}"]
        case Respond():
            return [
                f"http-request return status {action.status} content-type {action.content_type}"
                f" file {body_path(action)} {SERVER} {here}"
            ]
        case Redirect():
            return _redirect(listener, action, here)
        case Forward():
            return []


def body_path(action: Respond) -> str:
    """Where the body of an answer lies: another body is another file, and so another structure."""
    return f"bodies/{digest(action.body)}.txt"


def page(status: int, reason: str) -> str:
    """A small page as an ALB's, as the payload of an answer."""
    said = f"{status} {reason}"
    return (
        'content-type text/html string "<html>\\r\\n'
        f"<head><title>{said}</title></head>\\r\\n<body>\\r\\n<center><h1>{said}</h1></center>\\r\\n"
        '</body>\\r\\n</html>\\r\\n" ' + SERVER
    )


def _redirect(listener: Listener, action: Redirect, here: str) -> list[str]:
    ours = "https" if listener.slots else "http"
    known = {
        "protocol": ours,
        "host": "%[req.hdr(host),host_only]",
        "port": str(listener.route.key.service_port),
        "path": "%[path,bytes(1)]",
        "query": "%[query]",
    }
    protocol = ours if action.protocol.startswith("#") else action.protocol.lower()
    number = known["port"] if action.port_text.startswith("#") else action.port_text
    place = f"{protocol}\\x3a\\x2f\\x2f{_filled(action.host, known)}"
    if number != _USUAL[protocol]:
        place += f"\\x3a{number}"
    place += _filled(action.path, known)
    reason = "Moved Permanently" if action.status == 301 else "Found"
    said = f"http-request return status {action.status} {page(action.status, reason)} hdr location"
    plain = f"{said} {place} {here}"
    if not action.query:
        return [plain]
    return [
        f"http-request set-var-fmt(txn.query) {_filled(action.query, known)} {here}",
        f"{said} {place}\\x3f%[var(txn.query)] {here} {{ var(txn.query) -m len gt 0 }}",
        plain,
    ]


def _filled(template: str, known: Mapping[str, str]) -> str:
    pieces = re.split(r"#\{(protocol|host|port|path|query)\}", template)
    return "".join(known[piece] if at % 2 else literal(piece) for at, piece in enumerate(pieces))


def _cumulated(pools: list[tuple[str, int]]) -> list[tuple[str, int]]:
    ends: list[tuple[str, int]] = []
    for backend, weight in pools:
        ends.append((backend, (ends[-1][1] if ends else 0) + weight))
    return ends
