"""A URL on a load balancer's listener -> the rule it meets, and whether anybody takes it there. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from portway.core.diagnosis import conclude
from portway.core.facts import Diagnosis, Hop, Verdict
from portway.core.routes import EndpointState, Pool, Route
from portway.core.rules import Action, Forward, Redirect, Request, Respond, choose


def diagnose_rules(subject: str, route: Route, *, host: str, path: str) -> Diagnosis:
    """What a GET of this from the machine itself meets at a listener with rules."""
    assert route.default is not None
    url = urlsplit(path or "/")
    query = url.query if "?" in path else None
    request = Request(source="127.0.0.1", host=host, path=url.path or "/", query=query)
    action = choose(route.rules, route.default, request)
    named = [rule.name for rule in route.rules if rule.action is action]
    which = f"rule {named[0]} of {balancer_name(route)}" if named else "its default action"
    hops = [_ok(f"{which} {_does(action)}")]
    if isinstance(action, Forward):
        taken = [name for name, weight in action.pools if weight]
        pools = [pool for pool in route.pools if pool.name in taken]
        hops += [_pool(pool) for pool in pools] or [_nowhere()]
    return conclude(subject, hops, fine=hops[0].text)


def balancer_name(route: Route) -> str:
    """What its makers call the load balancer that a route with rules belongs to."""
    return _said(route.owner)


def _does(action: Action) -> str:
    match action:
        case Forward():
            said = ", ".join(f"{_said(name)} ({weight})" for name, weight in action.pools)
            return f"forwards it to {said if len(action.pools) > 1 else said.partition(' ')[0]}"
        case Redirect():
            return f"redirects it with {action.status}"
        case Respond():
            return f"answers it with {action.status} by itself"


def _pool(pool: Pool) -> Hop:
    states = [endpoint.state for endpoint in pool.endpoints]
    ready = states.count(EndpointState.READY)
    if ready:
        return _ok(
            f"{ready} of {len(states)} targets of {_said(pool.name)} take requests", "server"
        )
    said = "it has none" if not states else f"{len(states)} keep what they have"
    return Hop(
        name="server",
        verdict=Verdict.BROKEN,
        text=f"no target of {_said(pool.name)} takes requests: {said}",
        fix="look at `aws elbv2 describe-target-health` for the reason of each target",
    )


def _nowhere() -> Hop:
    return Hop(
        name="server",
        verdict=Verdict.BROKEN,
        text="every target group has the weight 0, so all is answered with 503",
        fix="give one of them a weight: `aws elbv2 modify-rule` or `modify-listener`",
    )


def _said(name: str) -> str:
    """Of an ARN, the name people chose: the last but one word of its path."""
    words = name.rpartition(":")[2].split("/")
    return words[-2] if len(words) > 1 else words[-1]


def _ok(text: str, name: str = "rule") -> Hop:
    return Hop(name=name, verdict=Verdict.OK, text=text)
