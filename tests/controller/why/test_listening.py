"""Where an instance listens, read from real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from portway.controller.why.listening import is_frozen, look_inside
from portway.core.app import Protocol
from portway.core.facts import Listening
from tests.e2e.machine import until

SERVER = """
import socket, sys
t = socket.socket(); t.bind(("127.0.0.1", 0)); t.listen()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(("127.0.0.1", 0))
print(t.getsockname()[1], u.getsockname()[1], flush=True); sys.stdin.read()
"""


@contextmanager
def listening_process() -> Iterator[tuple[int, int, int]]:
    """A process in a session of its own, and the TCP and UDP ports it listens on."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        tcp, udp = process.stdout.readline().split()
        yield process.pid, int(tcp), int(udp)


def test_only_the_sockets_of_the_process_count_where_the_network_is_shared():
    with socket.socket() as ours, listening_process() as (pid, tcp, udp):
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        found = look_inside({"pid": str(pid)})
    expected = {
        Listening(address="127.0.0.1", port_number=tcp),
        Listening(address="127.0.0.1", port_number=udp, protocol=Protocol.UDP),
    }
    assert set(found or ()) == expected


def test_a_pid_that_is_not_of_the_container_explains_nothing():
    with listening_process() as (pid, _, _):
        assert look_inside({"pid": str(pid), "container": "0123456789ab"}) is None


@pytest.mark.parametrize("details", [{}, {"pid": ""}, {"pid": "4194999"}])
def test_what_cannot_be_seen_is_not_guessed(details: dict[str, str]):
    assert look_inside(details) is None
    assert not is_frozen(details)


def test_a_stopped_process_is_frozen_until_it_goes_on():
    with listening_process() as (pid, _, _):
        details = {"pid": str(pid)}
        assert not is_frozen(details)
        os.kill(pid, signal.SIGSTOP)
        try:
            until(lambda: is_frozen(details))
        finally:
            os.kill(pid, signal.SIGCONT)
        until(lambda: not is_frozen(details))
