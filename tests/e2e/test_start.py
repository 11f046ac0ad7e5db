"""`portway start`: a project in the foreground, its ports as written, and nothing of it left afterwards."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.e2e.machine import PORTWAY, Machine, free_port, get, until

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(120)]

docker = pytest.mark.docker
UP = "Ctrl-C stops it."


@dataclass
class Started:
    """A `portway start` that runs, and what it said so far."""

    machine: Machine
    child: subprocess.Popen[bytes]

    @property
    def said(self) -> str:
        return (self.machine.directory / "out.txt").read_text()

    @property
    def lines(self) -> list[str]:
        return self.said.splitlines()

    def says(self, text: str) -> None:
        def heard() -> bool:
            assert self.child.poll() is None or text in self.said, self.said
            return text in self.said

        until(heard, why=f"{text!r} is said")

    def interrupt(self) -> None:
        self.child.send_signal(signal.SIGINT)

    def ends(self) -> int:
        return self.child.wait(timeout=60)


@contextmanager
def started(machine: Machine, *words: str) -> Iterator[Started]:
    """Start it, and see to it that it ends."""
    with (machine.directory / "out.txt").open("wb") as out:
        child = subprocess.Popen(
            [str(PORTWAY), "start", *words],
            cwd=machine.directory,
            env=machine.environment({"PORTWAY_STACK": stack_of(machine)}),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Started(machine, child)
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            child.send_signal(signal.SIGINT)
            child.wait(timeout=60)


def stack_of(machine: Machine) -> str:
    """A name that no other test running on this machine uses."""
    return machine.home.name.replace("_", "-")


def check_nothing_is_left(machine: Machine) -> None:
    """No file in its home, no process, no container or network of its stack."""
    words = ["--filter", f"label=portway.stack={stack_of(machine)}", "--format", "{{.ID}}"]
    found = [str(path) for path in machine.home.rglob("*")]
    found += [f"process {pid}" for pid in machine.processes()]
    for listing in (["docker", "ps", "-a", *words], ["docker", "network", "ls", *words]):
        if machine.engine == "docker":
            done = subprocess.run(listing, capture_output=True, text=True, check=True)
            found += done.stdout.split()
    assert found == []
    machine.home.rmdir()


def secure_get(url: str) -> str:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with urllib.request.urlopen(url, context=context, timeout=5) as answer:
        return answer.read().decode()


def manifest(image: str, plain: int, secure: int) -> str:
    return f"""
services:
  web:
    image: {image}
    command: ["sh", "-c", "mkdir /www; echo hello > /www/index.html; httpd -p 80 -h /www; trap 'echo bye; exit 0' TERM; echo ready; while true; do sleep 0.1; done"]
    ports: ["{plain}:80", "{secure}:80"]
    labels:
      convox.port.{secure}.protocol: https
      convox.start.shift: 1
  deaf:
    image: {image}
    command: ["sh", "-c", "trap '' TERM; while true; do sleep 0.1; done"]
    stop_grace_period: 90s
  other:
    image: {image}
    command: ["sh", "-c", "echo other; exec httpd -f -p 80"]
"""


@docker
def test_ports_are_as_written_and_shifted_https_answers_and_a_second_interrupt_kills_what_will_not_stop(
    machine: Machine, image: str
):
    plain, secure = free_port(), free_port()
    machine.manifest(manifest(image, plain - 4000, secure - 4000))
    with started(machine, "--shift", "3999") as run:
        run.says(UP)
        assert "web.1   | ready" in run.lines
        assert "deaf.1  | " not in run.said
        assert f"portway | {stack_of(machine)} is running: release R" in run.said
        assert f"http://127.0.0.1:{plain}/" in run.said
        assert get(f"http://127.0.0.1:{plain}/") == "hello\n"
        assert secure_get(f"https://127.0.0.1:{secure}/") == "hello\n"
        with socket.create_connection(("127.0.0.1", plain)) as idle:
            idle.sendall(b"GET / HTTP/1.1\r\n")  # a request that never ends keeps nothing waiting
            run.interrupt()
            run.says("web.1   | bye")
        run.interrupt()
        assert run.ends() == 0
    check_nothing_is_left(machine)


@docker
def test_what_a_killed_start_left_is_removed_by_the_next(machine: Machine, image: str):
    plain, secure = free_port(), free_port()
    machine.manifest(manifest(image, plain - 1, secure - 1))
    with started(machine, "web", "other") as run:
        run.says(UP)
        os.kill(run.child.pid, signal.SIGKILL)
        run.ends()
    assert get(f"http://127.0.0.1:{plain}/") == "hello\n", "it is still there"
    with started(machine, "web") as again:
        again.says(UP)
        assert again.lines[0].startswith("Removing what an earlier `portway start` of ")
        assert "other" not in again.said, "only the service asked for runs"
        assert get(f"http://127.0.0.1:{plain}/") == "hello\n"
        again.interrupt()
        assert again.ends() == 0
    check_nothing_is_left(machine)


@docker
def test_an_app_that_cannot_run_ends_it_with_the_reason_and_nothing_is_left(
    machine: Machine, image: str
):
    machine.manifest(f"""
services:
  web: {{image: "{image}", ports: ["{free_port()}:80"], stop_signal: SIGKILL}}
  bad: {{image: "{image}", entrypoint: ["/nosuch"]}}
""")
    with started(machine) as run:
        assert run.ends() == 1
    assert "ERROR: bad could not be deployed: release R" in run.said
    assert "nosuch" in run.said
    assert "Traceback" not in run.said
    check_nothing_is_left(machine)


@docker
def test_a_build_that_fails_ends_it_with_what_the_build_said(machine: Machine):
    machine.write("Dockerfile", "FROM scratch\nCOPY nothing /there\n")
    machine.manifest(f"services:\n  web:\n    build: .\n    ports: ['{free_port()}:80']\n")
    with started(machine) as run:
        assert run.ends() == 1
    assert "portway |   Step 2/2 : COPY nothing /there" in run.lines
    assert "could not be built" in run.said
    assert "Correct the Dockerfile" in run.said
    check_nothing_is_left(machine)


PLAIN = """
services:
  web:
    command: exec python3 -u -m http.server $PORT --bind 127.0.0.1
    ports: ["{listener}:80"]
  worker:
    command: echo working; exec sleep 1000
  crasher:
    command: sleep 1.5; echo oh no; exit 3
"""


def test_processes_run_with_output_side_by_side_and_one_that_crashes_stops_no_other(
    processes: Machine,
):
    listener = free_port()
    processes.manifest(PLAIN.format(listener=listener))
    with started(processes) as run:
        run.says(UP)
        assert "worker.1  | working" in run.lines
        run.says("crasher.1 | oh no")
        run.says("portway   | crasher.1.1 failed: it exited with code 3")
        assert "Directory listing" in get(f"http://127.0.0.1:{listener}/")
        run.interrupt()
        assert run.ends() == 0
    check_nothing_is_left(processes)


def test_killed_processes_are_cleaned_up_though_another_start_runs(processes: Machine):
    first, second = free_port(), free_port()
    processes.manifest(PLAIN.format(listener=first))
    with started(processes, "web") as killed:
        killed.says(UP)
        os.kill(killed.child.pid, signal.SIGKILL)
        killed.ends()
    processes.manifest(PLAIN.format(listener=second))
    with started(processes, "web", "-a", "alive") as alive:
        alive.says(UP)
        assert get(f"http://127.0.0.1:{first}/") == "", "nothing of the killed one is left"
        refused = processes.refused("start", "web", code=2)
        assert f"web: {second} is held by " in refused
        assert get(f"http://127.0.0.1:{second}/")
        alive.interrupt()
        assert alive.ends() == 0
    check_nothing_is_left(processes)


def test_when_nobody_reads_any_more_everything_is_removed(processes: Machine):
    processes.manifest(PLAIN.format(listener=free_port()))
    done = subprocess.run(
        f"{PORTWAY} start web worker | head -n 1; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        cwd=processes.directory,
        env=processes.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 141
    assert done.stderr == ""
    check_nothing_is_left(processes)
