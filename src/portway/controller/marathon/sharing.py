"""Which service ports apps may have together, and which not. Pure.

Marathon leaves it to its users; here service ports are served, so only apps of one deployment group share one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portway.controller.marathon.catalogue import Catalogue, EntryChange
from portway.controller.marathon.refusals import because
from portway.controller.marathon.serving import service_ports_of
from portway.manifests.marathon.balancer_labels import joint_port

Definition = Mapping[str, Any]


def refuse_same_ports(catalogue: Catalogue, changes: Sequence[EntryChange]) -> None:
    """409 where two apps would be served on one port, and are not of one deployment group."""
    changed = {c.path: c.after.definition if c.after else {} for c in changes}
    numbers = {path: service_ports_of(one) for path, one in changed.items()}
    wanted = {n: path for path, own in numbers.items() for n in own if n}
    if not any(n in catalogue.used_ports for n in wanted) and len(changed) == 1:
        return
    for path, own in {**catalogue.service_ports, **numbers}.items():
        for number in own:
            first = wanted.get(number, path)
            if first == path:
                continue
            other = changed[path] if path in changed else catalogue.entries[path].definition
            if not _share(changed[first], other, number):
                raise because(
                    409,
                    f"App '{first}' wants the service port {number}, which App '{path}' has already, and portway "
                    "serves it. Give one of them another one, or 0 to have one assigned; or give both the label "
                    "HAPROXY_DEPLOYMENT_GROUP with one value, and what comes there goes to both.",
                )


def refuse_turns(changes: Sequence[EntryChange]) -> None:
    """409 where a port that an app is served on would become its group's, or the other way round: nobody would answer in between."""
    for change in changes:
        if change.before is None or change.after is None:
            continue
        before, after = _own(change.before.definition), _own(change.after.definition)
        for number in before.keys() & after.keys():
            if bool(before[number]) != bool(after[number]):
                group = before[number] or after[number]
                how = "alone" if before[number] else f"together with the deployment group {group}"
                raise because(
                    409,
                    f"App '{change.path}' cannot be served at {number} {how} from now on: nobody would answer there in between. "
                    "Give it another service port with this change, or make a new app of the group and remove this one.",
                )


def _own(definition: Definition) -> dict[int, str]:
    """By service port, the group that has it together; "" where the app has it alone."""
    labels = definition.get("labels") or {}
    found: dict[int, str] = {}
    for nth, number in enumerate(service_ports_of(definition)):
        joint = joint_port(labels, nth, number)
        found[number] = joint.group if joint is not None and joint.service_port == number else ""
    return found


def _share(one: Definition, other: Definition, number: int) -> bool:
    group = _own(one).get(number, "")
    return bool(group) and group == _own(other).get(number, "")
