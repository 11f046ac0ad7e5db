"""Deployment plans: what changes, in which order; what stands in the way; how one is undone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.core.marathon.changes import Change, RunSpec, change_of
from portway.core.marathon.plan import (
    ActionKind,
    CycleError,
    Step,
    affected,
    conflicting,
    deployment_plan,
    kept_groups,
    reverted,
)


def spec(path: str, instances: int = 1, cmd: str = "x", *needs: str, pod: bool = False) -> RunSpec:
    return RunSpec(
        path=path, instances=instances, is_pod=pod, spec={"cmd": cmd}, dependencies=needs
    )


def of(*specs: RunSpec) -> dict[str, RunSpec]:
    return {one.path: one for one in specs}


def told(steps: tuple[Step, ...]) -> list[list[tuple[str, str, int]]]:
    return [[(a.name, a.path, a.instances) for a in step] for step in steps]


def test_one_replaced_one_scaled_one_added_and_one_deleted() -> None:
    before = of(spec("/gone"), spec("/changed"), spec("/scaled"), spec("/same"))
    after = of(spec("/changed", 2, "y"), spec("/scaled", 5), spec("/same"), spec("/new", 3))
    assert told(deployment_plan(before, after)) == [
        [("StopApplication", "/gone", 0)],
        [("StartApplication", "/new", 0)],
        [
            ("RestartApplication", "/changed", 2),
            ("ScaleApplication", "/new", 3),
            ("ScaleApplication", "/scaled", 5),
        ],
    ]


def test_nothing_changed_is_a_plan_without_steps() -> None:
    before = of(spec("/a"), spec("/b", 2))
    assert deployment_plan(before, of(spec("/a"), spec("/b", 2))) == ()


def test_a_changed_app_that_is_to_have_no_instances_is_scaled() -> None:
    steps = deployment_plan(of(spec("/a")), of(spec("/a", 0, "y")))
    assert told(steps) == [[("ScaleApplication", "/a", 0)]]


def test_an_app_is_restarted_though_nothing_in_it_differs() -> None:
    steps = deployment_plan(of(spec("/a")), of(spec("/a")), restarted=["/a", "/unknown"])
    assert told(steps) == [[("RestartApplication", "/a", 1)]]


def test_pods_have_words_of_their_own() -> None:
    before = of(spec("/p", pod=True), spec("/q", pod=True))
    after = of(spec("/p", 1, "y", pod=True), spec("/r", pod=True))
    names = [[name for name, _, _ in step] for step in told(deployment_plan(before, after))]
    assert names == [["StopPod"], ["StartPod"], ["RestartPod", "ScalePod"]]


def test_whoever_is_waited_for_comes_first_through_groups_as_well() -> None:
    after = of(
        spec("/shop/web", 1, "x", "/shop/db"),
        spec("/shop/db/main"),
        spec("/shop/db/cache", 1, "x", "/shop/db/main"),
        spec("/front/proxy"),
    )
    steps = deployment_plan({}, after, group_dependencies={"/front": ["/shop"]})
    scales = [[path for _, path, _ in step] for step in told(steps)[1:]]
    assert scales == [["/shop/db/main"], ["/shop/db/cache"], ["/shop/web"], ["/front/proxy"]]


def test_apps_that_wait_for_each_other_in_a_circle_have_no_plan() -> None:
    circle = of(spec("/a", 1, "x", "/b"), spec("/b", 1, "x", "/c"), spec("/c", 1, "x", "/a"))
    with pytest.raises(CycleError, match="Dependency graph has cyclic dependencies"):
        deployment_plan({}, circle)


def test_a_long_chain_of_dependencies_is_no_trouble() -> None:
    chain = of(spec("/a0"), *(spec(f"/a{n}", 1, "x", f"/a{n - 1}") for n in range(1, 2000)))
    steps = deployment_plan({}, chain)
    assert len(steps) == 2001
    assert steps[-1][0].path == "/a1999"


PATHS = [f"/g{n % 2}/a{n}" for n in range(6)]


@st.composite
def targets(draw: st.DrawFn) -> dict[str, RunSpec]:
    """Some of the paths; each waits for earlier ones only."""
    chosen = draw(st.lists(st.sampled_from(PATHS), unique=True))
    return {
        path: RunSpec(
            path=path,
            instances=draw(st.integers(0, 2)),
            spec={"cmd": draw(st.sampled_from("xy"))},
            dependencies=draw(st.lists(st.sampled_from(PATHS[: PATHS.index(path)] or ["/no"]))),
        )
        for path in chosen
    }


@settings(max_examples=60)
@given(targets(), targets())
def test_a_plan_has_every_change_once_and_waits_for_whom_it_should(
    before: dict[str, RunSpec], after: dict[str, RunSpec]
) -> None:
    steps = deployment_plan(before, after)
    actions = [(action, nth) for nth, step in enumerate(steps) for action in step]
    stopped = [a.path for a, _ in actions if a.kind is ActionKind.STOP]
    started = [a.path for a, _ in actions if a.kind is ActionKind.START]
    changed = {
        a.path: nth for a, nth in actions if a.kind in (ActionKind.SCALE, ActionKind.RESTART)
    }
    assert stopped == sorted(before.keys() - after.keys())
    assert started == sorted(after.keys() - before.keys())
    wanted = {p for p, s in after.items() if change_of(before.get(p), s) is not Change.NOTHING}
    assert changed.keys() == wanted
    assert len(actions) == len(stopped) + len(started) + len(changed)
    assert all(steps)
    for path, nth in changed.items():
        for need in after[path].dependencies:
            assert need not in changed or changed[need] < nth
    assert affected(steps) == {*stopped, *started, *changed}


def test_plans_that_share_an_app_are_in_each_others_way() -> None:
    running = {"d1": {"/a", "/b"}, "d2": {"/c"}, "d3": {"/b"}}
    assert conflicting({"/b"}, running) == ("d1", "d3")
    assert conflicting({"/x"}, running) == ()


def test_undoing_puts_back_what_was_changed_and_keeps_what_came_later() -> None:
    original = {"/a": 1, "/b": 1, "/gone": 1, "/same": 1}
    target = {"/a": 2, "/b": 1, "/new": 1, "/same": 1}
    now = {"/a": 2, "/b": 7, "/new": 5, "/later": 1, "/same": 1}
    assert reverted(original, target, now) == {
        "/a": 1, "/b": 7, "/gone": 1, "/later": 1, "/same": 1,
    }  # fmt: skip


@settings(max_examples=60)
@given(*[st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2))] * 2)
def test_undoing_at_once_gives_what_was(before: dict[str, int], after: dict[str, int]) -> None:
    assert reverted(before, after, after) == before


def test_a_group_that_was_added_goes_unless_something_else_is_in_it() -> None:
    original, target = {"/", "/a"}, {"/", "/a", "/new", "/new/inner", "/used"}
    now = {*target, "/later"}
    found = kept_groups(original, target, now, ["/used/web", "/a/web"])
    assert found == {"/", "/a", "/used", "/later"}
