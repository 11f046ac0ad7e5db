"""`portway doctor`: what it prints and how it ends."""

from __future__ import annotations

import json

import pytest

from portway.controller.machine.base import Finding, error, note, ok, warning
from tests.cli import views
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the checks are made to find."""
    findings: list[Finding] = []
    monkeypatch.setattr("portway.cli.doctor.examine", lambda _ground: tuple(findings))
    return findings


def test_every_finding_is_a_line_with_its_fix_below(run: Run, found: list[Finding]) -> None:
    found += [ok("clock", "the clock is sane"), warning("disk", "it is full", "make room")]
    outcome = run("doctor")
    assert outcome.out == (
        "ok       clock  the clock is sane\n"
        "warning  disk   it is full\n"
        "                Fix: make room\n"
        "\n"
        "1 warning.\n"
    )
    assert outcome.code == 0


def test_an_error_is_exit_code_one_and_a_warning_is_not(run: Run, found: list[Finding]) -> None:
    found += [note("a", "so"), warning("b", "so")]
    assert run("doctor").code == 0
    found.append(error("c", "so"))
    outcome = run("doctor")
    assert outcome.code == 1
    assert outcome.out.endswith("1 error, 1 warning, 1 note.\n")


def test_a_machine_without_fault_is_told_so(run: Run, found: list[Finding]) -> None:
    found.append(ok("a", "so"))
    assert run("doctor").out.endswith("Nothing stands in the way.\n")


def test_json_is_a_list_of_findings(run: Run, found: list[Finding]) -> None:
    found.append(error("c", "so", "do"))
    outcome = run("doctor", "--json")
    assert json.loads(outcome.out) == [
        {"check": "c", "severity": "error", "text": "so", "fix": "do"}
    ]
    assert outcome.code == 1


def test_the_running_server_is_asked_what_ails_it(run: Run, fake: FakeServer) -> None:
    fake.on("GET /server", views.server(problems=["store: the disk is full"]))
    outcome = run("doctor")
    assert "the server has a problem: store: the disk is full" in outcome.out
    assert outcome.code == 1
