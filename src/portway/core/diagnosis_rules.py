"""A URL on a load balancer's listener -> the rule it meets, and whether anybody takes it there. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from portway.core.balancing.model import OWNER_PREFIX
from portway.core.balancing.shared import OWNER as SHARED_OWNER
from portway.core.balancing.targets import TargetHealth, TargetState
from portway.core.balancing.told import conditions_text
from portway.core.diagnosis import conclude
from portway.core.facts import Diagnosis, Hop, PoolFacts, Verdict
from portway.core.routes import EndpointState, Pool, Route
from portway.core.rules import Action, Forward, Redirect, Request, Respond, choose

_RULES_SHOWN = 3
_NO_POOLS: Mapping[str, PoolFacts] = {}


def diagnose_rules(
    subject: str,
    route: Route,
    *,
    host: str,
    path: str,
    pools: Mapping[str, PoolFacts] = _NO_POOLS,
) -> Diagnosis:
    """What a GET of this from the machine itself meets at a listener with rules. `pools`: their targets, by name."""
    assert route.default is not None
    url = urlsplit(path or "/")
    query = url.query if "?" in path else None
    request = Request(source="127.0.0.1", host=host, path=url.path or "/", query=query)
    action = choose(route.rules, route.default, request)
    named = [rule.name for rule in route.rules if rule.action is action]
    hops = [_rule(route, action, f"rule {named[0]}" if named else "", f"GET {host}{path}")]
    if isinstance(action, Forward):
        taken = [name for name, weight in action.pools if weight]
        used = [pool for pool in route.pools if pool.name in taken]
        for pool in used:
            if is_shared(route):
                hops.append(_shared_pool(pool))
            else:
                hops += _pool(pool, pools.get(pool.name, PoolFacts()))
        hops += [] if used else [_nowhere()]
    return conclude(subject, hops, fine=hops[0].text)


def balancer_name(route: Route) -> str:
    """What its makers call the load balancer that a route with rules belongs to."""
    if not is_shared(route):
        return group_name(route.owner)
    return "the virtual hosts" if route.rules else "a deployment group"


def is_shared(route: Route) -> bool:
    """Whether it is a listener that Apps share, by virtual hosts or as a deployment group."""
    return route.owner == SHARED_OWNER


def _rule(route: Route, action: Action, rule: str, asked: str) -> Hop:
    if rule:
        return _ok(f"{rule} of {balancer_name(route)} {_does(action)}")
    if not route.rules:
        return _ok(f"its default action {_does(action)}")
    shown = [f"{r.name}: {conditions_text(r.conditions)}" for r in route.rules[:_RULES_SHOWN]]
    more = len(route.rules) - len(shown)
    rules = "; ".join([*shown, *([f"and {more} more"] if more else [])])
    text = f"no rule of {balancer_name(route)} matches {asked} ({rules}), so its default action {_does(action)}"
    if isinstance(action, Respond) and action.status >= 400:
        add = "give an app this host (label HAPROXY_0_VHOST)" if is_shared(route) else "add one: `aws elbv2 create-rule`"  # fmt: skip
        fix = f"ask for what a rule matches, or {add}"
        return Hop(name="rule", verdict=Verdict.BROKEN, text=text, fix=fix)
    return _ok(text)


def _does(action: Action) -> str:
    match action:
        case Forward():
            said = ", ".join(f"{group_name(name)} ({weight})" for name, weight in action.pools)
            return f"forwards it to {said if len(action.pools) > 1 else said.partition(' ')[0]}"
        case Redirect():
            return f"redirects it with {action.status}"
        case Respond():
            return f"answers it with {action.status} by itself"


def _pool(pool: Pool, facts: PoolFacts) -> Iterator[Hop]:
    name, total = group_name(pool.name), len(facts.targets) or len(pool.endpoints)
    by_name = not pool.name.startswith("arn:")
    ready = [e.state for e in pool.endpoints].count(EndpointState.READY)
    ill = [(told, h) for told, h in facts.targets if h.state is TargetState.UNHEALTHY]
    if facts.barred:
        told, _, fix = facts.barred.partition("; ")
        text = f"{told}, so the targets of {name} time out"
        yield Hop(name="network", verdict=Verdict.BROKEN, text=text, fix=f"{fix} (by `aws ec2`)")
    if ready:
        rest = f"; {_reason(*ill[0])}" if ill else ""
        yield _ok(f"{ready} of {total} targets of {name} take requests{rest}", "server")
        return
    text, fix = f"no target of {name} takes requests", f"{facts.check or 'see its check'}; "
    if ill:
        text = f"{text}: {_reason(*ill[0])}"
        change = "elb configure-health-check" if by_name else "elbv2 modify-target-group"
        fix = f"{fix}let it answer so, or change that: `aws {change}`"
    elif facts.targets:
        told, health = facts.targets[0]
        text = f"{text}: {told} is {health.state.value} ({health.description})"
        fix = "wait; `portway map` shows what becomes of them"
    elif pool.endpoints:
        text = f"{text}: {len(pool.endpoints)} keep what they have"
        fix = "`portway map` shows how each stands"
    else:
        text = f"{text}: it has none"
        add = "elb register-instances-with-load-balancer" if by_name else "elbv2 register-targets"
        fix = f"give it a service (`aws ecs create-service`) or targets (`aws {add}`); `portway ps` shows what runs"
    yield Hop(name="server", verdict=Verdict.BROKEN, text=text, fix=fix)


def _shared_pool(pool: Pool) -> Hop:
    name, total = group_name(pool.name), len(pool.endpoints)
    ready = [e.state for e in pool.endpoints].count(EndpointState.READY)
    if ready:
        return _ok(f"{ready} of {total} instances of {name} take requests", "server")
    some = f"{total} keep what they have" if total else "there are none"
    return Hop(
        name="server",
        verdict=Verdict.BROKEN,
        text=f"no instance of {name} takes requests: {some}",
        fix=f"`portway why {name.partition(':')[0]}` says why; `portway ps` shows what runs",
    )


def _reason(told: str, health: TargetHealth) -> str:
    return f"{told} is unhealthy: {health.description}"


def _nowhere() -> Hop:
    return Hop(
        name="server",
        verdict=Verdict.BROKEN,
        text="every target group has the weight 0, so all is answered with 503",
        fix="give one of them a weight: `aws elbv2 modify-rule` or `modify-listener`",
    )


def group_name(name: str) -> str:
    """Of an ARN, the name people chose: what comes before the id, if there is one. Other names are themselves."""
    name = name.removeprefix(OWNER_PREFIX).replace("+", " and ")
    if not name.startswith("arn:"):
        return name
    words = name.rpartition(":")[2].split("/")
    return words[-2] if len(words) > 2 else words[-1]  # noqa: PLR2004


def _ok(text: str, name: str = "rule") -> Hop:
    return Hop(name=name, verdict=Verdict.OK, text=text)
