from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from portway.cli.client import converted
from portway.cli.options import strategy_body
from portway.cli.steps import app_remark, step_text
from portway.controller.views import AppView, DeploymentView
from tests.cli import views
from tests.cli.conftest import NOW_MS, Run
from tests.cli.fake_server import FakeServer
from tests.cli.test_deploy import PROMOTE, RELEASES, deploying, promoted

BAKING: dict[str, Any] = {
    "strategy": "canary", "step": 1, "steps": 1, "step_wanted": 1, "stage": "baking", "desired": 10,
    "healthy": 1, "bake_ends_at_ms": NOW_MS + 30_000,
}  # fmt: skip


def deployment(**changes: Any) -> DeploymentView:
    return converted(views.deployment(status="running", **{**BAKING, **changes}), DeploymentView)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "canary 1/10 serving, baking 30 s more"),
        ({"bake_ends_at_ms": NOW_MS + 12_400}, "canary 1/10 serving, baking 15 s more"),
        ({"bake_ends_at_ms": NOW_MS + 2_000}, "canary 1/10 serving, baking a few seconds more"),
        ({"bake_ends_at_ms": NOW_MS + 590_000}, "canary 1/10 serving, baking 10m0s more"),
        (
            {"steps": 3, "step": 2, "step_wanted": 3},
            "canary step 2 of 3: 3/10 serving, baking 30 s more",
        ),
        ({"stage": "holding"}, "canary 1/10 serving, holding until `portway resume`"),
        ({"stage": "starting", "healthy": 0}, "canary 0/1 healthy"),
        (
            {"strategy": "blue-green", "steps": 2, "stage": "starting", "step_wanted": 10},
            "blue-green 1/10 healthy, no traffic yet",
        ),
        (
            {"strategy": "blue-green", "steps": 2, "step": 2, "step_wanted": 10},
            "blue-green 10/10 serving, baking 30 s more",
        ),
        ({"stage": ""}, ""),
    ],
)
def test_a_step_is_a_phrase(changes: dict[str, Any], text: str) -> None:
    assert step_text(deployment(**changes), now_ms=NOW_MS) == text


def app(**changes: Any) -> AppView:
    return converted(views.app(**changes), AppView)


def test_an_app_at_a_step_paused_or_crash_looping_gets_a_remark() -> None:
    at_step = views.deployment(status="running", **BAKING, paused=True)
    assert app_remark(app(deployment=at_step), now_ms=NOW_MS) == (
        "web: canary 1/10 serving, baking 30 s more, paused (`portway resume` goes on)"
    )
    looping = app(status="crash looping", blocked="crash looping: the next try is in 8 s, after: x")
    assert app_remark(looping, now_ms=NOW_MS).startswith("web: crash looping: the next try")
    assert app_remark(app(), now_ms=NOW_MS) == ""


def test_an_app_that_is_blocked_or_has_failed_gets_the_reason_as_its_remark() -> None:
    refused = "Port 8000 cannot be listened on: it is held by nginx (pid 7)"
    assert app_remark(app(blocked=refused), now_ms=NOW_MS) == f"web: {refused}"
    starting = views.deployment(status="running")
    assert app_remark(app(blocked=refused, deployment=starting), now_ms=NOW_MS) == f"web: {refused}"
    ended = views.deployment(status="failed", reason="3 instances failed")
    assert app_remark(app(status="failed", deployment=ended), now_ms=NOW_MS) == (
        "web: failed: 3 instances failed"
    )
    # Gone back to the release before, which runs: there is nothing to say of what runs.
    assert app_remark(app(deployment=ended), now_ms=NOW_MS) == ""


def test_who_has_no_instances_is_told_why(run: Run, fake: FakeServer) -> None:
    fake.on("GET /instances", [])
    ended = views.deployment(status="failed", reason="it exited with code 3")
    fake.on("GET /stacks/httpd", views.stack(apps=[views.app(status="failed", deployment=ended)]))
    assert run("ps", "-a", "httpd").out.splitlines() == [
        "httpd has no instances.",
        "",
        "web: failed: it exited with code 3",
    ]


def test_ps_says_below_the_table_what_a_deployment_waits_for(run: Run, fake: FakeServer) -> None:
    fake.on("GET /instances", [views.instance(1)])
    at_step = views.deployment(status="running", **BAKING)
    fake.on("GET /stacks/httpd", views.stack(apps=[views.app(deployment=at_step)]))
    fake.on("GET /stacks", [views.stack(apps=[views.app(deployment=at_step)])])
    said = "web: canary 1/10 serving, baking 30 s more"
    assert run("ps", "-a", "httpd").out.splitlines()[2:] == ["", said]
    assert run("ps").out.splitlines()[2:] == ["", f"httpd/{said}"]


def test_a_deploy_tells_its_steps_and_that_it_is_paused(
    run: Run, fake: FakeServer, workdir: Path
) -> None:
    (workdir / "docker-compose.yml").write_text("services:\n  web:\n    image: httpd\n")
    promoted(
        fake,
        deploying(**BAKING, old=10),
        deploying(**BAKING, old=10, paused=True),
        views.stack(),
    )
    outcome = run("deploy", "-a", "httpd", "--canary", "10%", "--bake", "30")
    assert fake.requests(PROMOTE)[0].json == {"force": False, "canary": "10%", "bake_s": 30.0}
    lines = outcome.out.splitlines()
    assert "  web  canary 1/10 serving, baking 30 s more, 10 old" in lines
    assert (
        "  web  canary 1/10 serving, baking 30 s more, 10 old, "
        "paused: `portway resume` goes on, `portway abort` goes back" in lines
    )
    assert outcome.code == 0


def test_a_time_of_nothing_is_a_time_too() -> None:
    assert strategy_body("canary", "", 0.0, False) == {"strategy": "canary", "bake_s": 0.0}


def test_a_share_of_requests_is_passed_on_as_it_was_said() -> None:
    asked = strategy_body("canary", "", None, False, "1%")
    assert asked == {"strategy": "canary", "max_failed": "1%"}


def test_what_cannot_be_meant_is_refused_before_anything_is_made(
    run: Run, fake: FakeServer, workdir: Path
) -> None:
    (workdir / "docker-compose.yml").write_text("services:\n  web:\n    image: httpd\n")
    outcome = run("deploy", "-a", "httpd", "--canary", "120%")
    assert outcome.code == 2
    assert "'120%' are no steps of a canary" in outcome.err
    assert "5%,25%,50%" in outcome.err
    assert fake.requests(RELEASES) == []


@pytest.mark.parametrize("words", [("rollback",), ("restart",), ("promote", views.RELEASE)])
def test_every_way_to_deploy_takes_a_strategy(
    run: Run, fake: FakeServer, words: tuple[str, ...]
) -> None:
    path = f"releases/{views.RELEASE}/promote" if words[0] == "promote" else words[0]
    promoted(fake, views.stack())
    fake.on(f"POST /stacks/httpd/{path}", views.promotion())
    assert run(*words, "-a", "httpd", "--strategy", "blue-green", "--hold").code == 0
    sent = fake.requests(f"POST /stacks/httpd/{path}")[0].json
    assert (sent["strategy"], sent["hold"]) == ("blue-green", True)


def test_a_pause_says_how_to_go_on(run: Run, fake: FakeServer) -> None:
    fake.on("POST /stacks/httpd/pause", views.promotion())
    outcome = run("pause", "-a", "httpd")
    assert outcome.out == (
        "The deployment of httpd is paused.\n"
        "Go on with `portway resume -a httpd`, or go back with `portway abort -a httpd`.\n"
    )
    assert outcome.code == 0


def test_a_resume_waits_for_the_deployment(run: Run, fake: FakeServer) -> None:
    promoted(fake, deploying(), views.stack())
    fake.on("POST /stacks/httpd/resume", views.promotion())
    outcome = run("resume", "-a", "httpd")
    assert outcome.out.splitlines()[0] == "The deployment of httpd goes on."
    assert "httpd is running: release RUAENUMAQBS, 2/2 healthy" in outcome.out


def test_abort_is_cancel(run: Run, fake: FakeServer) -> None:
    fake.on("POST /stacks/httpd/cancel", views.promotion(release=views.OLD_RELEASE))
    outcome = run("abort", "-a", "httpd", "--no-wait")
    assert outcome.out == (
        f"The deployment of httpd is cancelled; returning to release {views.OLD_RELEASE}.\n"
    )


def test_an_abort_waits_until_what_is_too_much_has_left(run: Run, fake: FakeServer) -> None:
    full = views.stack(apps=[views.app(running=4)])
    looks = [full, full, views.stack()]
    promoted(fake)
    fake.on("GET /stacks/httpd", lambda _: looks.pop(0) if len(looks) > 1 else looks[0])
    fake.on("POST /stacks/httpd/cancel", views.promotion(release=views.OLD_RELEASE))
    assert run("abort", "-a", "httpd").code == 0
    assert len(fake.requests("GET /stacks/httpd")) >= 3


def test_where_there_is_nothing_to_pause_the_refusal_is_told(run: Run, fake: FakeServer) -> None:
    outcome = run("pause", "-a", "httpd")
    assert outcome.code != 0
    assert "Traceback" not in outcome.err
