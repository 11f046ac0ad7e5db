"""One App at a time: made, changed and removed in a loose stack, beside the deployments of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from portway.controller.changing import Changes
from portway.controller.clock import random_letters
from portway.controller.going_back import release_before
from portway.controller.lookup import find_app, find_instance, find_stack, refuse_task
from portway.controller.present import present_instance
from portway.controller.promotion import deploying, free_revision_id, runs_alike, scaled
from portway.controller.releasing import (
    APP_NAME,
    check_count,
    check_engine,
    check_listeners,
    check_stack_name,
    pinned_where_present,
)
from portway.controller.settle import aborted, let_go, undrained
from portway.controller.views import InstanceView, PromotionView
from portway.core.app import App
from portway.core.backoff import without_delay
from portway.core.errors import RequestError
from portway.core.instance import Phase
from portway.core.stack import Release, Stack, release_id
from portway.core.state import AppState, Revision
from portway.core.strategy import is_running
from portway.store.base import Batch

BY_THE_USER = "stopped by the user"
RELEASES_MAX = 1000  # of a stack, that are looked through


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """What is asked of one App: the release of it alone, how many, and whether what is unchanged is replaced as well."""

    release: Release
    count: int | None
    force: bool
    deployment_id: str

    @property
    def app(self) -> App:
        """The one App."""
        return self.release.apps[0]


class ChangesApps(Changes):
    """The part of PortwayOperations that changes one App, or one instance."""

    async def put_app(
        self,
        stack: str,
        app: App,
        *,
        count: int | None = None,
        environment: Mapping[str, str] | None = None,
        description: str = "",
        note: str = "",
        manifest: str = "",
        force: bool = False,
        supersede: bool = True,
        within_policy: bool = False,
    ) -> PromotionView:
        self._check_put(stack, app, within_policy=within_policy)
        pinned = await pinned_where_present(app, self.controller.engine)
        async with self.controller.changing() as world:
            kept = self._loose_stack(stack)
            check_listeners(world, stack, (pinned,), instead_of=app.id)
            state = world.apps.get(app.id) or AppState(app_id=app.id, target=None)
            _check_free(state, supersede=supersede)
            variables = kept.environment if environment is None else environment
            release = Release(
                id=release_id(random_letters()),
                stack=stack,
                created_at_ms=self._now_ms,
                manifest=manifest,
                manifest_name="",
                apps=(_as_it_runs(pinned, state, force=force),),
                environment=variables,
                description=description,
                within_policy=within_policy,
                partial=True,
            )
            put = Put(
                release=release, count=count, force=force, deployment_id="D" + random_letters()
            )
            after = put_state(state, put, now_ms=self._now_ms)
            check_count(app.name, after.count, after)
            words = note or f"{app.name} is put at {release.id}"
            event = self._event("app.put", words, stack=stack, app_id=app.id, release=release.id)
            changed = after != state
            sequence = await self._save(
                Batch(
                    stacks=() if world.stacks.get(stack) == kept else (kept,),
                    releases=(release,) if changed else (),
                    apps=(after,) if changed else (),
                    events=(event,) if changed else (),
                )
            )
            if changed:
                world.blocked.pop(app.id, None)
        names = (app.name,)
        return self._promotion(
            stack,
            release.id if changed else (state.target.release if state.target else ""),
            changed=names if changed else (),
            unchanged=() if changed else names,
            sequence=sequence,
        )

    async def check_put(self, stack: str, app: App, *, within_policy: bool = False) -> None:
        """Refuse what `put_app` would refuse now; nothing is changed."""
        self._check_put(stack, app, within_policy=within_policy)
        self._loose_stack(stack)
        check_listeners(self.controller.world, stack, (app,), instead_of=app.id)

    def _check_put(self, stack: str, app: App, *, within_policy: bool) -> None:
        """Refuse what could not be put at any time."""
        check_stack_name(stack)
        if app.stack != stack or not APP_NAME.fullmatch(app.name):
            raise RequestError(
                f'"{app.id}" cannot be an app of {stack}',
                hint="Its id is the stack, a slash and its name: lower-case letters, digits, - and _, at most 63.",
            )
        if within_policy:
            self.controller.policy.check((app,), directory="", file=app.name)
        check_engine(app, self.controller.engine.traits)

    def _loose_stack(self, name: str) -> Stack:
        known = self.controller.world.stacks.get(name)
        if known is None:
            return Stack(name=name, created_at_ms=self._now_ms, loose=True)
        if known.deleting:
            raise RequestError(
                f"{name} is being deleted",
                hint="Wait until it is gone (`portway apps`), then ask again.",
                http_status=409,
            )
        if known.loose:
            return known
        if self.controller.world.of_stack(name) or known.active_release or known.promoting:
            raise RequestError(
                f"{name} is deployed as a whole, so none of its apps can be changed alone",
                hint=f"Change its manifest and `portway deploy -a {name}`, or take another name.",
                http_status=409,
            )
        return replace(known, loose=True)

    async def put_back(self, stack: str, *, to: str = "") -> PromotionView:
        """An App of a loose stack as it was in the release `to`, or in the one before; `to` may name the App."""
        release = await self.controller.store.release(stack, to) if to else None
        if release is not None:
            return await self.put_release(release)
        releases = await self.controller.store.releases(stack, limit=RELEASES_MAX)
        states = self.controller.world.of_stack(stack)
        name, release = release_before(stack, states, releases, asked=to)
        view = await self.put_release(release)
        told = f"{name} goes back to what it was in {release.id}"
        return replace(view, notes=(told, *view.notes))

    async def put_release(self, release: Release, *, force: bool = False) -> PromotionView:
        """The Apps of an earlier release of a loose stack as they were in it; the others stay."""
        for app in release.apps:
            refuse_task(app, "put back")
        views = [
            await self.put_app(
                release.stack,
                app,
                environment=release.environment,
                description=release.description,
                note=f"{app.name} is put back to what it was in {release.id}",
                manifest=release.manifest,
                force=force,
                within_policy=release.within_policy,
            )
            for app in release.apps
        ]
        assert views, release.id
        return replace(
            views[-1],
            deployments=tuple(d for view in views for d in view.deployments),
            unchanged=tuple(name for view in views for name in view.unchanged),
            notes=tuple(note for view in views for note in view.notes),
            sequence=views[0].sequence,
        )

    async def remove_app(
        self, stack: str, app: str, *, drain: bool = True, reason: str = ""
    ) -> PromotionView:
        async with self.controller.changing() as world:
            known = find_stack(world, stack)
            if not known.loose:
                raise RequestError(
                    f"{stack} is deployed as a whole, so {app} cannot be removed alone",
                    hint=f"Take it out of the manifest and `portway deploy -a {stack}`.",
                    http_status=409,
                )
            state = find_app(world, stack, app)
            going = let_go(state if drain else undrained(state), "", now_ms=self._now_ms)
            if reason:
                going = replace(
                    going,
                    instances=tuple(
                        replace(r, reason=reason) if r.phase < Phase.DRAINING else r
                        for r in going.instances
                    ),
                )
            scales = {name: count for name, count in known.scales.items() if name != app}
            words = f"{app} is being removed" + (f": {reason}" if reason else "")
            event = self._event("app.removing", words, stack=stack, app_id=state.app_id)
            sequence = await self._save(
                Batch(stacks=(replace(known, scales=scales),), apps=(going,), events=(event,))
            )
        return self._promotion(stack, "", removed=(app,), sequence=sequence)

    async def end_delay(self, stack: str, app: str) -> None:
        """Start the next instance of an App at once, whatever ended before."""
        async with self.controller.changing() as world:
            state = find_app(world, stack, app)
            after = without_delay(state)
            if after is not state:
                words = f"{app} waits no longer for its next start"
                event = self._event("app.delay-ended", words, stack=stack, app_id=state.app_id)
                await self._save(Batch(apps=(after,), events=(event,)))

    async def cancel_app(self, stack: str, app: str) -> PromotionView:
        async with self.controller.changing() as world:
            find_stack(world, stack)
            state = find_app(world, stack, app)
            if state.target is None or not is_running(state):
                raise RequestError(f"no deployment of {app} is under way", http_status=409)
            event = self._event(
                "release.cancelled",
                f"the deployment of {app} was cancelled",
                stack=stack,
                app_id=state.app_id,
            )
            after = aborted(state, self._now_ms)
            sequence = await self._save(Batch(apps=(after,), events=(event,)))
        return self._promotion(stack, "", changed=(app,), sequence=sequence)

    async def protect_instances(
        self, stack: str, app: str, until_ms: Mapping[str, int | None]
    ) -> frozenset[str]:
        async with self.controller.changing() as world:
            state = find_app(world, stack, app)
            staying = {r.id for r in state.live if r.phase < Phase.DRAINING and r.id in until_ms}
            instances = tuple(
                replace(r, protected_until_ms=until_ms[r.id]) if r.id in staying else r
                for r in state.instances
            )
            if instances != state.instances:
                await self._save(Batch(apps=(replace(state, instances=instances),)))
        return frozenset(staying)

    async def stop_instance(self, stack: str, instance: str, *, reason: str = "") -> InstanceView:
        why = reason or BY_THE_USER
        async with self.controller.changing() as world:
            record, state = find_instance(world, stack, instance)
            if record.phase < Phase.DRAINING:
                leaving = replace(
                    record, phase=Phase.DRAINING, draining_at_ms=self._now_ms, reason=why
                )
                instances = tuple(leaving if r.id == record.id else r for r in state.instances)
                event = self._event(
                    "instance.draining",
                    f"{instance} is draining: {why}",
                    stack=stack,
                    app_id=state.app_id,
                )
                await self._save(
                    Batch(apps=(replace(state, instances=instances),), events=(event,))
                )
                record, state = leaving, world.apps[state.app_id]
            return present_instance(world, record, state)


def refuse_whole(stack: Stack | None) -> None:
    """Refuse what only a stack with releases of all its Apps can do."""
    if refusal := refusal_of_whole(stack):
        raise refusal


def refusal_of_whole(stack: Stack | None) -> RequestError | None:
    """Why a release of all its Apps cannot be made of the stack, if so."""
    if stack is not None and stack.loose:
        return RequestError(
            f"the apps of {stack.name} change one at a time, so no release is of all of it",
            hint=f"`portway releases -a {stack.name}` lists the releases of single apps; "
            f"`portway promote RELEASE -a {stack.name}` puts the app of one back.",
            http_status=409,
        )
    return None


def put_state(state: AppState, put: Put, *, now_ms: int) -> AppState:
    """The App aimed at what is put; the very same where nothing differs. Its running deployment is taken over."""
    app, target = put.app, state.target
    asked = put.count if put.count is not None else None if target else app.count or 1
    count = state.count if asked is None else asked
    same = (
        target is not None
        and not state.halted
        and not put.force
        and runs_alike(target, app, put.release.environment)
    )
    if same and target is not None:
        # Only how it is replaced, routed or counted can differ: what a deployment is about goes on as it is.
        revision = replace(target, app=app, environment=put.release.environment)
        after = replace(
            state, target=revision, revisions={**state.revisions, revision.id: revision}
        )
        after = after if revision != target else state
        if count == state.count:
            return after
        return scaled(after, count, deployment_id=put.deployment_id, now_ms=now_ms)
    revision = Revision(
        id=free_revision_id(state, put.release.id),
        release=put.release.id,
        app=app,
        environment=put.release.environment,
        within_policy=put.release.within_policy,
        made_at_ms=now_ms,
    )
    return deploying(
        replace(state, target=revision, count=count),
        state,
        release=put.release.id,
        deployment_id=put.deployment_id,
        now_ms=now_ms,
    )


def _check_free(state: AppState, *, supersede: bool) -> None:
    name = state.app_id.rpartition("/")[2]
    if state.target is None and (state.deployment is not None or state.live):
        raise RequestError(
            f"{name} is still being removed",
            hint="Wait until it is gone (`portway ps`), then ask again.",
            http_status=409,
        )
    if not supersede and is_running(state):
        raise RequestError(
            f"another deployment of {name} is under way",
            hint="Wait for it to end, or let this one take it over.",
            http_status=409,
        )


def _as_it_runs(app: App, state: AppState, *, force: bool) -> App:
    """The App with its images as they are known already: a name that means something else by now is no change of the App."""
    if state.target is None or force:
        return app
    old = state.target.app
    if app.image == old.image:
        app = replace(app, image_id=old.image_id)
    known = {(other.name, other.image): other.image_id for other in old.containers}
    return replace(
        app,
        containers=tuple(
            replace(c, image_id=known.get((c.name, c.image), c.image_id)) for c in app.containers
        ),
    )
