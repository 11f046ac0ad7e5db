"""What the end of one App's deployment means for its stack: a release is active once all of it runs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from portway.controller.world import FORGOTTEN, forgotten_words
from portway.core.deployment import count_before, revision_before
from portway.core.events import Event
from portway.core.stack import Stack
from portway.core.state import AppState, Deployment, DeploymentStatus
from portway.store.base import Batch

HISTORY_MAX = 100
ENDED_BADLY = (DeploymentStatus.FAILED, DeploymentStatus.CANCELLED)


def is_unsettled(stack: Stack | None, state: AppState) -> bool:
    """Whether its stack still waits for something to follow: a save may have failed, or a controller died."""
    waits = stack is not None and (stack.promoting is not None or stack.deleting)
    return waits or state.target is None


def settle_stack(
    stack: Stack,
    states: Sequence[AppState],
    *,
    now_ms: int,
    lingering: Collection[str] = (),
) -> Batch | None:
    """What to save for the stack now that one of its Apps changed; None when nothing follows.

    `lingering`: the Apps of which something may still be outside; they are not forgotten yet.
    """
    gone = [s for s in states if s.target is None and not s.live and s.app_id not in lingering]
    if gone:
        return _forget(stack, states, gone, now_ms)
    if stack.deleting and not states:
        return Batch(deleted_stacks=(stack.name,))
    if stack.promoting is None or stack.deleting:
        return None
    mine = [s for s in states if s.deployment is not None and _belongs(s, stack.promoting)]
    failed = [s for s in mine if s.deployment and s.deployment.status in ENDED_BADLY]
    if failed:
        return _give_up(stack, states, mine, failed[0], now_ms)
    if all(s.deployment and s.deployment.status is DeploymentStatus.DONE for s in mine):
        return _activate(stack, states, now_ms)
    return None


def _belongs(state: AppState, release: str) -> bool:
    return state.deployment is not None and state.deployment.release == release


def _forget(
    stack: Stack, states: Sequence[AppState], gone: Sequence[AppState], now_ms: int
) -> Batch:
    last = len(gone) == len(states)
    events = [
        replace(
            _event(stack, "app.deleted", f"{s.app_id.rpartition('/')[2]} is deleted", now_ms),
            data={FORGOTTEN: " ".join(forgotten_words(s))},
        )
        for s in gone
    ]
    if stack.deleting and last:
        events.append(_event(stack, "stack.deleted", f"{stack.name} is deleted", now_ms))
    return Batch(
        deleted_apps=tuple(s.app_id for s in gone),
        deleted_stacks=(stack.name,) if stack.deleting and last else (),
        events=tuple(events),
    )


def _activate(stack: Stack, states: Sequence[AppState], now_ms: int) -> Batch:
    """All of the release runs: it is the active one, and Apps it no longer names may go."""
    assert stack.promoting is not None
    active = replace(
        stack,
        active_release=stack.promoting,
        promoting=None,
        history=(*stack.history, stack.promoting)[-HISTORY_MAX:],
    )
    leaving = [s for s in states if s.leaving and s.target is not None]
    return Batch(
        stacks=(active,),
        apps=tuple(let_go(s, stack.promoting, now_ms=now_ms) for s in leaving),
        events=(
            _event(
                stack,
                "release.active",
                f"{stack.name} runs release {stack.promoting}",
                now_ms,
                release=stack.promoting,
            ),
        ),
    )


def let_go(state: AppState, release: str, *, now_ms: int) -> AppState:
    """The App as one that should run nowhere."""
    before = state.target.id if state.target else None
    deployment = Deployment(
        id=f"{release}-removal",
        release=release,
        to_revision="",
        from_revision=before,
        started_at_ms=now_ms,
        progressed_at_ms=now_ms,
    )
    return replace(state, target=None, deployment=deployment, leaving=False, called_off=False)


def undrained(state: AppState) -> AppState:
    """The App as one whose leaving instances wait for no connection to end."""
    revisions = {
        key: replace(
            revision,
            app=replace(revision.app, rollout=replace(revision.app.rollout, drain_timeout_s=0.0)),
        )
        for key, revision in state.revisions.items()
    }
    return replace(state, revisions=revisions)


def _give_up(
    stack: Stack,
    states: Sequence[AppState],
    mine: Sequence[AppState],
    failed: AppState,
    now_ms: int,
) -> Batch:
    """One App failed: the others go back too, so that one release serves, not a mixture."""
    assert stack.promoting is not None
    name = failed.app_id.rpartition("/")[2]
    back = {s.app_id: gone_back(s, f"{name} failed", now_ms) for s in mine if s is not failed}
    after = tuple(replace(back.get(s.app_id, s), leaving=False) for s in states)
    stays = stack.active_release or "nothing"
    return Batch(
        stacks=(replace(stack, promoting=None, scales=scales_of(after)),),
        apps=tuple(changed for changed, s in zip(after, states, strict=True) if changed != s),
        events=(
            _event(
                stack,
                "release.failed",
                f"release {stack.promoting} failed because of {name}; {stays} stays",
                now_ms,
                release=stack.promoting,
            ),
        ),
    )


def scales_of(states: Sequence[AppState]) -> Mapping[str, int]:
    """The counts that are not the manifest's own: what `scale` set."""
    return {
        s.target.app.name: s.count
        for s in states
        if s.target is not None
        and s.count != (1 if s.target.app.count is None else s.target.app.count)
    }


def gone_back(state: AppState, reason: str, now_ms: int) -> AppState:
    """The App aimed at what it ran before this deployment; a first one starts nothing more."""
    deployment = state.deployment
    if deployment is None:
        return replace(state, leaving=False)
    before = revision_before(state, deployment)
    if deployment.status is DeploymentStatus.RUNNING:
        ended = replace(
            deployment, status=DeploymentStatus.CANCELLED, ended_at_ms=now_ms, reason=reason
        )
        state = replace(state, deployment=ended)
        if before is None:
            return replace(state, leaving=False, halted=f"not started: {reason}")
    if before is None:
        return replace(state, leaving=False)
    return replace(state, target=before, count=count_before(state, deployment), leaving=False)


def aborted(state: AppState, now_ms: int) -> AppState:
    """The App gone back at its user's word; where nothing ran before, nothing of its deployment stays."""
    deployment, reason = state.deployment, "the user ended it"
    after = gone_back(state, reason, now_ms)
    # What a scale has started cannot be told from what ran before it.
    if deployment is None or not deployment.release or revision_before(state, deployment):
        return after
    ended = replace(
        deployment, status=DeploymentStatus.CANCELLED, ended_at_ms=now_ms, reason=reason
    )
    return replace(after, deployment=ended, halted=f"not started: {reason}", called_off=True)


def _event(stack: Stack, kind: str, message: str, now_ms: int, *, release: str = "") -> Event:
    return Event(at_ms=now_ms, kind=kind, message=message, stack=stack.name, release=release)
