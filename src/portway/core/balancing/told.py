"""Rules of a load balancer in a few words: for the map, and for whoever asks why. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from portway.core.rules import Action, Condition, Forward, Part, Redirect, Respond

_VALUES_SHOWN = 3
_WORDS = {
    Part.HOST: "host",
    Part.PATH: "path",
    Part.METHOD: "method",
    Part.QUERY: "query",
    Part.SOURCE: "source",
}
_SCHEMES = {"HTTP": "http", "HTTPS": "https", "TLS": "tls", "SSL": "tls"}
_USUAL = {"http": 80, "https": 443}


def conditions_text(conditions: Sequence[Condition]) -> str:
    """`host a.example, path /api/* or /v2/*`; "" where there are none."""
    return ", ".join(map(_condition_text, conditions))


def _condition_text(condition: Condition) -> str:
    what = _WORDS.get(condition.part) or f"header {condition.name}"
    values = list(condition.values)
    if condition.part is Part.QUERY:
        values = [f"{key}={value}" if key else value for key, value in condition.pairs]
    left_out = len(values) - _VALUES_SHOWN
    more = [f"{left_out} more"] if left_out > 0 else []
    said = " or ".join([*values[:_VALUES_SHOWN], *more])
    return f"{what} ~ {said}" if condition.is_regex else f"{what} {said}"


def action_text(action: Action) -> str:
    """What is done besides forwarding: `redirects with 301 to https://...`, `answers 404 itself`; "" for a forward."""
    match action:
        case Forward():
            return "" if any(weight for _, weight in action.pools) else "answers 503: all weights are 0"  # fmt: skip
        case Redirect():
            query = f"?{action.query}" if action.query else ""
            to = f"{action.protocol}://{action.host}:{action.port_text}{action.path}{query}"
            return f"redirects with {action.status} to {to}"
        case Respond():
            return f"answers {action.status} itself"


def listener_url(host: str, protocol: str, number: int) -> str:
    """How clients write a listener of a load balancer."""
    scheme = _SCHEMES.get(protocol, "tcp")
    where = host if _USUAL.get(scheme) == number else f"{host}:{number}"
    return f"{scheme}://{where}/" if scheme in _USUAL else f"{scheme}://{where}"
