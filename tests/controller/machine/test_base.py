"""What the checks look at for real: programs, disks, a daemon's socket."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from portway.config import Config
from portway.controller.machine.base import (
    NOT_THERE,
    ask_docker,
    docker_host_of,
    room_of,
    run_program,
)


def test_a_program_that_is_not_there_is_told_from_one_that_fails():
    assert run_program(["no-such-program-at-all"]).code == NOT_THERE
    assert run_program(["false"]).code == 1
    assert run_program(["echo", "hello"]).output == "hello\n"


def test_the_disk_of_a_directory_to_be_made_is_that_of_the_one_above(tmp_path: Path):
    assert room_of(tmp_path / "a/b/c").total_bytes == room_of(tmp_path).total_bytes


def test_a_daemon_that_is_not_there_is_a_phrase():
    assert ask_docker("unix:///nowhere.sock", "/version") == "there is no unix:///nowhere.sock"


def test_a_daemon_that_answers_nonsense_is_a_phrase():
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = f"tcp://127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")

        thread = threading.Thread(target=answer)
        thread.start()
        said = ask_docker(where, "/version")
        thread.join()
    assert said == f"{where} cannot be asked (JSONDecodeError)"


def test_the_setting_comes_before_the_variable_and_the_usual_socket(tmp_path: Path):
    config = Config(home=tmp_path, docker_host="tcp://a:1")
    assert docker_host_of(config, {"DOCKER_HOST": "tcp://b:2"}) == "tcp://a:1"
    bare = Config(home=tmp_path)
    assert docker_host_of(bare, {"DOCKER_HOST": "tcp://b:2"}) == "tcp://b:2"
    assert docker_host_of(bare, {}) == "unix:///var/run/docker.sock"
