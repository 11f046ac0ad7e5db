"""What load balancers have to do with an App or an address, gathered for `why`. Concludes nothing."""

from __future__ import annotations

from portway.controller.balancing.balancing import Balancing
from portway.controller.balancing.leads import DEFAULT_RULE, Lead, leads_of
from portway.controller.why.asking import ask
from portway.controller.world import World
from portway.core.balancing.model import TRAFFIC_PORT, TargetGroup, health_check
from portway.core.balancing.targets import Member
from portway.core.diagnosis_rules import group_name
from portway.core.facts import Answer, GroupFacts, PoolFacts, TargetFacts, WayFacts
from portway.core.health import statuses_text
from portway.core.pooled import instance_of
from portway.core.routes import Route
from portway.core.state import AppState


async def group_facts(
    world: World, balancing: Balancing, state: AppState, *, asks: bool
) -> tuple[GroupFacts, ...]:
    """The target groups of what the App should run, and the ways to each. `asks`: one of the ways is gone."""
    bound = state.target.app.targets if state.target else ()
    keys = dict.fromkeys(binding.group for binding in bound)
    return tuple([await _group(world, balancing, key, asks=asks) for key in keys])


async def _group(world: World, balancing: Balancing, key: str, *, asks: bool) -> GroupFacts:
    group = balancing.registry.group(key)
    if group is None:
        return GroupFacts(name=group_name(key), exists=False)
    leads = [
        lead
        for balancer in balancing.registry.users_of(key)
        for lead in leads_of(balancing.registry, balancer)
        if lead.group == key
    ]
    ways = [(_way(world, balancing, group, lead), lead) for lead in leads]
    # The one that can be asked first: what a rule wants of a request cannot be made up.
    ways.sort(key=lambda one: (not one[0].is_served, not one[0].weight, one[1].rule != DEFAULT_RULE))  # fmt: skip
    targets = tuple(
        TargetFacts(instance_id=instance_of(member.endpoint_id), told=_told(member), health=health)
        for member, health in balancing.standings(group)
        if member.instance_id
    )
    return GroupFacts(
        name=group.name,
        check=check_words(group),
        ways=tuple(way for way, _ in ways),
        targets=targets,
        answer=await _asked(*ways[0]) if asks and ways and targets else None,
    )


def _way(world: World, balancing: Balancing, group: TargetGroup, lead: Lead) -> WayFacts:
    is_served = lead.key in (world.served_by(lead.balancer.owner) or {})
    error, _, fix = balancing.refusal(lead.balancer).partition("\n")
    rule = "the default action" if lead.rule == DEFAULT_RULE else f"rule {lead.rule}"
    return WayFacts(
        balancer=lead.balancer.name,
        group=group.name,
        url=lead.url,
        where=f"{lead.balancer.address}:{lead.number}",
        rule=f"{rule} ({lead.when})" if lead.when else rule,
        weight=lead.weight,
        is_served=is_served,
        error="" if is_served else error,
        fix=fix.strip(),
    )


async def _asked(way: WayFacts, lead: Lead) -> Answer | None:
    if not way.is_served or not way.weight or lead.rule != DEFAULT_RULE:
        return None
    expects = {"HTTP": "http", "HTTPS": "https"}.get(lead.protocol, "")
    return await ask(lead.balancer.address, lead.number, expects=expects, host=lead.host)


def check_words(group: TargetGroup) -> str:
    """What a target group asks its targets, as a phrase."""
    check, judged_by = group.check, health_check(group)
    where = "" if check.number_text == TRAFFIC_PORT else f" on {check.number_text}"
    if not check.protocol.startswith("HTTP"):
        return f"it has to accept connections{where}"
    wanted = statuses_text(judged_by.statuses)
    return f"it is asked {check.protocol} {check.path}{where} and has to answer {wanted} within {check.timeout_s} s"


def _told(member: Member) -> str:
    return f"{member.id}:{member.number}"


async def pool_facts(balancing: Balancing, route: Route) -> dict[str, PoolFacts]:
    """How the targets behind a load balancer's listener stand, by pool."""
    found: dict[str, PoolFacts] = {}
    for pool in route.pools:
        group = balancing.registry.group(pool.name) or balancing.registry.group(
            pool.name.rpartition(":")[0]
        )
        if group is not None:
            standings = balancing.standings(group)
            barred = [await balancing.barred(group, member) for member, _ in standings]
            found[pool.name] = PoolFacts(
                check=check_words(group),
                targets=tuple((_told(member), health) for member, health in standings),
                barred=next((why for why in barred if why), ""),
            )
    return found


def unheard_at(balancing: Balancing, address: str, number: int) -> str:
    """That a load balancer of this address has no listener on the port, as a sentence; "" where it has, or there is none."""
    registry = balancing.registry
    for balancer in registry.balancers:
        if balancer.address == address:
            numbers = sorted({lead.number for lead in leads_of(registry, balancer)})
            if number in numbers:
                return ""
            rest = f"only on {', '.join(map(str, numbers))}" if numbers else "and none elsewhere"
            return f"load balancer {balancer.name} has no listener on {number}, {rest}"
    return ""
