"""`portway token`: a text shown once, a list without texts, and no server needed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Run


def test_a_token_is_shown_once_and_listed_without_its_text(run: Run, home: Path) -> None:
    made = run("token", "create", "ci", "--role", "deploy")
    text = made.out.strip()
    assert text.startswith("portway-deploy-")
    assert "Its role is deploy." in made.err
    assert "every request over TCP needs a token" in made.err
    assert run("token").out == "NAME  ROLE    CREATED\nci    deploy  just now\n"
    assert text not in run("token", "list", "--json").out
    assert "every request" not in run("token", "create", "second").err


def test_a_token_can_be_revoked_by_its_name(run: Run) -> None:
    assert run("token").out == "There are no tokens.\n"
    text = json.loads(run("token", "create", "ci", "--json").out)
    assert (text["name"], text["role"]) == ("ci", "read")
    run("token", "create", "second")
    assert run("token", "revoke", "second").out == "second is revoked.\n"
    last = run("token", "revoke", "ci").out
    assert last.startswith("ci is revoked.\nNo token is left: over TCP nothing is let in")
    again = run("token", "revoke", "ci")
    assert again.code == 2
    assert "There is no token called ci" in again.err


def test_a_folder_that_cannot_be_written_is_a_sentence(run: Run, home: Path) -> None:
    (home / "tokens").write_text("in the way")
    outcome = run("token", "create", "ci")
    assert outcome.code == 2
    assert "cannot be used" in outcome.err
