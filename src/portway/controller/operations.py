"""PortwayOperations: what callers may ask, on a running controller. Checks, saves, and lets the loop do the rest."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace

import portway
from portway.config import Config
from portway.controller.app_changes import ChangesApps, refusal_of_whole, refuse_whole
from portway.controller.certificate_changes import ChangesCertificates
from portway.controller.clock import random_letters
from portway.controller.environment_changes import ChangesEnvironment
from portway.controller.lookup import find_lasting, find_stack, restartable
from portway.controller.loop import Controller
from portway.controller.machine.examining import Examines
from portway.controller.marathon.desk import Marathon
from portway.controller.marathon.settings import settings_of
from portway.controller.nodes import ChangesNodes
from portway.controller.past import Remembers
from portway.controller.pausing import nothing_under_way, paused_states, resumed_states
from portway.controller.planning import plan_release
from portway.controller.ports.checks import ChecksPorts
from portway.controller.present import present_release
from portway.controller.promotion import (
    Promotion,
    deploying,
    free_revision_id,
    promote_states,
    scaled,
)
from portway.controller.reading import Reads
from portway.controller.releasing import (
    check_count,
    check_listeners,
    check_stack_name,
    parse_request,
    with_images,
)
from portway.controller.saving import to_the_end
from portway.controller.secret_files import SecretFiles
from portway.controller.sessions import Sessions
from portway.controller.settle import aborted, let_go, scales_of, undrained
from portway.controller.strategies import check_request, with_strategy
from portway.controller.telemetry.access_reading import ReadsAccess
from portway.controller.views import (
    PlanView,
    PromotionView,
    ReleaseRequest,
    ReleaseView,
    ServerView,
    StrategyRequest,
)
from portway.controller.why.diagnosing import Diagnoses
from portway.core.app import App, Build
from portway.core.errors import EngineError, RequestError
from portway.core.stack import Release, Stack, release_id
from portway.core.state import AppState, Revision
from portway.core.strategy import is_paused, is_running
from portway.engines.base import Progress
from portway.store.base import Batch


class PortwayOperations(
    Reads,
    Remembers,
    ReadsAccess,
    Diagnoses,
    Examines,
    ChangesApps,
    ChangesNodes,
    ChangesEnvironment,
    ChangesCertificates,
    ChecksPorts,
    Sessions,
):
    """Every operation of contract.Operations, on one Controller."""

    def __init__(self, controller: Controller, config: Config, stop: asyncio.Event) -> None:
        self.controller = controller
        self.config = config
        self._stop = stop
        self._secret_files = SecretFiles(config.home)
        self.balancing = controller.balancing
        self.marathon = Marathon(controller, self, settings_of(config))
        controller.scribe.end_app = self._end_app
        self._started_at_ms = controller.clock.now_ms()

    async def server(self) -> ServerView:
        info = await self.controller.balancer.info()
        config, world = self.config, self.controller.world
        return ServerView(
            version=portway.__version__,
            pid=os.getpid(),
            home=str(config.home),
            engine=config.engine,
            listen=config.listen,
            public_address=config.public_address or "all addresses",
            store="postgresql" if config.store_url.startswith("postgres") else "sqlite",
            balancer=f"{info.name} {info.version}",
            balancer_pid=info.process_id,
            balancer_reloads=info.reloads,
            balancer_restarts=info.restarts,
            host_ports=f"{config.host_ports.first}-{config.host_ports.last}",
            host_ports_leased=len(self.controller.leases.host_pool),
            started_at_ms=self._started_at_ms,
            problems=tuple(f"{part}: {what}" for part, what in sorted(world.problems.items())),
            aws_region=config.aws_region,
            unread_since_ms=dict(world.unread_since_ms),
        )

    async def _end_app(self, app_id: str) -> None:
        stack, _, app = app_id.rpartition("/")
        await self.remove_app(stack, app)

    async def secrets(self, names: Sequence[str]) -> Mapping[str, str]:
        return await asyncio.to_thread(self._secret_files.read, names)

    async def delete_stack(self, name: str, *, drain: bool = True) -> PromotionView:
        async with self.controller.changing() as world:
            stack = find_stack(world, name)
            states = world.of_stack(name)
            going = tuple(
                let_go(s, stack.active_release or "", now_ms=self._now_ms)
                for s in (states if drain else map(undrained, states))
                if s.target is not None or not drain
            )
            deleting = replace(stack, deleting=True, promoting=None)
            certificates = [
                c.name for c in world.certificates.values() if c.target.startswith(f"{name}/")
            ]
            event = self._event("stack.deleting", f"{name} is being deleted", stack=name)
            sequence = await self._save(
                Batch(
                    stacks=(deleting,) if states else (),
                    deleted_stacks=() if states else (name,),
                    deleted_certificates=tuple(certificates),
                    apps=going,
                    events=(event,),
                )
            )
            # Nothing will end that could take along what the world outside has of it.
            if not states:
                await to_the_end(self.controller.forget_stack(name))
        removed = tuple(s.app_id.rpartition("/")[2] for s in going)
        return self._promotion(name, "", removed=removed, sequence=sequence)

    async def plan(
        self, stack: str, request: ReleaseRequest, *, within_policy: bool = False
    ) -> PlanView:
        refuse_whole(self.controller.world.stacks.get(stack))
        manifest = parse_request(
            self.controller.world, stack, request, secrets=self._secret_files.read
        )
        self.controller.policy.check_request(manifest.apps, request, within_policy=within_policy)
        await self._check_ports(stack, manifest.apps)
        view = await plan_release(self.controller, stack, manifest, request)
        known = self.controller.world.stacks.get(stack)
        return replace(view, refused=str(known and self._not_now(known) or ""))

    async def create_release(
        self, stack: str, request: ReleaseRequest, *, within_policy: bool = False
    ) -> ReleaseView:
        refuse_whole(self.controller.world.stacks.get(stack))
        manifest = parse_request(
            self.controller.world, stack, request, secrets=self._secret_files.read
        )
        self.controller.policy.check_request(manifest.apps, request, within_policy=within_policy)
        check_listeners(self.controller.world, stack, manifest.apps)
        await self._check_ports(stack, manifest.apps)
        apps = await with_images(manifest.apps, request, self.controller.engine)
        async with self.controller.changing() as world:
            known = world.stacks.get(stack)
            if known is not None and known.deleting:
                raise RequestError(
                    f"{stack} is being deleted",
                    hint="Wait until it is gone (`portway apps`), then deploy it again.",
                    http_status=409,
                )
            kept = known or Stack(name=stack, created_at_ms=self._now_ms)
            kept = replace(kept, directory=request.directory or kept.directory)
            release = replace(self._release(kept, apps, request), within_policy=within_policy)
            await self._save(Batch(stacks=(kept,), releases=(release,)))
        warnings = tuple(str(problem) for problem in manifest.warnings)
        return present_release(release, active=kept.active_release, warnings=warnings)

    def _release(self, stack: Stack, apps: tuple[App, ...], request: ReleaseRequest) -> Release:
        return Release(
            id=release_id(random_letters()),
            stack=stack.name,
            created_at_ms=self._now_ms,
            manifest=request.manifest,
            manifest_name=request.manifest_name,
            apps=apps,
            environment=stack.environment,
            description=request.description,
            build_ms=max(0, request.build_ms),
            pull_ms=max(0, request.pull_ms),
        )

    async def promote(
        self,
        stack: str,
        release_id: str,
        *,
        force: bool = False,
        strategy: StrategyRequest | None = None,
    ) -> PromotionView:
        release = await self._find_release(stack, release_id)
        if find_stack(self.controller.world, stack).loose:
            return await self.put_release(release, force=force)
        async with self.controller.changing() as world:
            known = find_stack(world, stack)
            return await self._promote(known, release, force=force, strategy=strategy)

    async def _promote(
        self, stack: Stack, release: Release, *, force: bool, strategy: StrategyRequest | None
    ) -> PromotionView:
        world = self.controller.world
        check_request(strategy)
        self._refuse_second_deployment(stack, instead=release.id)
        check_listeners(world, stack.name, release.apps)
        await self._check_ports(stack.name, release.apps)
        promotion = promote_states(
            stack,
            world.of_stack(stack.name),
            release,
            deployment_id="D" + random_letters(),
            now_ms=self._now_ms,
            force=force,
            asked=strategy,
        )
        promoting = replace(stack, promoting=release.id, scales=promotion.scales)
        event = self._event(
            "release.promoted",
            f"promoting {release.id}",
            stack=stack.name,
            release=release.id,
        )
        sequence = await self._save(
            Batch(stacks=(promoting,), apps=promotion.states, events=(event,))
        )
        for state in promotion.states:  # what kept the last release from running is not this one's
            world.blocked.pop(state.app_id, None)
        await self.controller.settle(stack.name)
        return self._after(stack.name, release.id, promotion, sequence, strategy)

    def _after(
        self,
        stack: str,
        release: str,
        promotion: Promotion,
        sequence: int,
        strategy: StrategyRequest | None,
    ) -> PromotionView:
        return self._promotion(
            stack,
            release,
            changed=promotion.changed,
            unchanged=promotion.unchanged,
            removed=promotion.leaving,
            sequence=sequence,
            strategy=strategy,
        )

    def _refuse_second_deployment(self, stack: Stack, *, instead: str = "") -> None:
        if refusal := self._second_deployment(stack, instead=instead):
            raise refusal

    def _not_now(self, stack: Stack) -> RequestError | None:
        return refusal_of_whole(stack) or self._second_deployment(stack)

    def _second_deployment(self, stack: Stack, *, instead: str = "") -> RequestError | None:
        """Why the stack cannot be deployed now, if so."""
        name = stack.name
        then = f" Then `portway promote {instead} -a {name}` deploys this one." if instead else ""
        if stack.deleting:
            return RequestError(
                f"{name} is being deleted",
                hint="Wait until it is gone (`portway apps`), then deploy it again.",
                http_status=409,
            )
        if stack.promoting is None:
            return None
        if any(is_paused(s) for s in self.controller.world.of_stack(name)):
            return RequestError(
                f"the deployment of {name} is paused: release {stack.promoting}",
                hint=f"Go on with `portway resume -a {name}`, or go back with "
                f"`portway abort -a {name}`.{then}",
                http_status=409,
            )
        return RequestError(
            f"another deployment of {name} is under way: release {stack.promoting}",
            hint=f"Wait for it to end (`portway events -f -a {name}`), or stop it with "
            f"`portway cancel -a {name}`.{then}",
            http_status=409,
        )

    async def rollback(
        self, stack: str, *, to: str = "", strategy: StrategyRequest | None = None
    ) -> PromotionView:
        known = find_stack(self.controller.world, stack)
        if known.loose:
            return await self.put_back(stack, to=to)
        release = await self._find_release(stack, to or await self._previous(known))
        async with self.controller.changing() as world:
            known = find_stack(world, stack)
            return await self._promote(known, release, force=False, strategy=strategy)

    async def _previous(self, stack: Stack) -> str:
        """The last release that ran before the active one was made; never one that failed."""
        releases = await self.controller.store.releases(stack.name, limit=1000)
        order = [release.id for release in releases]
        good = set(stack.history)
        active = stack.active_release
        older = order[order.index(active) + 1 :] if active in order else order
        for candidate in older:
            if candidate in good:
                return candidate
        raise RequestError(
            f"{stack.name} has no earlier release to go back to",
            hint=f"`portway releases -a {stack.name}` lists what there is; "
            "promote one with `portway promote RELEASE`.",
            http_status=409,
        )

    async def cancel(self, stack: str) -> PromotionView:
        async with self.controller.changing() as world:
            known = find_stack(world, stack)
            if known.deleting:
                raise RequestError(f"{stack} is being deleted", http_status=409)
            running = [s for s in world.of_stack(stack) if s.target and is_running(s)]
            if not running and known.promoting is None:
                raise nothing_under_way(stack, f"`portway rollback -a {stack}` goes back.")
            release = known.promoting or ""
            states = world.of_stack(stack)
            mine = {
                s.app_id: aborted(s, self._now_ms)
                for s in states
                if s in running or (release and s.deployment and s.deployment.release == release)
            }
            after = [replace(mine.get(s.app_id, s), leaving=False) for s in states]
            back = tuple(s for s in after if s not in states)
            kept = replace(known, promoting=None, scales=scales_of(after))
            event = self._event(
                "release.cancelled",
                f"the deployment of {release or stack} was cancelled",
                stack=stack,
            )
            sequence = await self._save(Batch(stacks=(kept,), apps=back, events=(event,)))
        changed = tuple(app_id.rpartition("/")[2] for app_id in mine)
        return self._promotion(
            stack, known.active_release or "", changed=changed, sequence=sequence
        )

    async def pause(self, stack: str) -> PromotionView:
        return await self._change_pace(stack, paused_states, "release.paused", "paused")

    async def resume(self, stack: str) -> PromotionView:
        return await self._change_pace(stack, resumed_states, "release.resumed", "resumed")

    async def _change_pace(
        self, stack: str, change: Callable[..., tuple[AppState, ...]], kind: str, word: str
    ) -> PromotionView:
        async with self.controller.changing() as world:
            known = find_stack(world, stack)
            after = change(known, world.of_stack(stack), now_ms=self._now_ms)
            release = known.promoting or known.active_release or ""
            message = f"the deployment of {known.promoting or stack} was {word}"
            event = self._event(kind, message, stack=stack, release=release)
            sequence = await self._save(Batch(apps=after, events=(event,)))
        names = tuple(s.app_id.rpartition("/")[2] for s in after)
        return self._promotion(stack, release, changed=names, sequence=sequence)

    async def scale(self, stack: str, counts: Mapping[str, int]) -> PromotionView:
        async with self.controller.changing() as world:
            known = find_stack(world, stack)
            self._refuse_second_deployment(known)
            deployment_id = "D" + random_letters()
            changed: list[AppState] = []
            for name, count in counts.items():
                state = find_lasting(world, stack, name, "scaled")
                check_count(name, count, state)
                if count != state.count:
                    changed.append(
                        scaled(state, count, deployment_id=deployment_id, now_ms=self._now_ms)
                    )
            self._check_room(stack, counts)
            scales = {**known.scales, **counts}
            words = ", ".join(f"{name} to {count}" for name, count in counts.items())
            event = self._event("app.scaled", f"scaling {words}", stack=stack)
            sequence = await self._save(
                Batch(stacks=(replace(known, scales=scales),), apps=tuple(changed), events=(event,))
            )
        names = {s.app_id.rpartition("/")[2] for s in changed}
        return self._promotion(
            stack,
            known.active_release or "",
            changed=tuple(n for n in counts if n in names),
            unchanged=tuple(n for n in counts if n not in names),
            sequence=sequence,
        )

    async def restart(
        self, stack: str, app: str = "", *, strategy: StrategyRequest | None = None
    ) -> PromotionView:
        check_request(strategy)
        async with self.controller.changing() as world:
            known = find_stack(world, stack)
            self._refuse_second_deployment(known)
            states = restartable(world, stack, app)
            deployment_id = "D" + random_letters()
            again = tuple(
                with_strategy(s, self._restarted(s, deployment_id), strategy) for s in states
            )
            names = tuple(s.app_id.rpartition("/")[2] for s in again)
            event = self._event("app.restarted", f"restarting {', '.join(names)}", stack=stack)
            sequence = await self._save(Batch(apps=again, events=(event,)))
        release = known.active_release or ""
        return self._promotion(stack, release, changed=names, sequence=sequence, strategy=strategy)

    def _restarted(self, state: AppState, deployment_id: str) -> AppState:
        assert state.target is not None
        revision = Revision(
            id=free_revision_id(state, state.target.release),
            release=state.target.release,
            app=state.target.app,
            environment=state.target.environment,
            within_policy=state.target.within_policy,
            made_at_ms=self._now_ms,
        )
        return deploying(
            replace(state, target=revision),
            state,
            release="",
            deployment_id=deployment_id,
            now_ms=self._now_ms,
        )

    async def build(
        self, stack: str, app: str, build: Build, context: AsyncIterator[bytes]
    ) -> AsyncIterator[Progress]:
        check_stack_name(stack)
        tag = f"portway/{stack}-{app}:{('B' + random_letters()).lower()}"
        try:
            async for progress in self.controller.engine.build(build, tag=tag, context=context):
                yield progress
        except EngineError as error:
            error.message = error.message.replace(f"The image {tag}", f"The image of {app}")
            raise

    async def pull(self, image: str) -> AsyncIterator[Progress]:
        async for progress in self.controller.engine.pull(image):
            yield progress

    async def request_shutdown(self) -> None:
        self._stop.set()
