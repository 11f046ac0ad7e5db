"""Secrets of task definitions are files of the home's own folder, and nothing outside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from portway.controller.secret_files import SIZE_MAX_BYTES, SecretFiles
from portway.core.errors import RequestError

SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"


@pytest.fixture
def files(tmp_path: Path) -> SecretFiles:
    folder = tmp_path / "secrets"
    (folder / "prod").mkdir(parents=True)
    (folder / "plain").write_text("s3cret\n")
    (folder / "prod" / "db").write_text('{"user": "u", "max": 3}')
    (tmp_path / "outside").write_text("never")
    (folder / "link").symlink_to(tmp_path / "outside")
    return SecretFiles(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("plain", "s3cret"),
        ("/prod/db", '{"user": "u", "max": 3}'),
        (f"{SECRET}prod/db-AbCdEf:user::", "u"),
        (f"{SECRET}prod/db-AbCdEf:max::", "3"),
    ],
)
def test_a_secret_is_what_its_file_holds(files: SecretFiles, name: str, value: str) -> None:
    assert files.read([name]) == {name: value}


@pytest.mark.parametrize(
    "name", ["none", "../outside", "prod/../../outside", "link", "plain/x", "", ".", "a\0b", "/"]
)
def test_what_is_not_in_the_folder_is_not_there(files: SecretFiles, name: str) -> None:
    assert files.read([name]) == {}


def test_without_a_home_there_are_no_secrets() -> None:
    assert SecretFiles(None).read(["plain"]) == {}


def test_a_file_that_cannot_be_used_is_told_without_what_it_holds(
    files: SecretFiles, tmp_path: Path
) -> None:
    (tmp_path / "secrets" / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "secrets" / "large").write_bytes(b"x" * (SIZE_MAX_BYTES + 1))
    for name in ("bytes", "large", "prod", f"{SECRET}plain-AbCdEf:key::", f"{SECRET}prod/db-AbCdEf:no::"):  # fmt: skip
        with pytest.raises(RequestError) as error:
            files.read([name])
        assert "s3cret" not in str(error.value)
        assert error.value.hint
