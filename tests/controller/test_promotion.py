"""A release becomes targets: what is replaced, what stays, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.controller.promotion import (
    Promotion,
    free_revision_id,
    promote_states,
    runs_alike,
    why_replaced,
)
from portway.core.app import App, Dependency, HealthCheck, ListenerSpec, PortSpec, Rollout
from portway.core.instance import InstanceIdentity, InstanceRecord
from portway.core.stack import Release, Stack
from portway.core.state import AppState, Deployment, DeploymentStatus, Revision

WEB = App(
    id="shop/web", image="web", image_id="sha256:1", ports=(PortSpec(name="80", container_port=80),)
)
ENVIRONMENT = {"MODE": "live"}


def release(*apps: App, name: str = "R2", environment: dict[str, str] | None = None) -> Release:
    return Release(
        id=name,
        stack="shop",
        created_at_ms=1,
        manifest="",
        manifest_name="f",
        apps=apps,
        environment=ENVIRONMENT if environment is None else environment,
    )


def running(app: App = WEB, *, count: int = 1, **fields: object) -> AppState:
    revision = Revision(id="R1", release="R1", app=app, environment=ENVIRONMENT)
    state = AppState(
        app_id=app.id, target=revision, revisions={"R1": revision}, count=count, version=3
    )
    return replace(state, **fields)  # type: ignore[arg-type]


def promoted(
    given: Release, *states: AppState, scales: dict[str, int] | None = None, force: bool = False
) -> Promotion:
    stack = Stack(name="shop", created_at_ms=1, scales=scales or {})
    return promote_states(stack, states, given, deployment_id="D2", now_ms=5, force=force)


def only(promotion: Promotion) -> AppState:
    (state,) = promotion.states
    return state


def test_a_new_app_is_deployed_from_nothing() -> None:
    promotion = promoted(release(WEB))
    state = only(promotion)
    assert promotion.changed == ("web",)
    assert state.target == Revision(
        id="R2", release="R2", app=WEB, environment=ENVIRONMENT, made_at_ms=5
    )
    assert state.deployment == Deployment(
        id="D2", release="R2", to_revision="R2", started_at_ms=5, progressed_at_ms=5
    )


def test_an_app_that_runs_already_as_it_should_is_left_alone() -> None:
    promotion = promoted(release(WEB), running())
    assert (promotion.states, promotion.unchanged, promotion.changed) == ((), ("web",), ())


def test_force_replaces_it_all_the_same() -> None:
    promotion = promoted(release(WEB), running(), force=True)
    assert promotion.changed == ("web",)
    assert only(promotion).target != running().target


def test_what_changes_comes_from_what_ran() -> None:
    state = only(promoted(release(replace(WEB, image_id="sha256:2")), running(count=4)))
    assert state.deployment is not None
    assert (state.deployment.from_revision, state.deployment.from_count) == ("R1", 4)
    assert set(state.revisions) == {"R1", "R2"}
    assert state.version == 3


@pytest.mark.parametrize(
    "change",
    [
        {"ports": (replace(WEB.ports[0], listener=ListenerSpec(sticky=True)),)},
        {"ports": (replace(WEB.ports[0], service_ports=(8080,)),)},
        {"rollout": Rollout(minimum_percent=50)},
        {"depends_on": (Dependency(name="db"),)},
        {"labels": {"convox.port.80.protocol": "tcp"}},
        {"image": "web:again"},
        {"stop_grace_s": 3.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_no_instance_can_tell_changes_in_place(change: dict[str, object]) -> None:
    changed = replace(WEB, **change)  # type: ignore[arg-type]
    promotion = promoted(release(changed), running())
    state = only(promotion)
    assert promotion.unchanged == ("web",)
    assert state.target == Revision(id="R1", release="R1", app=changed, environment=ENVIRONMENT)
    assert state.revisions["R1"].app == changed
    assert state.deployment is not None
    assert (state.deployment.release, state.deployment.from_app) == ("R2", WEB)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"image_id": "sha256:2"}, "image"),
        ({"environment": {"A": "1"}}, "environment"),
        ({"command_text": "serve"}, "command"),
        ({"command": ("serve",), "command_text": "serve"}, "command"),
        ({"ports": ()}, "ports"),
        ({"health": HealthCheck(path="/up")}, "health"),
        ({"labels": {"team": "a"}}, "labels"),
        ({"user": "bob", "working_dir": "/"}, "user, working_dir"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_what_an_instance_can_tell_replaces_it_and_says_what(
    change: dict[str, object], why: str
) -> None:
    changed = replace(WEB, **change)  # type: ignore[arg-type]
    assert promoted(release(changed), running()).changed == ("web",)
    target = running().target
    assert target is not None
    assert why_replaced(target, changed, ENVIRONMENT) == why


def test_changed_variables_of_the_stack_replace_every_app_without_showing_a_value() -> None:
    secret = {"MODE": "canary-7f3a"}
    target = running().target
    assert target is not None
    assert not runs_alike(target, WEB, secret)
    assert why_replaced(target, WEB, secret) == "the stack's variables"


def test_an_app_whose_first_deployment_failed_is_deployed_again() -> None:
    state = only(promoted(release(WEB), running(halted="it failed")))
    assert state.halted == ""
    assert state.deployment is not None
    assert state.deployment.from_revision is None


def test_what_supersedes_a_running_deployment_goes_back_to_what_ran_before_that() -> None:
    under_way = Deployment(
        id="D1", to_revision="R1", from_revision="R0", started_at_ms=1, progressed_at_ms=1
    )
    state = running(deployment=under_way)
    after = only(promoted(release(replace(WEB, image_id="sha256:2")), state))
    assert after.deployment is not None
    assert after.deployment.from_revision == "R0"
    done = replace(under_way, status=DeploymentStatus.DONE)
    after = only(
        promoted(release(replace(WEB, image_id="sha256:2")), replace(state, deployment=done))
    )
    assert after.deployment is not None
    assert after.deployment.from_revision == "R1"


def test_an_app_the_release_does_not_name_is_leaving() -> None:
    promotion = promoted(release(), running())
    assert promotion.leaving == ("web",)
    assert only(promotion).leaving
    assert promoted(release(), running(target=None)).leaving == ()


def test_an_app_that_is_named_again_is_not_leaving_any_more() -> None:
    state = only(promoted(release(WEB), running(leaving=True)))
    assert not state.leaving


@pytest.mark.parametrize(
    ("was", "asked", "scaled", "count"),
    [
        (None, None, None, 1),
        (None, 3, None, 3),
        (2, 2, 5, 5),
        (2, 3, 5, 3),
        (2, None, 5, 5),
        (None, 3, 5, 3),
        (2, 2, 0, 0),
    ],
    ids=["1", "asked", "scaled", "asked anew", "no longer asked", "asked first", "scaled to 0"],
)
def test_what_scale_set_stays_until_the_manifests_own_number_changes(
    was: int | None, asked: int | None, scaled: int | None, count: int
) -> None:
    app = replace(WEB, image_id="sha256:2", count=asked)
    scales = {} if scaled is None else {"web": scaled}
    promotion = promoted(release(app), running(replace(WEB, count=was)), scales=scales)
    assert only(promotion).count == count
    assert promotion.scales == ({} if scaled in (None, -1) or count != scaled else scales)


def test_scales_of_apps_that_are_not_named_are_forgotten() -> None:
    assert promoted(release(WEB), scales={"web": 2, "old": 3}).scales == {"web": 2}


def test_a_changed_count_is_a_deployment_of_the_same_revision() -> None:
    promotion = promoted(release(replace(WEB, count=3)), running())
    state = only(promotion)
    assert promotion.changed == ("web",)
    assert state.target is not None
    assert (state.count, state.target.id) == (3, "R1")


def test_old_failures_do_not_count_against_a_new_deployment() -> None:
    from portway.core.state import Failure

    failed = Failure(at_ms=1, instance_id="i", revision="R1", reason="why")
    assert only(promoted(release(WEB), running(failures=(failed,)), force=True)).failures == ()


def test_a_revision_never_takes_a_name_that_is_in_use() -> None:
    identity = InstanceIdentity(
        id="i", app_id="shop/web", slot=1, serial=1, revision="R1-2", release="R1", node="n"
    )
    state = running(instances=(InstanceRecord(identity=identity, planned_at_ms=1),))
    assert free_revision_id(state, "R9") == "R9"
    assert free_revision_id(state, "R1") == "R1-3"
    assert free_revision_id(replace(state, revisions={}), "R1") == "R1-3"
    assert free_revision_id(AppState(app_id="a", target=None), "R1") == "R1"
