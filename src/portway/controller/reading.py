"""What there is, shown as it is: stacks, releases, instances, routes, events. Changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import replace

from portway.config import Config
from portway.controller.balancing.judged import judged
from portway.controller.balancing.shared_shown import map_of_shared
from portway.controller.balancing.shown import balanced_urls, map_of_balancers
from portway.controller.ecs.task_index import TaskIndex
from portway.controller.lookup import find_stack, releases_running
from portway.controller.loop import Controller
from portway.controller.overview import Overview, overview_of
from portway.controller.present import (
    present_instance,
    present_map,
    present_release,
    present_stack,
)
from portway.controller.telemetry.scraping import scrape
from portway.controller.views import InstanceView, MapRoute, ReleaseView, StackView
from portway.controller.world import World
from portway.core.errors import RequestError
from portway.core.events import Event
from portway.core.placement import NodeView
from portway.core.stack import Release
from portway.core.state import AppState
from portway.core.suggest import did_you_mean


class Reads:
    """The part of PortwayOperations that only looks."""

    controller: Controller
    config: Config
    _started_at_ms: int

    async def metrics(self) -> str:
        return await scrape(
            self.controller,
            engine=self.config.engine,
            host_ports=self.config.host_ports,
            started_at_ms=self._started_at_ms,
        )

    async def stacks(self) -> tuple[StackView, ...]:
        world = self._judged(self.controller.world.apps.values())
        now_ms = self.controller.clock.now_ms()
        balanced = balanced_urls(world, self.controller.balancing)
        return tuple(
            _with_urls(present_stack(world, name, now_ms=now_ms), balanced.get(name, ()))
            for name in sorted(world.stacks)
        )

    async def stack(self, name: str) -> StackView:
        find_stack(self.controller.world, name)
        world = self._judged(self.controller.world.of_stack(name))
        balanced = balanced_urls(world, self.controller.balancing)
        view = present_stack(world, name, now_ms=self.controller.clock.now_ms())
        return _with_urls(view, balanced.get(name, ()))

    def _judged(self, states: Iterable[AppState]) -> World:
        return judged(self.controller.world, self.controller.balancing, states)

    async def releases(self, stack: str, *, limit: int = 20) -> tuple[ReleaseView, ...]:
        running = releases_running(self.controller.world, stack)
        found = await self.controller.store.releases(stack, limit=limit)
        return tuple(present_release(r, active=r.id if r.id in running else None) for r in found)

    async def release(self, stack: str, release_id: str) -> ReleaseView:
        running = releases_running(self.controller.world, stack)
        active = release_id if release_id in running else None
        return present_release(
            await self._find_release(stack, release_id), active=active, whole=True
        )

    async def _find_release(self, stack: str, wanted: str) -> Release:
        find_stack(self.controller.world, stack)
        release = await self.controller.store.release(stack, wanted)
        if release is None:
            known = [r.id for r in await self.controller.store.releases(stack, limit=50)]
            raise RequestError(
                f"{stack} has no release {wanted}.{did_you_mean(wanted, known)}",
                hint=f"`portway releases -a {stack}` lists them.",
                http_status=404,
            )
        return release

    async def nodes(self) -> tuple[NodeView, ...]:
        return self.controller.world.nodes

    async def instances(self, stack: str = "") -> tuple[InstanceView, ...]:
        world = self.controller.world
        if stack:
            find_stack(world, stack)
        world = self._judged(world.of_stack(stack) if stack else world.apps.values())
        views = [
            present_instance(world, record, state)
            for app_id in sorted(world.apps)
            for state in [world.apps[app_id]]
            if not stack or app_id.rpartition("/")[0] == stack
            for record in sorted(state.live, key=lambda r: (r.identity.slot, r.identity.serial))
        ]
        return tuple(views)

    async def overview(
        self, stack: str = "", *, app_ids: Collection[str] | None = None
    ) -> Overview:
        return overview_of(self.controller.world, stack=stack, app_ids=app_ids)

    async def tasks(self) -> TaskIndex:
        world = self.controller.world
        node = world.nodes[0].name if world.nodes else ""
        world.tasks.refresh(world.apps, world.home_id, node)
        return world.tasks

    async def map(self, stack: str = "") -> tuple[MapRoute, ...]:
        if stack:
            find_stack(self.controller.world, stack)
        world, balancing = self.controller.world, self.controller.balancing
        routes = present_map(world, stack, self.config.public_address)
        shared = map_of_shared(world, balancing.shared, stack)
        return (*routes, *map_of_balancers(world, balancing, stack), *shared)

    async def events(
        self, *, after: int = 0, stack: str = "", follow: bool = False, limit: int = 1000
    ) -> AsyncIterator[Event]:
        unknown = stack not in ("", *self.controller.world.stacks)
        # One that is deleted still has its past.
        if unknown and not await self.controller.store.events(after=-1, stack=stack, limit=1):
            find_stack(self.controller.world, stack)
        while True:
            # Following begins before the past is read, so that nothing falls between the two.
            with self.controller.journal.following() as live:
                past = await self.controller.store.events(after=after, stack=stack, limit=limit)
                for event in past:
                    after = max(after, event.sequence)
                    yield event
                if not follow:
                    return
                if past and len(past) >= limit:
                    continue
                # It ends for a follower that fell too far behind: then the store is read again.
                async for event in live:
                    if event.sequence > after and (not stack or event.stack == stack):
                        after = event.sequence
                        yield event


def _with_urls(view: StackView, urls: Iterable[str]) -> StackView:
    """The stack, reached through these load balancers too."""
    return replace(view, urls=(*view.urls, *urls))
