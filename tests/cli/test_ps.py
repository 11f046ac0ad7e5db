from __future__ import annotations

import json

from tests.cli import views
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer


def test_instances_are_listed_in_a_table(run: Run, fake: FakeServer) -> None:
    fake.on(
        "GET /instances", [views.instance(1), views.instance(2, health="waiting", phase="starting")]
    )
    outcome = run("ps", "-a", "httpd")
    assert outcome.out == (
        "ID       APP  RELEASE      HEALTH   PHASE     PORTS      STARTED        COMMAND\n"
        "web.1.7  web  RUAENUMAQBS  healthy  running   31004->80  3 minutes ago  httpd-foreground\n"
        "web.2.8  web  RUAENUMAQBS  waiting  starting  31005->80  3 minutes ago  httpd-foreground\n"
    )
    assert outcome.code == 0
    assert fake.requests("GET /instances")[0].query == {"stack": ["httpd"]}


def test_without_a_stack_the_table_says_whose_each_instance_is(run: Run, fake: FakeServer) -> None:
    fake.on("GET /instances", [views.instance(1)])
    outcome = run("ps")
    assert outcome.out.splitlines()[0].split()[:2] == ["STACK", "ID"]
    assert outcome.out.splitlines()[1].split()[:2] == ["httpd", "web.1.7"]
    assert fake.requests("GET /instances")[0].query == {}


def test_why_an_instance_is_not_well_is_said_below_the_table(run: Run, fake: FakeServer) -> None:
    failing = views.instance(1, health="unhealthy", health_detail="HTTP 503 from /healthz")
    fake.on("GET /instances", [failing, views.instance(2)])
    outcome = run("ps", "-a", "httpd")
    assert outcome.out.splitlines()[3:] == ["", "web.1.7: HTTP 503 from /healthz"]


def test_one_that_is_not_ready_or_cannot_be_checked_is_explained(
    run: Run, fake: FakeServer
) -> None:
    unready = views.instance(1, health="not ready", health_detail="not ready: HTTP 503 from /ready")
    unchecked = views.instance(2, unchecked="Docker does not answer")
    fake.on("GET /instances", [unready, unchecked])
    assert run("ps", "-a", "httpd").out.splitlines()[3:] == [
        "",
        "web.1.7: not ready: HTTP 503 from /ready",
        "web.2.8: not checked now, so the verdict stays: Docker does not answer",
    ]


def test_nobody_waits_for_the_health_of_what_is_being_stopped(run: Run, fake: FakeServer) -> None:
    fake.on("GET /instances", [views.instance(1, health="waiting", phase="stopping")])
    assert run("ps", "-a", "httpd").out.splitlines()[1].split()[3:5] == ["-", "stopping"]


def test_json_is_the_answer_of_the_api_whole(run: Run, fake: FakeServer) -> None:
    fake.on("GET /instances", [views.instance(1)])
    assert json.loads(run("ps", "--json").out) == [views.instance(1)]


def test_no_instances_is_a_sentence(run: Run, fake: FakeServer) -> None:
    fake.on("GET /instances", [])
    assert run("ps", "-a", "httpd").out == "httpd has no instances.\n"


def test_an_instance_is_stopped_by_its_name(run: Run, fake: FakeServer) -> None:
    fake.on("POST /stacks/httpd/instances/web.1/stop", views.instance(1, phase="draining"))
    outcome = run("ps", "stop", "web.1", "-a", "httpd")
    assert (outcome.code, outcome.out) == (0, "Stopping web.1.7... draining\n")
    assert fake.asked[0].content_type == "application/json"


def test_the_stack_may_stand_before_the_subcommand(run: Run, fake: FakeServer) -> None:
    fake.on("POST /stacks/httpd/instances/web.1/stop", views.instance(1, phase="draining"))
    assert run("ps", "-a", "httpd", "stop", "web.1").code == 0


def test_the_containers_of_an_instance_stand_below_it(run: Run, fake: FakeServer) -> None:
    side = {
        "name": "side", "container": "abc", "image": "side:1", "state": "exited", "essential": False, "exit_code": 3,
        "health": "", "started_at_ms": views.NOW_MS - 180_000,
    }  # fmt: skip
    fake.on("GET /instances", [views.instance(1, containers=[side])])
    rows = run("ps", "-a", "httpd").out.splitlines()
    assert rows[1].split()[0] == "web.1.7"
    assert rows[2].split() == ["web.1.7/side", "exited", "(3)", "3", "minutes", "ago", "side:1"]
