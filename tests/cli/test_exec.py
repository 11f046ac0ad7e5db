from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, unix_serve

from tests.cli.conftest import Run

Session = Callable[[ServerConnection, dict[str, Any]], None]


@contextmanager
def executing(home: Path, session: Session) -> Iterator[list[str]]:
    """A server whose exec is `session`, given the first message; the paths asked for are kept."""
    paths: list[str] = []

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        paths.append(connection.request.path)
        try:
            session(connection, json.loads(connection.recv()))
        except ConnectionClosed:
            return

    with unix_serve(handle, str(home / "portway.sock")) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield paths
        finally:
            server.shutdown()
            thread.join()


def execute(home: Path, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "portway.cli", "exec", "-a", "httpd", *words],
        input=given,
        capture_output=True,
        timeout=30,
        env={**os.environ, "PORTWAY_HOME": str(home)},
        check=False,
    )


def frames_until_end(connection: ServerConnection) -> bytes:
    data = b""
    while (frame := connection.recv())[0] != 1:
        assert isinstance(frame, bytes)
        assert frame[0] == 0
        data += frame[1:]
    return data


def test_input_goes_in_both_outputs_come_out_and_the_exit_code_is_its_own(home: Path) -> None:
    first: list[dict[str, Any]] = []

    def session(connection: ServerConnection, message: dict[str, Any]) -> None:
        first.append(message)
        data = frames_until_end(connection)
        connection.send(b"\x01" + data.upper())
        connection.send(b"\x02oh\n")
        connection.send(b"\x01")
        connection.send(b'\x03{"exit_code": 7}')

    given = b"x\x00y\xff" * 50_000
    with executing(home, session) as paths:
        done = execute(home, "web.1/side", "--", "cat", "-n", "--", "-a", given=given)
    assert (done.returncode, done.stdout, done.stderr) == (7, given.upper(), b"oh\n")
    assert paths == ["/v1/stacks/httpd/instances/web.1/exec"]
    assert first[0]["argv"] == ["cat", "-n", "--", "-a"]
    assert first[0]["container"] == "side"
    assert first[0]["tty"] is False
    assert first[0]["rows"] > 0
    assert first[0]["columns"] > 0


def test_it_ends_with_the_command_even_while_input_is_open(home: Path) -> None:
    def session(connection: ServerConnection, _: dict[str, Any]) -> None:
        connection.send(b'\x03{"exit_code": 0}')

    with executing(home, session):
        child = subprocess.Popen(
            [sys.executable, "-m", "portway.cli", "exec", "-a", "httpd", "web.1", "true"],
            stdin=subprocess.PIPE,
            env={**os.environ, "PORTWAY_HOME": str(home)},
        )
        assert child.stdin is not None
        try:
            assert child.wait(timeout=30) == 0
        finally:
            child.kill()
            child.wait()
            child.stdin.close()


def test_a_refusal_is_the_servers_sentence(home: Path) -> None:
    def session(connection: ServerConnection, _: dict[str, Any]) -> None:
        error = {
            "status": 404,
            "message": "There is no instance web.9.",
            "hint": "See portway ps.",
            "problems": [],
        }
        connection.send(b"\x04" + json.dumps({"error": error}).encode())

    with executing(home, session):
        done = execute(home, "web.9", "true")
    assert done.returncode == 2
    assert done.stderr == b"ERROR: There is no instance web.9.\n  See portway ps.\n"


def test_a_session_cut_short_is_a_failure(home: Path) -> None:
    with executing(home, lambda connection, _: connection.close(1012)):
        done = execute(home, "web.1", "true")
    assert done.returncode == 1
    assert done.stderr.startswith(b"ERROR: The server ")


def test_without_a_server_exec_says_so(run: Run, home: Path) -> None:
    assert "No portway server is running" in run("exec", "-a", "httpd", "web.1", "true").err


def test_with_a_terminal_at_both_ends_one_is_opened_inside_and_given_back_as_it_was(
    home: Path,
) -> None:
    import pty
    import termios

    first: list[dict[str, Any]] = []

    def session(connection: ServerConnection, message: dict[str, Any]) -> None:
        first.append(message)
        connection.send(b"\x01$ ")
        typed = connection.recv()
        connection.send(b"\x01" + (typed[1:] if isinstance(typed, bytes) else b""))
        connection.send(b'\x03{"exit_code": 0}')

    outer, inner = pty.openpty()
    before = termios.tcgetattr(inner)
    with executing(home, session):
        child = subprocess.Popen(
            [sys.executable, "-m", "portway.cli", "exec", "-a", "httpd", "web.1", "sh"],
            stdin=inner,
            stdout=inner,
            stderr=subprocess.PIPE,
            env={**os.environ, "PORTWAY_HOME": str(home)},
        )
        try:
            shown = b""
            while b"$ " not in shown:
                shown += os.read(outer, 1024)
            os.write(outer, b"\x03")  # raw: Ctrl-C is the command's, not ours
            assert child.wait(timeout=30) == 0
        finally:
            child.kill()
            child.wait()
            assert child.stderr is not None
            child.stderr.close()
    assert termios.tcgetattr(inner) == before
    os.close(outer)
    os.close(inner)
    assert first[0]["tty"] is True
