"""`portway convert`: files in, a file out, and what was lost beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run

COMPOSE = "services: {web: {image: x, mem_limit: 64m, ports: ['8000:80'], stop_signal: SIGQUIT}}\n"


@pytest.fixture(autouse=True)
def directory(workdir: Path) -> Path:
    (workdir / "docker-compose.yml").write_text(COMPOSE)
    return workdir


def test_a_compose_file_becomes_one_ecs_file_that_can_be_read_again(
    run: Run, directory: Path
) -> None:
    done = run("convert", "--to", "ecs")
    document = json.loads(done.out)
    assert [t["family"] for t in document["taskDefinitions"]] == ["web"]
    assert "web: stop_signal: SIGQUIT becomes SIGTERM" in done.err
    (directory / "all.json").write_text(done.out)
    assert "8000:80" in run("convert", "all.json", "--to", "compose").out


def test_what_is_lost_is_named_as_its_file_names_it(run: Run, directory: Path) -> None:
    app = {"id": "/web", "cmd": "sleep 1", "backoffFactor": 2, "killSelection": "OLDEST_FIRST"}
    (directory / "app.json").write_text(json.dumps(app))
    told = run("convert", "app.json", "--to", "compose").err
    assert "web: backoffSeconds: is left out: compose has none" in told
    assert "web: killSelection: " in told
    assert "kill_oldest" not in told


def test_strict_writes_nothing_where_something_is_lost(run: Run, directory: Path) -> None:
    done = run("convert", "--to", "ecs", "--strict", "-o", "out.json")
    assert done.code == 2
    assert done.out == ""
    assert "1 field cannot be said in ecs, so nothing is written." in done.err
    assert not (directory / "out.json").exists()


def test_a_file_that_is_there_is_not_overwritten(run: Run, directory: Path) -> None:
    run("convert", "--to", "compose", "-o", "out.yml")
    assert "8000:80" in (directory / "out.yml").read_text()
    assert "out.yml is there already" in run("convert", "--to", "ecs", "-o", "out.yml").err
    told = run("convert", "--to", "ecs", "-o", "none/out.yml").err
    assert "cannot be written" in told


def test_a_compose_file_becomes_one_marathon_app_that_can_be_read_again(
    run: Run, directory: Path
) -> None:
    done = run("convert", "--to", "marathon", "-a", "shop")
    assert json.loads(done.out)["container"]["portMappings"][0]["servicePort"] == 8000
    assert "network_mode: stack becomes bridge" in done.err
    (directory / "app.json").write_text(done.out)
    assert "8000:80" in run("convert", "app.json", "--to", "compose").out
