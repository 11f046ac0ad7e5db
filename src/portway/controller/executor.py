"""Executor: carries out actions, each at most once at a time. The one `match action:`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

import structlog

from portway.balancers.base import Balancer
from portway.controller.clock import Clock
from portway.controller.ownership import Ownership
from portway.controller.policing import PolicyFile
from portway.controller.telemetry.metrics import Metrics
from portway.controller.world import World, app_of, link_targets, network_aliases
from portway.core.app import App, Container
from portway.core.environment import expand, instance_environment, is_known_at_start
from portway.core.errors import BalancerError, EngineError, EngineErrorKind
from portway.core.observed import StartFailure
from portway.core.plan import Action, ApplyRoutes, RemoveInstance, StartInstance, StopInstance
from portway.core.state import AppState
from portway.engines.base import InstanceEngine, StartRequest

log = structlog.get_logger()

RETRY_FIRST_MS = 1000
RETRY_MAX_MS = 30_000
APPLY_TIMEOUT_S = 60.0
APPLY_AGAIN_MS = 2000
PULL_TIMEOUT_S = 900.0
CALL_TIMEOUT_S = 120.0  # of any call of the engine, a stop's own grace period apart


class Executor:
    """Runs actions as tasks, keyed by what they touch; tells `done` which App to look at again."""

    def __init__(
        self,
        world: World,
        engine: InstanceEngine,
        balancer: Balancer,
        clock: Clock,
        *,
        engine_changed: Callable[[str], None],
        routes_changed: Callable[[str], None],
        metrics: Metrics | None = None,
        ownership: Ownership | None = None,
        policy: PolicyFile | None = None,
    ) -> None:
        self._world = world
        self._engine = engine
        self._balancer = balancer
        self._clock = clock
        self._engine_changed = engine_changed
        self._routes_changed = routes_changed
        self._metrics = metrics or Metrics()
        self._ownership = ownership or Ownership()
        self._policy = policy or PolicyFile(None)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._refused: dict[
            str, tuple[ApplyRoutes, int]
        ] = {}  # what failed, and when it may be tried again
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Own the tasks until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            await asyncio.Event().wait()

    def is_applying(self, app_id: str) -> bool:
        """Whether the App's routes are being changed at this moment."""
        return f"routes {app_id}" in self._running

    def underway(self, state: AppState) -> frozenset[str]:
        """The App's instances that something is being done about at this moment."""
        if not self._running:
            return frozenset()
        return frozenset(r.id for r in state.live if f"instance {r.id}" in self._running)

    def perform(self, actions: Sequence[Action]) -> None:
        """Begin each action unless the same one is under way already, or has just been refused."""
        for action in actions:
            key, work = self._work(action)
            if key in self._running or self._group is None or self._is_refused(action):
                continue
            task = self._group.create_task(self._guarded(key, work))
            self._running[key] = task

    def _is_refused(self, action: Action) -> bool:
        if not isinstance(action, ApplyRoutes) or action.app_id not in self._refused:
            return False
        refused, again_at_ms = self._refused[action.app_id]
        if refused == action and self._clock.now_ms() < again_at_ms:
            return True
        del self._refused[action.app_id]
        return False

    def _work(self, action: Action) -> tuple[str, Callable[[], Coroutine[None, None, None]]]:
        match action:
            case StartInstance():
                return f"instance {action.identity.id}", lambda: self._start(action)
            case StopInstance():
                return f"instance {action.instance_id}", lambda: self._stop(action)
            case RemoveInstance():
                return f"instance {action.instance_id}", lambda: self._remove(action)
            case ApplyRoutes():
                return f"routes {action.app_id}", lambda: self._apply(action)
            case _:
                assert_never(action)

    async def _guarded(self, key: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        try:
            await work()
        except TimeoutError:
            log.warning("action_took_too_long", action=key)
        except EngineError as error:
            log.warning("action_failed", action=key, error=str(error))
            self._metrics.failed("engine")
            await asyncio.sleep(1.0 if error.retryable else 5.0)
        except Exception:
            log.exception("action_broke", action=key)
            await asyncio.sleep(5.0)
        finally:
            self._running.pop(key, None)
        kind, _, subject = key.partition(" ")
        # Only now is the key free: whoever is told may begin the next action at once.
        if kind == "routes":
            self._routes_changed(subject)
        else:
            self._engine_changed(app_of(subject))

    async def _start(self, action: StartInstance) -> None:
        instance_id = action.identity.id
        try:
            request = self.start_request(action)
            self._check_policy(request)
            stack = self._world.stacks.get(action.revision.app.stack)
            if stack is not None and stack.loose:
                await self._fetch(action.revision.app)
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await self._engine.start(request)
            self._world.start_failures.pop(instance_id, None)
        except EngineError as error:
            self._note_start_failure(instance_id, error)
        except TimeoutError:
            why = f"the engine did not answer within {CALL_TIMEOUT_S:.0f} s"
            self._note_start_failure(instance_id, EngineError(why))

    async def _fetch(self, app: App) -> None:
        """Pull what was not here when the App was put; an instance whose image cannot be had fails with the reason."""
        if not self._engine.traits.runs_images:
            return
        for image, image_id in _images(app):
            if image_id:
                continue
            try:
                async with asyncio.timeout(PULL_TIMEOUT_S):
                    await self._pull(image)
            except TimeoutError:
                why = f"pulling the image {image} took more than {PULL_TIMEOUT_S:.0f} s"
                raise EngineError(
                    why, retryable=False, kind=EngineErrorKind.IMAGE_MISSING
                ) from None

    async def _pull(self, image: str) -> None:
        try:
            await self._engine.resolve_image(image)
        except EngineError as error:
            if error.kind != EngineErrorKind.IMAGE_MISSING:
                raise
            await self._pull_now(image)

    async def _pull_now(self, image: str) -> None:
        """A registry that cannot be reached fails the instance too: it is told why, and another is tried."""
        try:
            async for _ in self._engine.pull(image):
                pass
        except EngineError as error:
            raise EngineError(
                error.message, hint=error.hint, retryable=False, kind=error.kind
            ) from None

    def _check_policy(self, request: StartRequest) -> None:
        """What was allowed at the release may not be any more: a symlink can be changed in between."""
        revision = request.revision
        if revision.within_policy:
            why = self._policy.forbidden_at_start(revision.app, directory=request.directory)
            if why:
                raise EngineError(why, hint="An admin changes the policy.", retryable=False)

    def start_request(self, action: StartInstance) -> StartRequest:
        """Everything the engine needs, with the ports filled in."""
        revision, identity = action.revision, action.identity
        app = revision.app
        node = next((n for n in self._world.nodes if n.name == identity.node), None)
        traits = self._engine.traits
        # A process of the machine is in no network where names are known.
        names = traits.resolves_names and (app.names_image or not traits.runs_both)
        links = link_targets(self._world, revision, resolves_names=names)

        def told(environment: Mapping[str, str], container: str = "") -> dict[str, str]:
            return instance_environment(
                replace(revision, app=replace(app, environment=environment)),
                identity,
                node_address=node.address if node else "127.0.0.1",
                links=links,
                home_id=self._world.home_id,
                container=container,
                prefix=self._world.variables_prefix,
            )

        variables = told(app.environment)
        known = _known(app, variables)
        stack = self._world.stacks.get(app.stack)
        return StartRequest(
            identity=identity,
            revision=replace(
                revision,
                app=replace(
                    app,
                    entrypoint=_expanded(app.entrypoint, known),
                    containers=tuple(
                        _complete(app, other, told(other.environment, other.name))
                        for other in app.containers
                    ),
                ),
            ),
            environment={k: expand(v, known) for k, v in variables.items()},
            command=_expanded(app.command, known),
            command_text=app.command_text,
            aliases=network_aliases(self._world, revision),
            directory=stack.directory if stack else "",
        )

    def _note_start_failure(self, instance_id: str, error: EngineError) -> None:
        self._metrics.failed("engine")
        now_ms = self._clock.now_ms()
        before = self._world.start_failures.get(instance_id)
        waited = before.retry_at_ms - before.at_ms if before and before.retry_at_ms else 0
        delay_ms = min(RETRY_MAX_MS, waited * 2 or RETRY_FIRST_MS)
        self._world.start_failures[instance_id] = StartFailure(
            at_ms=now_ms,
            reason=str(error),
            port_taken=error.kind == EngineErrorKind.PORT_TAKEN,
            retry_at_ms=now_ms + delay_ms if error.retryable else None,
        )

    async def _stop(self, action: StopInstance) -> None:
        async with asyncio.timeout(action.grace_s + CALL_TIMEOUT_S):
            await self._engine.stop(
                action.instance_id, signal=action.signal, grace_s=action.grace_s
            )

    async def _remove(self, action: RemoveInstance) -> None:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            await self._engine.remove(action.instance_id)
        self._world.start_failures.pop(action.instance_id, None)
        self._world.last_words.pop(action.instance_id, None)
        self._world.explanations.pop(action.instance_id, None)

    async def _apply(self, action: ApplyRoutes) -> None:
        app_id = action.app_id
        try:
            async with asyncio.timeout(APPLY_TIMEOUT_S):
                await self._balancer.apply(app_id, action.routes)
        except BalancerError as error:
            self._note_refusal(action, str(error))
        except TimeoutError:
            self._note_refusal(action, "the balancer did not answer in time; it is tried again")
        except Exception:
            self._note_refusal(action, "setting its routes failed inside portway; see the log")
            raise
        else:
            self._metrics.routes_confirmed(app_id)
            self._ownership.confirmed(app_id, action.routes, now_ms=self._clock.now_ms())
            self._world.route_errors.pop(app_id, None)
            self._world.applied.pop(app_id, None)
            if action.routes:
                self._world.applied[app_id] = action.routes

    def _note_refusal(self, action: ApplyRoutes, why: str) -> None:
        self._metrics.failed("balancer")
        self._metrics.event_settled(action.app_id)
        self._world.route_errors[action.app_id] = why
        self._world.applied.pop(action.app_id, None)
        self._refused[action.app_id] = (action, self._clock.now_ms() + APPLY_AGAIN_MS)


def _images(app: App) -> list[tuple[str, str]]:
    """What the instance's containers run: each name, and the id it is pinned to ("" = not pinned)."""
    own = [(app.image, app.image_id)] if app.image else []
    return own + [(other.image, other.image_id) for other in app.containers]


def _known(app: App, variables: Mapping[str, str]) -> dict[str, str]:
    """What is filled in for $PORT... where the manifest says it; Marathon leaves that to the shell."""
    if app.environment_form:
        return {}
    return {k: v for k, v in variables.items() if is_known_at_start(k)}


def _complete(app: App, container: Container, variables: Mapping[str, str]) -> Container:
    """One more container of an instance with all its variables, and the ports filled in."""
    known = _known(app, variables)
    return replace(
        container,
        environment={k: expand(v, known) for k, v in variables.items()},
        command=_expanded(container.command, known),
        entrypoint=_expanded(container.entrypoint, known),
    )


def _expanded(words: tuple[str, ...] | None, known: Mapping[str, str]) -> tuple[str, ...] | None:
    return None if words is None else tuple(expand(word, known) for word in words)
