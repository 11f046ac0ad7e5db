"""Who is at a port of this machine, from the kernel and from what portway holds."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from portway.controller.why.addresses import (
    bound_at,
    instance_at,
    lease_at,
    listener_at,
    told_lease,
    told_listener,
    told_own,
)
from portway.core.app import Exposure, Protocol
from tests.controller.inprocess import Portway, compose

VIRTUAL_TIME = True
NOWHERE = Path("/nowhere")


def test_everybody_who_listens_on_a_port_is_named_with_address_and_protocol():
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        number = tcp.getsockname()[1]
        udp.bind(("127.0.0.2", number))
        found = bound_at(number, balancer_directory=NOWHERE, docker_socket=NOWHERE)
    assert [(one.listening.address, one.listening.protocol) for one in found] == [
        ("127.0.0.1", Protocol.TCP),
        ("127.0.0.2", Protocol.UDP),
    ]
    assert all(one.holder == f"portway itself (pid {os.getpid()})" for one in found)
    assert not any(one.is_balancer for one in found)


def test_the_balancer_is_known_by_its_directory(tmp_path: Path):
    """As `haproxy -C DIRECTORY` has it on its command line; this process has its first argument there."""
    own = Path(Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode())
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        number = tcp.getsockname()[1]
        mine = bound_at(number, balancer_directory=own, docker_socket=NOWHERE)
        other = bound_at(number, balancer_directory=tmp_path, docker_socket=NOWHERE)
    assert [one.is_balancer for one in (*mine, *other)] == [True, False]


def test_nobody_is_at_a_free_port():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert bound_at(closed.getsockname()[1], balancer_directory=NOWHERE) == ()


async def test_a_listener_a_lease_and_an_instance_are_found_by_their_numbers(
    portway: Portway,
) -> None:
    await portway.deploy("shop", compose(web="image: web; ports: ['80:8080']"))
    found = listener_at(portway.world, "127.0.0.1", 80)
    assert found is not None
    assert (found[0].app_id, found[2]) == ("shop/web", Exposure.PUBLIC)
    [record] = portway.app("shop/web").live
    [lease] = record.identity.leases
    held = lease_at(portway.world, lease.host_port)
    assert held is not None
    assert (held[1].id, held[2]) == ("shop/web.1.1", 8080)
    assert listener_at(portway.world, "127.0.0.1", 81) is None
    assert lease_at(portway.world, 81) is None
    assert instance_at(portway.world, "203.0.113.7") is None


def test_what_portway_has_there_is_said_in_words():
    internal = told_listener("shop/web", exposure=Exposure.INTERNAL)
    assert (internal.what, internal.is_listener, internal.is_internal) == (
        "the listener of shop/web",
        True,
        True,
    )
    assert told_lease("shop/web.1.7", 80).what == (
        "the host port of shop/web.1.7 (its container port 80)"
    )
    own = told_own("127.0.0.1:8080", 8080)
    assert own is not None
    assert own.what == "portway's own HTTP API"
    assert told_own("", 8080) is told_own("127.0.0.1:8080", 80) is None
