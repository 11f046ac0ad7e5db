"""The smaller commands, each against the answers of a fake server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portway.cli.client import converted
from portway.cli.events import event_line
from portway.core.events import Event
from tests.cli import views
from tests.cli.conftest import NOW_MS, Run
from tests.cli.fake_server import FakeServer, Lines, Refusal


def following(fake: FakeServer) -> None:
    fake.on("GET /stacks/httpd", views.stack())
    fake.on("GET /events", Lines([], open_end=True))
    fake.on("GET /map", [views.route()])


ENDING = (
    "  web  2/2 healthy, done\n"
    "httpd is running: release RUAENUMAQBS, 2/2 healthy\n"
    "  http://127.0.0.1:8000/  ->  web   127.0.0.1:31004 -> web.1:80   127.0.0.1:31005 -> web.2:80\n"
)


def test_stacks_are_listed(run: Run, fake: FakeServer) -> None:
    fake.on(
        "GET /stacks",
        [views.stack(), views.stack(name="empty", status="new", release="", apps=[], urls=[])],
    )
    assert run("apps").out == (
        "STACK  STATUS   RELEASE      APPS     URLS\n"
        "httpd  running  RUAENUMAQBS  web 2/2  http://127.0.0.1:8000/\n"
        "empty  new      -            -        -\n"
    )


def test_one_stack_is_shown_with_its_apps_and_listeners(run: Run, fake: FakeServer) -> None:
    following(fake)
    blocked = views.app(
        name="db", status="blocked", healthy=0, blocked="31500 is held by redis (pid 7)"
    )
    fake.on("GET /stacks/httpd", views.stack(apps=[views.app(), blocked]))
    assert run("apps", "info", "httpd").out == (
        "Name     httpd\n"
        "Status   running\n"
        "Release  RUAENUMAQBS\n"
        "Created  3 minutes ago\n"
        "Apps     web 2/2 healthy, running\n"
        "         db 0/2 healthy, blocked: 31500 is held by redis (pid 7)\n"
        "Listeners\n"
        "  http://127.0.0.1:8000/  ->  web   127.0.0.1:31004 -> web.1:80   127.0.0.1:31005 -> web.2:80\n"
    )


def test_deleting_needs_a_yes_where_nobody_can_be_asked(run: Run, fake: FakeServer) -> None:
    following(fake)
    outcome = run("apps", "delete", "httpd")
    assert outcome.code == 2
    assert "portway apps delete httpd --yes" in outcome.err
    assert not fake.requests("DELETE /stacks/httpd")


def test_deleting_waits_until_the_stack_is_gone(run: Run, fake: FakeServer) -> None:
    fake.on("DELETE /stacks/httpd", views.promotion(deployments=[], removed=["web"]))
    left = [views.stack(), views.stack(apps=[views.app(running=1)])]
    gone = Refusal(404, {"message": "no stack httpd"})
    fake.on("GET /stacks/httpd", lambda _: left.pop(0) if left else gone)
    outcome = run("apps", "delete", "httpd", "--yes")
    assert (outcome.code, outcome.out) == (0, "  web  1 left\nhttpd is deleted.\n")


def test_scale_without_arguments_shows_the_counts(run: Run, fake: FakeServer) -> None:
    following(fake)
    assert run("scale", "-a", "httpd").out == (
        "NAME  DESIRED  RUNNING  HEALTHY\nweb   2        2        2\n"
    )


def test_scale_sends_the_counts_and_waits(run: Run, fake: FakeServer) -> None:
    following(fake)
    fake.on("POST /stacks/httpd/scale", views.promotion())
    outcome = run("scale", "-a", "httpd", "web=2", "worker=0")
    assert (outcome.code, outcome.out) == (0, ENDING)
    assert fake.requests("POST /stacks/httpd/scale")[0].json == {"counts": {"web": 2, "worker": 0}}


@pytest.mark.parametrize("word", ["web", "web=", "=3", "web=two", "web=-1", "web=²"])
def test_a_wrong_count_is_told_how_to_be_written(run: Run, home: Path, word: str) -> None:
    outcome = run("scale", word)
    assert outcome.code == 2
    assert (
        outcome.err
        == f'ERROR: "{word}" is not an App and a count.\n  Write it as in: portway scale web=5\n'
    )


def test_restart_names_the_app_it_was_given(run: Run, fake: FakeServer) -> None:
    following(fake)
    fake.on("POST /stacks/httpd/restart", views.promotion())
    assert run("restart", "web", "-a", "httpd").out == ENDING
    assert fake.requests("POST /stacks/httpd/restart")[0].json == {"app": "web"}


def test_rollback_says_where_it_goes_back_to(run: Run, fake: FakeServer) -> None:
    following(fake)
    fake.on("POST /stacks/httpd/rollback", views.promotion())
    assert run("rollback", "-a", "httpd").out == "Rolling back to release RUAENUMAQBS\n" + ENDING
    assert fake.requests("POST /stacks/httpd/rollback")[0].json == {"to": ""}


def test_promote_deploys_a_release_that_exists(run: Run, fake: FakeServer) -> None:
    following(fake)
    fake.on(
        "POST /stacks/httpd/releases/RUAENUMAQBS/promote",
        views.promotion(removed=["old"], unchanged=["db"]),
    )
    outcome = run("promote", "RUAENUMAQBS", "-a", "httpd")
    assert outcome.out == "Removed: old\nUnchanged: db\n" + ENDING


def test_cancel_waits_until_nothing_moves(run: Run, fake: FakeServer) -> None:
    following(fake)
    fake.on("POST /stacks/httpd/cancel", views.promotion(release=views.OLD_RELEASE))
    moving = [[views.instance(1, phase="draining")], [views.instance(1)]]
    fake.on("GET /instances", lambda _: moving.pop(0) if len(moving) > 1 else moving[0])
    outcome = run("cancel", "-a", "httpd")
    assert outcome.code == 0
    assert outcome.out.startswith(
        f"The deployment of httpd is cancelled; returning to release {views.OLD_RELEASE}.\n  web.1.7  draining\n"
    )


def test_cancel_of_a_first_deployment_says_that_what_it_had_started_is_stopped(
    run: Run, fake: FakeServer
) -> None:
    fake.on("POST /stacks/httpd/cancel", views.promotion(release=""))
    said = run("cancel", "-a", "httpd", "--no-wait").out
    assert "nothing ran before it, so what it had started is stopped." in said


def test_releases_are_listed_newest_first_with_the_active_one_marked(
    run: Run, fake: FakeServer
) -> None:
    old = views.release(
        id=views.OLD_RELEASE,
        active=False,
        created_at_ms=NOW_MS - 86_400_000,
        description="first",
        status="failed",
    )
    fake.on("GET /stacks/httpd/releases", [views.release(), old])
    assert run("releases", "-a", "httpd").out == (
        "ID           CREATED        STATUS  APPS  DESCRIPTION\n"
        "RUAENUMAQBS  3 minutes ago  active  web\n"
        "RBKPDQEGDUX  1 day ago      failed  web   first\n"
    )


def test_without_releases_there_is_none_to_show(run: Run, fake: FakeServer) -> None:
    fake.on("GET /stacks/httpd/releases", [])
    refused = run("releases", "info", "-a", "httpd")
    assert refused.code == 2
    assert "httpd has no releases yet." in refused.err


def test_one_release_is_shown_with_its_manifest(run: Run, fake: FakeServer) -> None:
    fake.on(
        "GET /stacks/httpd/releases/RUAENUMAQBS", views.release(manifest="web:\n  image: httpd\n")
    )
    fake.on(
        "GET /stacks/httpd/releases", [views.release(id="RNEWER", active=False), views.release()]
    )
    shown = run("releases", "info", "RUAENUMAQBS", "-a", "httpd").out
    assert run("releases", "info", "-a", "httpd").out == shown
    assert shown == (
        "Id           RUAENUMAQBS\n"
        "Stack        httpd\n"
        "Created      3 minutes ago\n"
        "Status       active\n"
        "Apps         web\n"
        "Description  (none)\n"
        "Manifest     docker-compose.yml\n"
        "\n"
        "web:\n"
        "  image: httpd\n"
    )


def test_variables_are_listed_sorted(run: Run, fake: FakeServer) -> None:
    fake.on(
        "GET /stacks/httpd/environment", {"stack": "httpd", "environment": {"B": "2", "A": "x=y"}}
    )
    for words in (("env",), ("env", "list"), ("env", "get")):
        assert run(*words, "-a", "httpd").out == "A=x=y\nB=2\n"


def test_one_variable_is_its_bare_value(run: Run, fake: FakeServer) -> None:
    fake.on("GET /stacks/httpd/environment", {"stack": "httpd", "environment": {"KEY": "x=y"}})
    assert run("env", "get", "KEY", "-a", "httpd").out == "x=y\n"
    outcome = run("env", "get", "KYE", "-a", "httpd")
    assert outcome.code == 2
    assert outcome.err.startswith('ERROR: httpd has no variable "KYE". Did you mean "KEY"?')


def test_setting_a_variable_says_how_to_deploy_it(run: Run, fake: FakeServer) -> None:
    changed = {"stack": "httpd", "environment": {"A": "1"}, "release": "RNEWNEWNEWN"}
    fake.on("PATCH /stacks/httpd/environment", changed)
    assert run("env", "set", "A=1", "URL=a=b", "-a", "httpd").out == (
        "Updating environment... OK\nTo deploy these changes run `portway promote RNEWNEWNEWN -a httpd`\n"
    )
    assert fake.asked[0].json == {"set": {"A": "1", "URL": "a=b"}, "unset": []}


def test_unsetting_with_promote_deploys_at_once(run: Run, fake: FakeServer) -> None:
    following(fake)
    fake.on(
        "PATCH /stacks/httpd/environment",
        {"stack": "httpd", "environment": {}, "release": "RNEWNEWNEWN"},
    )
    fake.on("POST /stacks/httpd/releases/RNEWNEWNEWN/promote", views.promotion())
    outcome = run("env", "unset", "A", "--promote", "-a", "httpd")
    assert outcome.out == "Updating environment... OK\nPromoting RNEWNEWNEWN\n" + ENDING
    assert fake.asked[0].json == {"set": {}, "unset": ["A"]}


def test_a_word_that_is_no_variable_is_refused(run: Run, home: Path) -> None:
    assert run("env", "set", "A").code == 2
    assert "portway env set KEY=VALUE" in run("env", "set", "=1").err


def test_certificates_are_listed(run: Run, fake: FakeServer) -> None:
    certificate = {
        "name": "httpd-web-8443-1", "target": "web:8443", "stack": "httpd", "domains": ["a.example", "b.example"],
        "expires_at_ms": NOW_MS + 90 * 86_400_000, "fingerprint": "ab", "self_signed": True,
    }  # fmt: skip
    expired = {**certificate, "name": "old", "expires_at_ms": NOW_MS - 60_000, "self_signed": False}
    fake.on("GET /stacks/httpd/certificates", [certificate, expired])
    assert run("ssl", "-a", "httpd").out == (
        "TARGET    NAME              DOMAINS                             EXPIRES\n"
        "web:8443  httpd-web-8443-1  a.example, b.example (self-signed)  3 months from now\n"
        "web:8443  old               a.example, b.example                expired 1 minute ago\n"
    )


def test_a_certificate_is_sent_as_pem_text(run: Run, fake: FakeServer, workdir: Path) -> None:
    (workdir / "my.crt").write_text("CERT")
    (workdir / "my.key").write_text("KEY")
    for verb, method in (("create", "POST"), ("update", "PUT")):
        fake.on(f"{method} /stacks/httpd/certificates", {})
        outcome = run("ssl", verb, "web:8443", "my.crt", "my.key", "-a", "httpd")
        assert outcome.code == 0
        assert outcome.out.endswith(" SSL listener web:8443... Done.\n")
        assert fake.asked[-1].method == method
        assert fake.asked[-1].json == {
            "target": "web:8443",
            "certificate_pem": "CERT",
            "key_pem": "KEY",
        }


def test_a_self_signed_certificate_needs_no_files(run: Run, fake: FakeServer) -> None:
    fake.on("POST /stacks/httpd/certificates", {})
    assert run("ssl", "create", "web:8443", "--self-signed", "-a", "httpd").code == 0
    assert fake.asked[0].json == {"target": "web:8443", "certificate_pem": "", "key_pem": ""}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("web", "--self-signed"), '"web" is not an App and one of its listener ports.'),
        (("web:443",), "A certificate needs two files"),
        (("web:443", "a.crt", "a.key", "--self-signed"), "exclude each other"),
        (
            ("web:443", "none.crt", "none.key"),
            "none.crt cannot be read: No such file or directory.",
        ),
    ],
)
def test_wrong_certificate_words_are_told_before_the_server_is_asked(
    run: Run, fake: FakeServer, words: tuple[str, ...], said: str
) -> None:
    outcome = run("ssl", "create", *words, "-a", "httpd")
    assert outcome.code == 2
    assert said in outcome.err
    assert fake.asked == []


def test_a_certificate_is_deleted_by_target_and_name(run: Run, fake: FakeServer) -> None:
    fake.on("DELETE /stacks/httpd/certificates", {})
    assert run("ssl", "delete", "web:443", "--name", "old", "-a", "httpd").out == (
        "Deleting SSL listener web:443... Done.\n"
    )
    assert fake.asked[0].query == {"target": ["web:443"], "name": ["old"]}


def test_log_lines_stand_behind_the_name_of_their_instance(run: Run, fake: FakeServer) -> None:
    lines = [("web.1.7", "one"), ("worker.10.3", "two"), ("web.1.7", "three")]
    fake.on(
        "GET /stacks/httpd/logs",
        Lines([{"instance": i, "at_ms": 1, "stream": "stdout", "text": t} for i, t in lines]),
    )
    assert run("logs", "-a", "httpd").out == (
        "web.1.7 | one\nworker.10.3 | two\nweb.1.7     | three\n"
    )


def test_no_log_lines_at_all_are_explained_beside_the_output(run: Run, fake: FakeServer) -> None:
    fake.on("GET /stacks/httpd/logs", Lines([]))
    outcome = run("logs", "-a", "httpd")
    assert (outcome.code, outcome.out) == (0, "")
    assert "What runs now has written nothing" in outcome.err
    assert "portway why APP -a httpd" in outcome.err


@pytest.mark.parametrize(
    ("source", "query"),
    [
        ("web", {"app": ["web"]}),
        ("web.1", {"instance": ["web.1"]}),
        ("web.1.7", {"instance": ["web.1.7"]}),
    ],
)
def test_logs_tell_an_app_from_an_instance(
    run: Run, fake: FakeServer, source: str, query: dict[str, list[str]]
) -> None:
    fake.on("GET /stacks/httpd/logs", Lines([]))
    run("logs", source, "-f", "-n", "0", "-a", "httpd")
    assert fake.asked[0].query == {**query, "follow": ["1"], "tail": ["0"]}


def test_events_are_lines_with_their_time_and_subject(
    run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    import time

    time.tzset()
    fake.on(
        "GET /events",
        Lines(
            [views.event(1), views.event(2, kind="release.active", message="done", instance_id="")]
        ),
    )
    outcome = run("events", "-a", "httpd")
    assert outcome.out == (
        "2027-01-15 08:00:00  instance.started        httpd: web.1.7 started\n"
        "2027-01-15 08:00:00  release.active          httpd/web: done\n"
    )
    assert fake.asked[0].query == {"after": ["-1"], "stack": ["httpd"], "limit": ["50"]}


def test_a_stack_is_named_where_the_message_only_looks_as_if_it_did() -> None:
    event = converted(views.event(1, stack="h", message="web.1.7 is healthy"), Event)
    assert event_line(event).endswith("  h: web.1.7 is healthy")


def test_following_events_goes_on_after_the_newest_one_shown(run: Run, fake: FakeServer) -> None:
    fake.on("GET /events", lambda asked: Lines([views.event(9 if "follow" in asked.query else 8)]))
    outcome = run("events", "-f", "-a", "httpd", "--json")
    assert [json.loads(line)["sequence"] for line in outcome.out.splitlines()] == [8, 9]
    assert fake.asked[1].query == {"after": ["8"], "stack": ["httpd"], "follow": ["1"]}


def test_run_prints_both_streams_and_ends_with_the_commands_exit_code(
    run: Run, fake: FakeServer
) -> None:
    out = {"instance": "web.0.9", "at_ms": 1, "stream": "stdout", "text": "hello"}
    fake.on(
        "POST /stacks/httpd/apps/web/run",
        Lines([out, {**out, "stream": "stderr", "text": "oh"}, {"exit_code": 3}]),
    )
    outcome = run("run", "-a", "httpd", "web", "sh", "-c", "echo hello; exit 3")
    assert (outcome.code, outcome.out, outcome.err) == (3, "hello\n", "oh\n")
    assert fake.asked[0].json == {"argv": ["sh", "-c", "echo hello; exit 3"]}


def test_a_run_without_an_exit_code_is_a_failure(run: Run, fake: FakeServer) -> None:
    fake.on("POST /stacks/httpd/apps/web/run", Lines([]))
    assert run("run", "-a", "httpd", "web", "true").code == 1
    assert "Missing argument 'COMMAND...'" in run("run", "-a", "httpd", "web", "--").err


def test_the_map_wraps_nothing_when_plain_and_shows_what_is_not_ready(
    run: Run, fake: FakeServer
) -> None:
    internal = views.route(
        app="redis", exposure="internal", url="tcp://127.0.0.1:10001", service_port=10001,
        endpoints=[views.endpoint(1, slot_name="redis.1", container_port=6379, state="starting")],
    )  # fmt: skip
    note = "UDP is published by the engine, not balanced"
    udp = views.route(
        app="dns", exposure="host", url="", service_port=0, endpoints=[], note=note, protocol="udp"
    )
    fake.on("GET /map", [views.route(), internal, udp])
    assert run("map", "-a", "httpd").out == (
        "  http://127.0.0.1:8000/  ->  web                127.0.0.1:31004 -> web.1:80   127.0.0.1:31005 -> web.2:80\n"
        "  tcp://127.0.0.1:10001   ->  redis (internal)   127.0.0.1:31004 -> redis.1:6379 (starting)\n"
        "  -                       ->  dns (host)\n"
        f"      {note}\n"
    )


def test_the_map_of_every_stack_is_headed_by_their_names(run: Run, fake: FakeServer) -> None:
    fake.on("GET /map", [views.route(), views.route(stack="shop", endpoints=[])])
    assert run("map").out == (
        "httpd\n"
        "  http://127.0.0.1:8000/  ->  web   127.0.0.1:31004 -> web.1:80   127.0.0.1:31005 -> web.2:80\n"
        "shop\n"
        "  http://127.0.0.1:8000/  ->  web   no instance is ready\n"
    )


def test_the_plan_shows_every_port_and_why(run: Run, fake: FakeServer, workdir: Path) -> None:
    (workdir / "docker-compose.yml").write_text("services:\n  web:\n    image: httpd\n")
    fake.on("GET /version", {"version": "0.1.0"})
    web = {
        "app": "web", "action": "create", "why": "it does not run yet", "count": 2, "notes": ["expect a gap"],
        "ports": [
            views.port(address="", why="public listener, as written; host ports 31004, 31005 leased"),
            views.port(name="53", container_port=53, host_port=53, service_port=0, protocol="udp", exposure="host", why="UDP"),
        ],
    }  # fmt: skip
    same = {"app": "db", "action": "unchanged", "why": "release R already runs this", "count": 1}
    fake.on("POST /stacks/httpd/plan", {"stack": "httpd", "changes": [web, same]})
    assert run("plan", "-a", "httpd").out == (
        "web: create (2 instances): it does not run yet\n"
        "  PORT  LISTENER  HOST   CONTAINER  EXPOSURE  WHY\n"
        "  80    *:8000    31004  80/tcp     public    public listener, as written; host ports 31004, 31005 leased\n"
        "  53    none      53     53/udp     host      UDP\n"
        "  note: expect a gap\n"
        "\n"
        "db: unchanged (1 instance): release R already runs this\n"
        "\n"
        "httpd: 1 to create, 1 unchanged. Nothing has been done.\n"
    )
    fake.on(
        "POST /stacks/httpd/plan", {"stack": "httpd", "changes": [same], "refused": "it is paused"}
    )
    assert "A deploy would be refused now: it is paused\n" in run("plan", "-a", "httpd").out


def test_the_version_is_told_with_and_without_a_server(run: Run, fake: FakeServer) -> None:
    fake.on("GET /version", {"version": "9.9.9", "api": "v1"})
    from portway import __version__

    assert run("version").out == f"Client  {__version__}\nServer  9.9.9\n"
    assert json.loads(run("version", "--json").out) == {"client": __version__, "server": "9.9.9"}


def test_the_version_without_a_server(run: Run, home: Path) -> None:
    assert run("version").out.endswith("Server  not running\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(run: Run, home: Path, shell: str) -> None:
    outcome = run("completion", shell)
    assert outcome.code == 0
    assert "_PORTWAY_COMPLETE" in outcome.out


def test_completion_offers_stacks_by_asking_the_server(home: Path, fake: FakeServer) -> None:
    from tests.cli.test_main import portway_completes

    fake.on("GET /stacks", [views.stack(), views.stack(name="shop")])
    assert portway_completes(home, "portway ps -a h", 3) == ["httpd"]


def test_completion_offers_variables_and_certificate_targets_of_the_stack_named_anywhere(
    home: Path, fake: FakeServer
) -> None:
    from tests.cli.test_main import portway_completes

    fake.on("GET /stacks/shop/environment", {"stack": "shop", "environment": {"A": "1", "B": "2"}})
    fake.on("GET /stacks/shop/certificates", [{"target": "web:443"}, {"target": "web:443"}])
    assert portway_completes(home, "portway env unset -a shop ", 5) == ["A", "B"]
    assert portway_completes(home, "portway ssl -a shop delete w", 5) == ["web:443"]


def test_completion_without_a_server_offers_nothing_and_says_nothing(home: Path) -> None:
    from tests.cli.test_main import portway_completes

    assert portway_completes(home, "portway ps -a h", 3) == []


def test_deleting_now_asks_for_no_draining(run: Run, fake: FakeServer) -> None:
    fake.on("GET /stacks/httpd", views.stack())
    fake.on("DELETE /stacks/httpd", views.promotion())
    assert run("apps", "delete", "httpd", "--yes", "--now", "--no-wait").code == 0
    assert run("apps", "delete", "httpd", "--yes", "--no-wait").code == 0
    asked = fake.requests("DELETE /stacks/httpd")
    assert [one.query for one in asked] == [{"drain": ["0"]}, {}]
