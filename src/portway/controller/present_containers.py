"""The containers of an instance -> views. Pure; shows no secret."""

from __future__ import annotations

from portway.controller.views import ContainerView
from portway.core.containers import members
from portway.core.instance import ObservedContainer, ObservedInstance
from portway.core.state import Revision


def present_containers(
    seen: ObservedInstance | None, revision: Revision | None
) -> tuple[ContainerView, ...]:
    """Each of several containers of an instance under the image its App names; () where it has one."""
    if seen is None or revision is None or len(seen.containers) < 2:
        return ()
    images = {member.name: member.app.image or "" for member in members(revision.app)}
    return tuple(_container(one, images.get(one.name, one.image)) for one in seen.containers)


def _container(seen: ObservedContainer, image: str) -> ContainerView:
    return ContainerView(
        name=seen.name,
        container=seen.container_id[:12],
        image=image,
        state=seen.state.value,
        essential=seen.essential,
        health=seen.health,
        exit_code=seen.exit_code,
        started_at_ms=seen.started_at_ms,
    )
