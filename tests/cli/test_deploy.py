from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli import views
from tests.cli.conftest import Run
from tests.cli.fake_server import Asked, FakeServer, Lines, Refusal

MANIFEST = "services:\n  web:\n    image: httpd\n    ports:\n      - 8000:80\n"
RELEASES = "POST /stacks/httpd/releases"
PROMOTE = f"POST /stacks/httpd/releases/{views.RELEASE}/promote"


def in_turn(*answers: Any) -> Callable[[Asked], Any]:
    """Each answer once, the last one for ever."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def promoted(fake: FakeServer, *stacks: Any) -> None:
    """A server that promotes, and whose stack then looks like `stacks` one after another."""
    fake.on("GET /version", {"version": "0.1.0", "api": "v1"})
    fake.on("GET /server", views.server())
    fake.on(RELEASES, views.release())
    fake.on(PROMOTE, views.promotion())
    fake.on("GET /stacks/httpd", in_turn(*stacks))
    fake.on("GET /events", Lines([], open_end=True))
    fake.on("GET /map", [views.route()])
    fake.on("GET /instances", [views.instance(1), views.instance(2)])


def deploying(**changes: Any) -> dict[str, Any]:
    running = views.deployment(status="running", ended_at_ms=None, **changes)
    return views.stack(status="deploying", apps=[views.app(status="deploying", deployment=running)])


@pytest.fixture
def manifest(workdir: Path) -> Path:
    path = workdir / "docker-compose.yml"
    path.write_text(MANIFEST)
    return path


def test_a_deploy_shows_its_progress_and_ends_with_where_to_reach_it(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    promoted(
        fake,
        deploying(started=1, healthy=0, old=2),
        deploying(started=2, healthy=1, old=2),
        views.stack(),
    )
    outcome = run("deploy", "-a", "httpd")
    assert outcome.out == (
        "Deploying httpd\n"
        "Release RUAENUMAQBS\n"
        "  web  1/2 started, 0/2 healthy, 2 old\n"
        "  web  2/2 started, 1/2 healthy, 2 old\n"
        "  web  2/2 healthy, done\n"
        "httpd is running: release RUAENUMAQBS, 2/2 healthy\n"
        "  http://127.0.0.1:8000/  ->  web   127.0.0.1:31004 -> web.1:80   127.0.0.1:31005 -> web.2:80\n"
    )
    assert (outcome.code, outcome.err) == (0, "")


def test_what_it_waits_for_and_events_of_note_are_shown(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    promoted(
        fake,
        deploying(started=0, healthy=0, reason="web.1.7 exited with 1; next try in 4 s"),
        views.stack(),
    )
    moved = views.event(42, kind="port.moved", message="web.1.7 moves from 31004 to 31006")
    fake.on("GET /events", Lines([views.event(41), moved], open_end=True))
    outcome = run("deploy", "-a", "httpd")
    assert (
        "  web  0/2 started, 0/2 healthy, waiting: web.1.7 exited with 1; next try in 4 s\n"
        in outcome.out
    )
    assert "  web.1.7 moves from 31004 to 31006\n" in outcome.out
    assert "web.1.7 started" not in outcome.out


def test_a_failed_deploy_says_why_with_the_last_lines_and_what_still_runs(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    reason = "web.1.9 exited with code 1 at once\nlast lines:\n  no such file: app.py"
    failed = views.deployment(status="failed", reason=reason, started=0, healthy=0)
    promoted(fake, views.stack(apps=[views.app(status="running", deployment=failed)]))
    fake.on("GET /instances", [views.instance(n, release=views.OLD_RELEASE) for n in (1, 2)])
    outcome = run("deploy", "-a", "httpd")
    assert outcome.code == 1
    assert outcome.err == (
        "ERROR: web could not be deployed: release RUAENUMAQBS failed.\n"
        "  web.1.9 exited with code 1 at once\n"
        "  last lines:\n"
        "    no such file: app.py\n"
        "Still running:\n"
        f"  web  release {views.OLD_RELEASE}, 2 healthy\n"
    )
    assert "is running" not in outcome.out


def test_apps_taken_back_with_the_one_that_failed_are_named_apart(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    failed = views.deployment(status="failed", reason="no")
    cancelled = views.deployment(id="D2", app="worker", status="cancelled", reason="web failed")
    apps = [views.app(deployment=failed), views.app(name="worker", deployment=cancelled)]
    promoted(fake, views.stack(apps=apps))
    begun = [
        views.deployment(status="running"),
        views.deployment(id="D2", app="worker", status="running"),
    ]
    fake.on(PROMOTE, views.promotion(deployments=begun))
    fake.on("GET /instances", [])
    outcome = run("deploy", "-a", "httpd")
    assert outcome.err.count("ERROR") == 1
    assert outcome.err.endswith("Taken back with it: worker\nNothing of it is running.\n")


def test_a_second_deploy_at_once_gets_the_servers_sentence(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    promoted(fake, views.stack())
    error = {
        "status": 409,
        "message": "Another deployment of httpd is under way.",
        "hint": "Wait for it.",
    }
    fake.on(PROMOTE, Refusal(409, error))
    outcome = run("deploy", "-a", "httpd")
    assert outcome.code == 2
    assert outcome.err == "ERROR: Another deployment of httpd is under way.\n  Wait for it.\n"


def test_without_waiting_it_ends_once_the_deployment_has_begun(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    promoted(fake, deploying())
    outcome = run("deploy", "-a", "httpd", "--no-wait")
    assert outcome.code == 0
    assert outcome.out.endswith("httpd is changing to release RUAENUMAQBS; not waiting for it.\n")


def test_json_prints_the_promotion_with_its_deployments_ended(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    promoted(fake, views.stack())
    outcome = run("deploy", "-a", "httpd", "--json")
    assert json.loads(outcome.out) == {
        **views.promotion(deployments=[views.deployment()]),
        "receipt": None,
    }


def test_old_instances_that_only_have_to_end_are_told_of_and_left_out_of_the_map(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    promoted(fake, views.stack(apps=[views.app(deployment=views.deployment(old=1))]))
    fake.on("GET /map", [views.route(endpoints=[views.endpoint(1), views.endpoint(2, state="stopping")])])  # fmt: skip
    outcome = run("deploy", "-a", "httpd")
    assert outcome.out.endswith(
        "  http://127.0.0.1:8000/  ->  web   127.0.0.1:31004 -> web.1:80\n"
        "1 old instance is still ending.\n"
    )


def test_it_waits_for_the_end_of_the_old_ones_where_it_is_asked_to(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    promoted(fake, views.stack())
    leaving = [views.instance(1), views.instance(3, phase="stopping")]
    fake.on("GET /instances", in_turn(leaving, [views.instance(1)]))
    assert run("deploy", "-a", "httpd", "--until-gone").code == 0
    assert len(fake.requests("GET /instances")) == 2


def test_another_deployment_in_its_place_is_no_success(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    promoted(fake, views.stack(apps=[views.app(deployment=views.deployment(id="D9"))]))
    outcome = run("deploy", "-a", "httpd")
    assert outcome.code == 1
    assert "another deployment took the place of release RUAENUMAQBS" in outcome.err


def test_it_waits_until_the_release_is_the_active_one(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    promoted(fake, views.stack(status="deploying", release=views.OLD_RELEASE), views.stack())
    outcome = run("deploy", "-a", "httpd")
    assert "httpd is running: release RUAENUMAQBS" in outcome.out


def test_force_is_passed_on(run: Run, fake: FakeServer, manifest: Path) -> None:
    promoted(fake, views.stack())
    run("deploy", "-a", "httpd", "--force")
    assert fake.requests(PROMOTE)[0].json == {"force": True}


def test_only_variables_the_manifest_names_are_sent_and_the_shell_wins_over_dotenv(
    run: Run, fake: FakeServer, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workdir / "docker-compose.yml").write_text(
        "services:\n  web:\n    image: httpd:${TAG}\n    labels: ['a=${COLOUR}']\n    env_file: web.env\n"
    )
    (workdir / ".env").write_text("TAG=1\nCOLOUR=red\nSECRET=x\n")
    (workdir / "web.env").write_text("A=1\n")
    monkeypatch.setenv("TAG", "2")
    promoted(fake, views.stack())
    run("deploy", "-a", "httpd")
    body = fake.requests(RELEASES)[0].json
    assert body["variables"] == {"TAG": "2", "COLOUR": "red"}
    assert body["files"] == {"web.env": "A=1\n"}
    assert body["directory"] == str(workdir)
    assert body["manifest_name"] == "docker-compose.yml"


def test_a_wrong_manifest_is_told_before_the_server_is_asked_to_do_anything(
    run: Run, fake: FakeServer, workdir: Path
) -> None:
    (workdir / "docker-compose.yml").write_text(
        "services:\n  web:\n    image: httpd\n    ports:\n      - 80/tcp/udp\n      - 0:80\n"
    )
    outcome = run("deploy")
    assert outcome.code == 2
    lines = outcome.err.splitlines()
    assert lines[0] == "ERROR: The manifest cannot be used: 2 problems."
    assert lines[1].startswith("  docker-compose.yml:5:9: services.web.ports[0]: ")
    assert any(line.startswith("  docker-compose.yml:6:9: ") for line in lines)
    assert all(asked.path.endswith("/environment") for asked in fake.asked)


def test_a_directory_without_a_manifest_is_told_what_was_looked_for(run: Run, home: Path) -> None:
    outcome = run("deploy")
    assert outcome.code == 2
    assert outcome.err.startswith(
        "ERROR: There is no manifest in this directory: it has none of docker-compose.yml, "
    )


def test_a_missing_image_is_pulled_once_and_the_release_made_again(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    promoted(fake, views.stack())
    missing = {
        "message": "web: there is no image httpd here",
        "hint": "Pull it.",
        "code": "image_missing",
        "image": "httpd",
    }
    fake.on(RELEASES, in_turn(Refusal(422, missing), views.release()))
    fake.on(
        "POST /pulls", Lines([{"text": "Downloading"}, {"text": "Pulled", "image": "sha256:1"}])
    )
    outcome = run("deploy", "-a", "httpd")
    assert outcome.code == 0
    assert "Pulling httpd...\n" in outcome.out
    assert fake.requests("POST /pulls")[0].json == {"image": "httpd"}


def test_an_image_that_cannot_be_pulled_is_the_servers_sentence(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    promoted(fake, views.stack())
    missing = {"message": "no image", "code": "image_missing", "image": "httpd"}
    fake.on(RELEASES, Refusal(422, missing))
    error = {
        "status": 503,
        "message": "The image httpd could not be pulled.",
        "hint": "Is its name right?",
    }
    fake.on("POST /pulls", Lines([{"error": error}]))
    outcome = run("deploy", "-a", "httpd")
    assert outcome.code == 1
    assert outcome.err == "ERROR: The image httpd could not be pulled.\n  Is its name right?\n"
    assert not fake.requests(PROMOTE)


def test_what_has_a_build_is_built_from_its_context_once_for_equal_builds(
    run: Run, fake: FakeServer, workdir: Path
) -> None:
    (workdir / "docker-compose.yml").write_text(
        "services:\n"
        "  web:\n    build: {context: ., args: {V: '1 2'}}\n"
        "  worker:\n    build: {context: ., args: {V: '1 2'}}\n"
    )
    (workdir / "Dockerfile").write_text("FROM scratch\n")
    (workdir / "secret").write_text("s")
    (workdir / ".dockerignore").write_text("secret\n")
    promoted(fake, views.stack())
    built = Lines(
        [{"text": "Step 1/1 : FROM scratch", "image": ""}, {"text": "Built", "image": "sha256:9"}]
    )
    fake.on("POST /stacks/httpd/builds", built)
    outcome = run("deploy", "-a", "httpd")
    (build,) = fake.requests("POST /stacks/httpd/builds")
    with tarfile.open(fileobj=io.BytesIO(build.body)) as tar:
        assert sorted(tar.getnames()) == [".dockerignore", "Dockerfile", "docker-compose.yml"]
    assert build.query == {"app": ["web"], "dockerfile": ["Dockerfile"], "arg": ["V=1 2"]}
    assert build.content_type == "application/x-tar"
    assert fake.requests(RELEASES)[0].json["images"] == {"web": "sha256:9", "worker": "sha256:9"}
    assert "Building web...\n  Step 1/1 : FROM scratch\n" in outcome.out


def test_a_failing_build_is_the_servers_sentence_and_nothing_is_released(
    run: Run, fake: FakeServer, workdir: Path
) -> None:
    (workdir / "docker-compose.yml").write_text("services:\n  web:\n    build: .\n")
    (workdir / "Dockerfile").write_text("FROM scratch\nRUN false\n")
    promoted(fake, views.stack())
    error = {"status": 503, "message": "The build of web failed: RUN false.", "hint": "exit code 1"}
    fake.on("POST /stacks/httpd/builds", Lines([{"text": "Step 1/2"}, {"error": error}]))
    outcome = run("deploy", "-a", "httpd")
    assert (outcome.code, outcome.err) == (
        1,
        "ERROR: The build of web failed: RUN false.\n  exit code 1\n",
    )
    assert not fake.requests(RELEASES)


def test_a_context_without_its_dockerfile_is_told_before_the_server_is_asked_to_do_anything(
    run: Run, fake: FakeServer, workdir: Path
) -> None:
    (workdir / "docker-compose.yml").write_text("services:\n  web:\n    build: .\n")
    outcome = run("deploy")
    assert outcome.code == 2
    assert outcome.err.startswith(
        f"ERROR: web is built from {workdir}/Dockerfile, which does not exist."
    )
    assert all(asked.path.endswith("/environment") for asked in fake.asked)


def test_the_process_engine_builds_nothing(run: Run, fake: FakeServer, workdir: Path) -> None:
    (workdir / "docker-compose.yml").write_text(
        "services:\n  web:\n    build: .\n    command: ./run\n"
    )
    (workdir / "Dockerfile").write_text("FROM scratch\n")
    promoted(fake, views.stack())
    fake.on("GET /server", views.server(engine="process"))
    assert run("deploy", "-a", "httpd").code == 0
    assert not fake.requests("POST /stacks/httpd/builds")


def test_the_stack_is_named_by_the_manifest_else_by_the_directory(
    run: Run, fake: FakeServer, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.on("GET /version", {"version": "0.1.0"})
    fake.on("GET /server", views.server())
    for expected, prepare in (
        ("work", lambda: None),
        ("shop", lambda: manifest.write_text("name: shop\n" + MANIFEST)),
        ("other", lambda: monkeypatch.setenv("PORTWAY_STACK", "other")),
    ):
        prepare()
        run("deploy")
        assert fake.asked[-1].path == f"/stacks/{expected}/releases"


def test_what_stays_unhealthy_is_not_called_running(
    run: Run, fake: FakeServer, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portway.cli.follow._HEAL_MAX_S", 0.0)
    blocked = views.app(healthy=1, status="degraded", blocked="31004 is held by redis (process 7)")
    promoted(fake, views.stack(status="degraded", apps=[blocked]))
    fake.on(PROMOTE, views.promotion(deployments=[], unchanged=["web"]))
    outcome = run("deploy", "-a", "httpd")
    assert outcome.code == 1
    assert "httpd is degraded: release RUAENUMAQBS, 1/2 healthy\n" in outcome.out
    assert outcome.err == "WARNING: web: 31004 is held by redis (process 7)\n"


@pytest.mark.parametrize("name", ["docker-compose.yml", ".env"])
def test_text_that_is_not_utf8_is_refused_with_its_place(
    run: Run, workdir: Path, name: str
) -> None:
    (workdir / "docker-compose.yml").write_text(MANIFEST)
    (workdir / name).write_bytes(b"# one\n# caf\xe9\n")
    outcome = run("deploy")
    assert outcome.code == 2
    assert f"{name}:2:6: the file is not UTF-8 text (byte 0xe9)" in outcome.err
    assert "Save it in the encoding UTF-8." in outcome.err
