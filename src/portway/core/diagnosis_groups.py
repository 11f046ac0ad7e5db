"""The way through load balancers to an App: which rules lead to its target groups, and what these say of its instances. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portway.core.balancing.targets import NOT_IN_USE, TargetState
from portway.core.facts import Answer, GroupFacts, Hop, Reached, TargetFacts, Verdict, WayFacts

_WAYS_SHOWN = 4


def way_hops(groups: Sequence[GroupFacts]) -> Iterator[Hop]:
    """What leads from listeners to each group."""
    for group in groups:
        if not group.exists:
            fix = "make it anew and update the service (`aws ecs update-service --load-balancers`)"
            yield _hop("rule", Verdict.BROKEN, f"the target group {group.name} is gone", fix)
        elif not group.ways:
            text = f"no listener or rule of a load balancer leads to target group {group.name}"
            yield _hop("rule", Verdict.BROKEN, text, "add one: `aws elbv2 create-listener` or `create-rule`")  # fmt: skip
        else:
            yield from map(_way, group.ways[:_WAYS_SHOWN])


def _way(way: WayFacts) -> Hop:
    if way.error:
        return _hop("listener", Verdict.BROKEN, f"load balancer {way.balancer}: {way.error}", way.fix)  # fmt: skip
    if not way.is_served:
        text = f"load balancer {way.balancer} does not listen on {way.where} yet"
        return _hop("listener", Verdict.HELD, text, "portway tries again; see `portway events -f`")
    if not way.weight:
        text = f"{way.rule} of {way.url} gives the target group the weight 0, so nothing goes there"
        return _hop("rule", Verdict.HELD, text, "give it a weight: `aws elbv2 modify-rule` or `modify-listener`")  # fmt: skip
    text = f"{way.rule} of {way.url} leads to target group {way.group}"
    return _hop("rule", Verdict.OK, text)


def target_hops(groups: Sequence[GroupFacts], instance_id: str) -> Iterator[Hop]:
    """What the groups say of one instance."""
    for group in groups:
        for target in group.targets:
            if target.instance_id == instance_id:
                yield _target(group, target)


def _target(group: GroupFacts, target: TargetFacts) -> Hop:
    state, said = target.health.state, target.health.description
    where = f"target {target.told} of {group.name}"
    if state in (TargetState.HEALTHY, TargetState.UNAVAILABLE):
        return _hop("target", Verdict.OK, f"{where} is {state.value}")
    if state is TargetState.UNHEALTHY:
        fix = f"{group.check}; let it answer so, or change that: `aws elbv2 modify-target-group`"
        return _hop("target", Verdict.BROKEN, f"{where} is unhealthy: {said}", fix)
    if target.health == NOT_IN_USE:
        # The hop of the way to it says so already.
        return _hop("target", Verdict.HELD, f"{where} is unused: {said}")
    fix = "wait; `portway map` shows what becomes of it"
    return _hop("target", Verdict.HELD, f"{where} is {state.value}: {said}", fix)


def is_unhealthy(groups: Sequence[GroupFacts], instance_id: str) -> bool:
    """Whether a group says so of the instance; then its own health is not what is wrong."""
    return any(
        target.instance_id == instance_id and target.health.state is TargetState.UNHEALTHY
        for group in groups
        for target in group.targets
    )


def answer_hops(groups: Sequence[GroupFacts]) -> Iterator[Hop]:
    """What came back from the first way to each group."""
    for group in groups:
        if group.answer is not None:
            yield _answer(group.ways[0].url, group.answer)


def _answer(url: str, answer: Answer) -> Hop:
    if answer.reached is not Reached.CONNECTED:
        text = f"{url} cannot be reached from this machine ({answer.reached.value})"
        return _hop("answer", Verdict.BROKEN, text, "look at the firewall: `portway doctor`")
    if answer.status is not None and answer.status >= 500:
        fix = "`portway map` shows how its targets stand; see the app's log"
        return _hop("answer", Verdict.HELD, f"{url} answers HTTP {answer.status}", fix)
    return _hop("answer", Verdict.OK, f"{url} answers: {answer_words(answer)}")


def answered_through(groups: Sequence[GroupFacts]) -> str:
    """The first answer through a load balancer, as a phrase; "" where none was asked."""
    for group in groups:
        if group.answer is not None:
            return f"{answer_words(group.answer)} through {group.ways[0].url}"
    return ""


def answer_words(answer: Answer) -> str:
    """An answer in a few words."""
    if answer.status is not None:
        return f"HTTP {answer.status} in {answer.took_ms} ms"
    return f"it accepts connections within {answer.took_ms} ms"


def _hop(name: str, verdict: Verdict, text: str, fix: str = "") -> Hop:
    return Hop(name=name, verdict=verdict, text=text, fix=fix)
