from __future__ import annotations

import io
import os
import socket
import tarfile
from pathlib import Path

import pytest

from portway.cli.context import (
    check_context,
    context_stream,
    dockerfile_in_context,
)
from portway.core.app import Build
from portway.core.errors import RequestError


def contents(build: Build) -> dict[str, tarfile.TarInfo]:
    data = io.BytesIO(b"".join(context_stream(build)))
    with tarfile.open(fileobj=data) as tar:
        return {member.name: member for member in tar.getmembers()}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("print(1)\n")
    return tmp_path


def test_files_keep_their_content_mode_and_links(context: Path) -> None:
    script = context / "run.sh"
    script.write_bytes(b"x" * 1000)
    script.chmod(0o755)
    (context / "link").symlink_to("src/app.py")
    found = contents(Build(context=str(context)))
    assert set(found) == {"Dockerfile", "src", "src/app.py", "run.sh", "link"}
    assert (found["run.sh"].size, found["run.sh"].mode) == (1000, 0o755)
    assert found["link"].linkname == "src/app.py"


def test_the_dockerfile_goes_along_even_when_it_is_ignored(context: Path) -> None:
    (context / ".dockerignore").write_text("*\n")
    assert set(contents(Build(context=str(context)))) == {"Dockerfile", ".dockerignore"}


def test_a_dockerfile_of_its_own_name_may_have_its_own_ignore_file(context: Path) -> None:
    (context / "other.Dockerfile").write_text("FROM scratch\n")
    (context / "other.Dockerfile.dockerignore").write_text("src\n")
    build = Build(context=str(context), dockerfile="other.Dockerfile")
    assert "src/app.py" not in contents(build)
    assert dockerfile_in_context(build) == "other.Dockerfile"


def test_what_an_exception_keeps_is_found_inside_an_ignored_directory(context: Path) -> None:
    (context / "src" / "other.py").write_text("")
    (context / ".dockerignore").write_text("src\n!src/app.py\n")
    found = contents(Build(context=str(context)))
    assert "src/app.py" in found
    assert "src/other.py" not in found


def test_a_dockerfile_outside_the_context_is_sent_under_another_name(context: Path) -> None:
    build = Build(context=str(context / "src"), dockerfile="../Dockerfile")
    assert set(contents(build)) == {"app.py", ".portway-dockerfile"}
    assert dockerfile_in_context(build) == ".portway-dockerfile"


def test_sockets_and_pipes_are_left_out(context: Path) -> None:
    os.mkfifo(context / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        directory = os.open(context, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{directory}/socket")
        os.close(directory)
    assert not {"pipe", "socket"} & set(contents(Build(context=str(context))))


def test_a_missing_context_or_dockerfile_names_the_app(context: Path) -> None:
    with pytest.raises(
        RequestError, match="web is built from .*/nowhere, which is not a directory"
    ):
        check_context(Build(context=str(context / "nowhere")), app="web")
    with pytest.raises(
        RequestError, match="web is built from .*/src/Dockerfile, which does not exist"
    ):
        check_context(Build(context=str(context / "src")), app="web")
