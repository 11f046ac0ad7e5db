"""A stack's running deployments made to stand still, and to go on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from portway.core.errors import RequestError
from portway.core.stack import Stack
from portway.core.state import AppState
from portway.core.strategy import is_holding, is_paused, is_running, resumed, stepped


def paused_states(stack: Stack, states: Sequence[AppState], *, now_ms: int) -> tuple[AppState, ...]:
    """Those of the Apps whose deployments now stand still; refused when there is nothing to pause."""
    running = _under_way(stack, states)
    moving = tuple(s for s in running if not is_paused(s))
    if not moving:
        raise RequestError(
            f"the deployment of {stack.name} is paused already",
            hint=f"Go on with `portway resume -a {stack.name}`, or go back with "
            f"`portway abort -a {stack.name}`.",
            http_status=409,
        )
    return tuple(
        replace(s, deployment=replace(s.deployment, paused_at_ms=now_ms))
        for s in moving
        if s.deployment is not None
    )


def resumed_states(
    stack: Stack, states: Sequence[AppState], *, now_ms: int
) -> tuple[AppState, ...]:
    """Those that now go on: the paused ones, else those that hold at a step; refused when there are none."""
    running = _under_way(stack, states)
    if still := [s for s in running if is_paused(s)]:
        return tuple(
            replace(s, deployment=resumed(s.deployment, now_ms=now_ms))
            for s in still
            if s.deployment is not None
        )
    if holding := [s for s in running if is_holding(s)]:
        return tuple(
            replace(s, deployment=stepped(s.deployment, now_ms=now_ms))
            for s in holding
            if s.deployment is not None
        )
    raise RequestError(
        f"the deployment of {stack.name} is not paused",
        hint="It goes on by itself. One with --hold can be resumed once all of its step serves "
        f"(`portway apps info {stack.name}`).",
        http_status=409,
    )


def _under_way(stack: Stack, states: Sequence[AppState]) -> list[AppState]:
    if stack.deleting:
        raise RequestError(f"{stack.name} is being deleted", http_status=409)
    running = [s for s in states if s.target is not None and is_running(s)]
    if not running:
        raise nothing_under_way(stack.name, f"`portway apps info {stack.name}` shows what runs.")
    return running


def nothing_under_way(stack: str, hint: str) -> RequestError:
    """The answer to who wants to stop, hold or resume what is not there."""
    return RequestError(f"no deployment of {stack} is under way", hint=hint, http_status=409)
