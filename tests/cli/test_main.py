from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from portway.cli.main import COMMANDS, cli
from tests.cli import views
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer, Refusal


def portway(*words: str, home: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portway.cli", *words],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PORTWAY_HOME": str(home)},
        check=False,
        **options,  # type: ignore[arg-type]
    )


def test_help_lists_every_command(run: Run) -> None:
    outcome = run("--help")
    listed = [line.split()[0] for line in outcome.out.splitlines() if line.startswith("  ")]
    assert outcome.code == 0
    assert set(COMMANDS) <= set(listed)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    outcome = run(name, "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage: portway {name}")


def test_help_of_the_program_reads_no_command(home: Path) -> None:
    code = (
        "import sys; from portway.cli.main import main; main(['--help']); "
        "print([m for m in sys.modules if m in ('yaml', 'msgspec', 'asyncio', 'botocore', 'portway.cli.ps')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_listing_instances_loads_neither_yaml_nor_asyncio(home: Path, fake: FakeServer) -> None:
    fake.on("GET /instances", [])
    code = (
        "import sys; from portway.cli.main import main; main(['ps', '--all']); "
        "print([m for m in sys.modules if m in ('yaml', 'asyncio', 'portway.manifests.compose', 'websockets', "
        "'botocore', 'cryptography', 'sqlalchemy', 'starlette', 'portway.controller.loop')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True,
        env={**os.environ, "PORTWAY_HOME": str(home)},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_mistyped_command_gets_its_likely_meaning(run: Run) -> None:
    outcome = run("deplyo")
    assert outcome.code == 2
    assert outcome.err == (
        'ERROR: There is no command "deplyo". Did you mean "deploy"?\n  See `portway --help`.\n'
    )


def test_no_server_is_said_with_what_to_do(run: Run, home: Path) -> None:
    outcome = run("apps")
    assert outcome.code == 1
    assert outcome.err == (
        f"ERROR: No portway server is running (nothing answers at {home}/portway.sock).\n"
        "  Start one with `portway server start`; `portway deploy` starts one by itself.\n"
    )


def test_a_stale_socket_counts_as_no_server(run: Run, home: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(home / "portway.sock"))
    assert "No portway server is running" in run("apps").err


@pytest.mark.parametrize(("status", "code"), [(404, 2), (409, 2), (422, 2), (500, 1), (503, 1)])
def test_a_refusal_is_the_servers_sentence_and_its_hint(
    run: Run, fake: FakeServer, status: int, code: int
) -> None:
    error = {"status": status, "message": "There is no stack \"htpd\".", "hint": "Did you mean \"httpd\"?", "problems": []}  # fmt: skip
    fake.on("GET /stacks/htpd", Refusal(status, error))
    outcome = run("apps", "info", "htpd")
    assert outcome.code == code
    assert outcome.err == 'ERROR: There is no stack "htpd".\n  Did you mean "httpd"?\n'


def test_an_answer_that_is_no_json_is_no_traceback(run: Run, fake: FakeServer) -> None:
    fake.on("GET /stacks", b"<html>")
    outcome = run("apps")
    assert (outcome.code, outcome.err) == (
        1,
        "ERROR: The portway server answered with something that is not JSON.\n",
    )


def test_an_answer_of_another_version_is_said_to_be_one(run: Run, fake: FakeServer) -> None:
    fake.on("GET /stacks", [{"name": "httpd"}])
    outcome = run("apps")
    assert outcome.code == 1
    assert "same version" in outcome.err


def test_an_unforeseen_error_is_kept_in_the_log_and_no_traceback_is_shown(
    run: Run, home: Path, fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("portway.cli.client.Client.ask", fail)
    outcome = run("apps")
    assert outcome.code == 1
    assert outcome.err == (
        "ERROR: This is a mistake in portway itself: ZeroDivisionError: by zero\n"
        f"  The details are in {home}/cli.log. What runs goes on running. Please report it.\n"
    )
    assert "Traceback" in (home / "cli.log").read_text()


def test_an_interrupt_is_tidy(run: Run, fake: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("portway.cli.client.Client.ask", interrupt)
    outcome = run("apps")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "\n")


def test_a_closed_pipe_is_silent(home: Path, fake: FakeServer) -> None:
    fake.on("GET /instances", [views.instance(1) for _ in range(5000)])
    child = subprocess.Popen(
        [sys.executable, "-m", "portway.cli", "ps", "--all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PORTWAY_HOME": str(home)},
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.wait(timeout=30) == 141
    assert child.stderr.read() == b""
    child.stderr.close()


def test_plain_output_has_no_colours(home: Path, fake: FakeServer) -> None:
    fake.on("GET /instances", [views.instance(1)])
    assert "\x1b" not in portway("ps", "--all", home=home).stdout


def test_the_home_may_be_given_as_an_option(home: Path, fake: FakeServer, tmp_path: Path) -> None:
    fake.on("GET /stacks", [])
    done = portway("--home", str(home), "apps", "--json", home=tmp_path)
    assert (done.returncode, json.loads(done.stdout)) == (0, [])


def test_the_line_in_the_overview_is_the_commands_own(home: Path) -> None:
    import click

    context = click.Context(cli)
    for name, entry in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert entry.help, name
        assert command.name == name


def portway_completes(home: Path, words: str, position: int) -> list[str]:
    """What bash would be offered for the word at `position`."""
    variables = {
        "_PORTWAY_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(position),
    }
    done = subprocess.run(
        [sys.executable, "-m", "portway.cli"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PORTWAY_HOME": str(home), **variables},
        check=False,
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]
