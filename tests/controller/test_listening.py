"""Where an instance listens, read from real processes; and the sentence about it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from portway.controller.listening import Wanted, explain, why_unreachable

INSIDE = Wanted(name="web", address="172.18.0.2", port_number=80, is_container=True)
PROCESS = Wanted(name="web", address="127.0.0.1", port_number=31004, is_container=False)
SERVER = """
import socket, subprocess, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); s.set_inheritable(True)
print(s.getsockname()[1], flush=True); sys.stdin.read()
"""


@contextmanager
def listening_process() -> Iterator[tuple[int, int]]:
    """A process in a session of its own, and the port it listens on."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline())


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "172.18.0.2"])
def test_what_listens_where_it_should_needs_no_explanation(address: str):
    assert explain([(address, 80)], INSIDE) == ""


def test_a_container_that_listens_only_on_its_loopback_is_told_so():
    assert explain([("127.0.0.1", 80)], INSIDE) == (
        "web listens on 127.0.0.1:80 inside its container: make it listen on 0.0.0.0:80, "
        "for 127.0.0.1 is its own and nobody else's"
    )


def test_a_container_that_listens_on_another_port_is_told_which():
    assert explain([("0.0.0.0", 9090)], INSIDE) == (
        "web listens on 0.0.0.0:9090 inside its container: make it listen on 0.0.0.0:80, "
        "or map 9090 (the right number of its port in the manifest)"
    )


def test_another_port_on_the_loopback_needs_both_mended():
    said = explain([("127.0.0.1", 9090)], INSIDE)
    assert said.startswith("web listens on 127.0.0.1:9090 inside its container: ")
    assert "or map 9090" in said
    assert said.endswith("and make it listen there on 0.0.0.0")


def test_a_port_others_reach_is_proposed_before_one_on_the_loopback():
    assert "map 9090" in explain([("127.0.0.1", 1234), ("0.0.0.0", 9090)], INSIDE)


def test_a_container_that_listens_nowhere_is_told_where_to():
    assert explain([], INSIDE) == (
        "web listens on no TCP port inside its container: make it listen on 0.0.0.0:80"
    )


def test_a_container_that_obeys_port_is_told_that_it_is_the_hosts():
    told = replace(INSIDE, host_ports=(31004,))
    assert explain([("127.0.0.1", 31004)], told) == (
        "web listens on 127.0.0.1:31004 inside its container: that is its port on the host, which "
        "$PORT and $HOST tell it; set PORT: 80 and HOST: 0.0.0.0 in its environment"
    )


def test_a_process_is_reminded_of_its_port_variable():
    assert explain([("0.0.0.0", 9090)], PROCESS) == (
        "web listens on 0.0.0.0:9090: make it listen on $PORT (31004 here)"
    )


def test_a_process_may_listen_on_the_loopback():
    assert explain([("127.0.0.1", 31004)], PROCESS) == ""


def test_only_the_sockets_of_the_process_count_where_the_network_is_shared():
    with socket.socket() as ours, listening_process() as (pid, number):
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        said = why_unreachable({"pid": str(pid)}, PROCESS)
    assert f"web listens on 127.0.0.1:{number}: " in said


def test_a_pid_that_is_not_of_the_container_explains_nothing():
    with listening_process() as (pid, _):
        assert why_unreachable({"pid": str(pid), "container": "0123456789ab"}, INSIDE) == ""


@pytest.mark.parametrize("details", [{}, {"pid": ""}, {"pid": "4194999"}])
def test_what_cannot_be_seen_is_not_guessed(details: dict[str, str]):
    assert why_unreachable(details, INSIDE) == ""
