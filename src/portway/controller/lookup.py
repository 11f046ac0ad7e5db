"""Finding what a caller names; what is not there is answered with what may have been meant."""

from __future__ import annotations

from portway.controller.world import World, short_id
from portway.core.app import App
from portway.core.ecs.labels import TASK, origin_of
from portway.core.errors import RequestError
from portway.core.health import HealthStatus
from portway.core.instance import InstanceRecord, Phase
from portway.core.stack import Stack
from portway.core.state import AppState
from portway.core.suggest import did_you_mean


def find_stack(world: World, name: str) -> Stack:
    """The stack of that name, or RequestError 404."""
    stack = world.stacks.get(name)
    if stack is None:
        raise RequestError(
            f'there is no stack "{name}".{did_you_mean(name, list(world.stacks))}',
            hint="`portway apps` lists them and -a names one (without it: the directory's name); "
            "`portway deploy` makes one.",
            http_status=404,
        )
    return stack


def releases_running(world: World, name: str) -> frozenset[str]:
    """The releases that the stack's Apps run: the active one, or of a loose stack one for each App. 404 as above."""
    stack = find_stack(world, name)
    if not stack.loose:
        return frozenset([stack.active_release] if stack.active_release else [])
    return frozenset(s.target.release for s in world.of_stack(name) if s.target)


def find_app(world: World, stack: str, name: str) -> AppState:
    """The App of that name in the stack, deployed and not on its way out, or RequestError 404."""
    find_stack(world, stack)
    state = world.apps.get(f"{stack}/{name}")
    if state is None or state.target is None:
        names = [s.app_id.rpartition("/")[2] for s in world.of_stack(stack) if s.target]
        raise RequestError(
            f'{stack} has no app "{name}".{did_you_mean(name, names)}',
            hint=f"It has: {', '.join(names)}." if names else "It runs nothing yet.",
            http_status=404,
        )
    return state


def is_task(app: App) -> bool:
    """Whether it is a task of RunTask, which runs once."""
    origin = origin_of(app)
    return origin is not None and origin.kind == TASK


def refuse_task(app: App, what: str) -> None:
    """RequestError for a task of RunTask that is to be `what`, which only something that stays can be."""
    if is_task(app):
        raise RequestError(
            f"{app.name} is a task of RunTask: it runs once and cannot be {what}",
            hint="Ask RunTask for another one, or make a service of its task definition.",
            http_status=409,
        )


def find_lasting(world: World, stack: str, name: str, what: str) -> AppState:
    """Likewise find_app, but for what runs once: that is refused with 409."""
    state = find_app(world, stack, name)
    if state.target is not None:
        refuse_task(state.target.app, what)
    return state


def restartable(world: World, stack: str, name: str = "") -> list[AppState]:
    """The App of that name, or all of the stack's but for what runs once; RequestError where there is none."""
    if name:
        return [find_lasting(world, stack, name, "restarted")]
    found = [s for s in world.of_stack(stack) if s.target and not is_task(s.target.app)]
    if not found:
        raise RequestError(
            f"{stack} runs nothing that could be restarted",
            hint=f"`portway ps -a {stack}` shows what it runs.",
            http_status=409,
        )
    return found


def find_instance(world: World, stack: str, name: str) -> tuple[InstanceRecord, AppState]:
    """The instance "web.1.7"; "web.1" is the newest in that slot, "web" any one, healthy first."""
    find_stack(world, stack)
    candidates = [(r, s) for s in world.of_stack(stack) for r in s.live]
    matching = [(r, s) for r, s in candidates if _is_called(r, name)]
    if not matching:
        short = [short_id(r.id) for r, _ in candidates]
        names = [name for one in short for name in (one, *_shorter(one))]
        raise RequestError(
            f'{stack} has no instance "{name}".{did_you_mean(name, names)}',
            hint=f"`portway ps -a {stack}` lists them.",
            http_status=404,
        )
    return max(matching, key=lambda pair: _worth(world, pair[0]))


def _is_called(record: InstanceRecord, name: str) -> bool:
    short = short_id(record.id)
    return name in (short, *_shorter(short))


def _shorter(short: str) -> tuple[str, str]:
    """The names of its slot and its App: "web.1" and "web"."""
    slot = short.rpartition(".")[0]
    return slot, slot.rpartition(".")[0]


def _worth(world: World, record: InstanceRecord) -> tuple[bool, bool, int]:
    health = world.health.get(record.id)
    failing = health is not None and health.status is HealthStatus.FAILING
    return (record.phase is Phase.READY, not failing, record.identity.serial)
