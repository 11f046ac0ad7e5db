"""`portway aws`: what a client needs, as a shell, a program and ~/.aws/config read it; no server needed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli import views
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer


def test_credentials_are_made_once_and_printed_for_a_shell(run: Run, home: Path) -> None:
    first = run("aws", "credentials").out
    lines = dict(line.removeprefix("export ").split("=", 1) for line in first.splitlines())
    assert lines["AWS_ACCESS_KEY_ID"].startswith("AKIA")
    assert lines["AWS_REGION"] == lines["AWS_DEFAULT_REGION"] == "us-east-1"
    assert run("aws", "credentials").out == first
    assert len(list((home / "aws-keys").iterdir())) == 1


def test_credentials_tell_the_region_and_the_address_of_the_server_that_runs(
    run: Run, fake: FakeServer
) -> None:
    fake.on("GET /server", views.server(aws_region="eu-west-1", listen="127.0.0.1:9999"))
    told = run("aws", "credentials").out
    assert "AWS_REGION=eu-west-1" in told
    assert "AWS_ENDPOINT_URL=http://127.0.0.1:9999" in told


def test_credentials_are_json_and_a_profile_too(run: Run) -> None:
    given = json.loads(run("aws", "credentials", "--json").out)
    profile = run("aws", "credentials", "--profile", "local").out
    assert profile.splitlines()[:2] == [
        "[profile local]",
        f"aws_access_key_id = {given['AWS_ACCESS_KEY_ID']}",
    ]
    assert f"endpoint_url = {given['AWS_ENDPOINT_URL']}" in profile
    assert run("aws", "credentials", "--profile", "default").out.startswith("[default]\n")


def test_further_keys_are_made_listed_and_revoked(run: Run) -> None:
    assert "There are no access keys" in run("aws", "keys").out
    assert "with the role read" in run("aws", "keys", "create", "ci").out
    (listed,) = json.loads(run("aws", "keys", "--json").out)
    assert (listed["name"], listed["role"]) == ("ci", "read")
    assert "secret" not in listed
    assert listed["access_key_id"] in run("aws", "credentials", "ci").out
    assert "ci" in run("aws", "keys").out
    assert "is revoked" in run("aws", "keys", "revoke", "ci").out
    gone = run("aws", "credentials", "ci")
    assert gone.code == 2
    assert "There is no access key called ci" in gone.err


def test_a_folder_that_cannot_be_written_is_a_sentence(run: Run, home: Path) -> None:
    (home / "aws-keys").write_text("in the way")
    outcome = run("aws", "credentials")
    assert outcome.code == 2
    assert "cannot be used" in outcome.err
