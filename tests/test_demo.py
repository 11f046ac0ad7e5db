"""`make demo`: the story is told without a failed request, twice, and taken away without a trace."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import ROOT, Machine, until

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(180)]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(
        home=Path(tempfile.mkdtemp(prefix="pw")),
        directory=tmp_path,
        engine="process",
        # The demo also removes the images it built: not those of whoever runs this test.
        variables={"DOCKER_HOST": f"unix://{tmp_path}/no-docker.sock"},
    )
    yield made
    made.close()


def demo(machine: Machine, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "demo.py"), *words],
        env=machine.environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    return done.returncode, said


def test_the_demo_works_twice_drops_nothing_and_is_removed_without_a_trace(machine: Machine):
    first, second = demo(machine, "--engine", "process"), demo(machine, "--engine", "process")
    for code, said in (first, second):
        assert code == 0, said
        assert "\n0 of " in said
        assert "make clean-demo" in said
    assert _url(first[1]) == _url(second[1])
    code, said = demo(machine, "--remove")
    assert code == 0
    assert "process is deleted." in said
    until(lambda: not machine.processes(), deadline_s=20, why="no process is left")
    assert demo(machine, "--remove") == (0, "Nothing of the demo is there.\n")


def _url(said: str) -> str:
    return next(line for line in said.splitlines() if line.startswith("$ curl "))


def test_the_demo_says_who_has_its_port_and_takes_another(machine: Machine):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8000))
            taken.listen()
        except OSError:
            pass  # somebody else has it, which serves as well
        code, said = demo(machine, "--engine", "process")
    assert code == 0, said
    assert "Port 8000 is held by " in said
    assert "$ curl http://127.0.0.1:8000/" not in said


def test_the_demo_explains_a_server_with_another_engine_and_changes_nothing(machine: Machine):
    machine.start_server()
    code, said = demo(machine, "--engine", "docker")
    assert code == 1
    assert "with the engine process, not docker" in said
    assert f"--home {machine.home} server stop" in said
    assert machine.json("apps") == []


def test_a_stack_of_the_users_own_is_neither_replaced_nor_removed(machine: Machine):
    machine.manifest("services:\n  web:\n    command: sleep 1000\n")
    machine.ok("deploy", "-a", "process")
    code, said = demo(machine, "--engine", "process")
    assert code == 1
    assert "was not made from examples/process" in said
    code, said = demo(machine, "--remove")
    assert code == 0
    assert "so it stays" in said
    assert [stack["name"] for stack in machine.json("apps")] == ["process"]
