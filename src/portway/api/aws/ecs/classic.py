"""Services behind a classic load balancer: what they must be, and the instances there that they take over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portway.api.aws.ecs.common import invalid
from portway.api.aws.elb.instances import without_instances
from portway.api.aws.face import Face
from portway.controller.balancing.registry import Registry
from portway.core.balancing.classic import ClassicBalancer

Body = Mapping[str, Any]


def names_in(spec: Body) -> tuple[str, ...]:
    """The classic load balancers that a service names, in their order."""
    items: list[Body] = list(spec.get("loadBalancers") or ())
    names = (one.get("loadBalancerName") for one in items if not one.get("targetGroupArn"))
    return tuple(dict.fromkeys(name for name in names if name))


def check_classic(registry: Registry, spec: Body, definition: Body) -> None:
    """InvalidParameterException for a classic load balancer that is not there or that the tasks cannot be behind."""
    names = names_in(spec)
    if not names:
        return
    name, *others = names
    if others or any(one.get("targetGroupArn") for one in spec["loadBalancers"]):
        raise invalid("A service can use one classic load balancer, and no target groups beside it.")  # fmt: skip
    if definition.get("networkMode") in ("awsvpc", "none"):
        raise invalid(f"Classic load balancers cannot be used with network mode {definition['networkMode']}: it has no host ports.")  # fmt: skip
    if registry.classic(name) is None:
        raise invalid(f"There is no ACTIVE Load Balancer named '{name}'")


async def take_over(face: Face, spec: Body) -> None:
    """From now on the service says which instances there are: those registered by hand leave."""
    registry = face.operations.balancing.registry
    async with registry.lock:
        for before in _named(registry, spec):
            ids = [target.id for target in before.instances]
            if ids:
                await registry.put(without_instances(before, ids, now_ms=face.now_ms()))


def _named(registry: Registry, spec: Body) -> Iterator[ClassicBalancer]:
    for name in names_in(spec):
        found = registry.classic(name)
        if found is not None:
            yield found
