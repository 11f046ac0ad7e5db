"""Reading the kernel's sockets: the two ways agree, and every line of /proc/net is understood."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from portway.controller.ports.kernel_sockets import (
    KernelSocket,
    processes_with_sockets,
    read_sockets,
    with_port,
)
from portway.core.ports import PortRange
from tests.features import has_ipv6_loopback

PROC = Path("/proc")
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:7918 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 8087 1 00000000a1c896bb 100 0 0 10 0
   1: 0500000A:7919 0100000A:01BB 01 00000000:00000000 02:00000000 00000000    33        0 8088 2 00000000a1c896bb 20 4 30 10 -1
 123: 0100007F:791A 0100007F:1F90 06 00000000:00000000 03:00000F1A 00000000     0        0 0 3 00000000a1c896bb
"""
TCP6 = """  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:791B 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9001 1 0000000000000000 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:791C 0000000000000000FFFF00000100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 9002 1 0000000000000000 100 0 0 10 0
   2: 000080FE00000000FF00FC00010000FE:791D 00000000000000000000000001000000:0050 01 00000000:00000000 00:00000000 00000000     0        0 9003 1 0000000000000000 100 0 0 10 0
"""
UDP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  10: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000   101        0 7001 2 0000000000000000 0
  11: 0500000A:9C40 08080808:0035 01 00000000:00000000 00:00000000 00000000   101        0 7002 2 0000000000000000 0
"""


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    (tmp_path / "net").mkdir()
    for name, text in (("tcp", TCP), ("tcp6", TCP6), ("udp", UDP)):
        (tmp_path / "net" / name).write_text(text)
    return tmp_path


def test_every_line_of_proc_net_is_understood(tables: Path) -> None:
    found = [
        (s.protocol.value, s.local, s.remote, s.listening, s.uid, s.inode)
        for s in read_sockets(tables, by_netlink=False)
    ]
    assert found == [
        ("tcp", "127.0.0.1:31000", "0.0.0.0:0", True, 1000, 8087),
        ("tcp", "10.0.0.5:31001", "10.0.0.1:443", False, 33, 8088),
        ("tcp", "127.0.0.1:31002", "127.0.0.1:8080", False, 0, 0),
        ("tcp", "[::]:31003", "[::]:0", True, 0, 9001),
        ("tcp", "127.0.0.1:31004", "127.0.0.1:80", False, 0, 9002),
        ("tcp", "[fe80::fc:ff:fe00:1]:31005", "[::1]:80", False, 0, 9003),
        ("udp", "0.0.0.0:53", "0.0.0.0:0", True, 101, 7001),
        ("udp", "10.0.0.5:40000", "8.8.8.8:53", False, 101, 7002),
    ]


def test_a_range_or_listeners_only_leaves_the_rest_out(tables: Path) -> None:
    narrow = read_sockets(tables, PortRange(first=31001, last=31003), by_netlink=False)
    assert [s.port_number for s in narrow] == [31001, 31002, 31003]
    listeners = read_sockets(tables, listeners_only=True, by_netlink=False)
    assert [s.port_number for s in listeners] == [31000, 31003, 53]


def test_without_proc_net_there_are_no_sockets(tmp_path: Path) -> None:
    assert list(read_sockets(tmp_path, by_netlink=False)) == []


def test_addresses_are_written_as_people_do() -> None:
    assert with_port("10.0.0.1", 80) == "10.0.0.1:80"
    assert with_port("fe80::1", 80) == "[fe80::1]:80"


@pytest.mark.skipif(sys.platform != "linux", reason="reads the Linux kernel")
@pytest.mark.parametrize("listeners_only", [False, True])
def test_netlink_and_proc_net_tell_the_same(*, listeners_only: bool) -> None:
    with ExitStack() as stack:
        numbers = open_some_of_each(stack)

        def ours(*, by_netlink: bool) -> set[KernelSocket]:
            found = read_sockets(PROC, listeners_only=listeners_only, by_netlink=by_netlink)
            return {s for s in found if s.port_number in numbers}

        by_netlink = ours(by_netlink=True)
        assert by_netlink == ours(by_netlink=False)
        assert {s.port_number for s in by_netlink} == set(numbers[:2] if listeners_only else numbers)  # fmt: skip


def open_some_of_each(stack: ExitStack) -> list[int]:
    """The local ports of a TCP listener, a UDP socket, a TCP connection, a connected UDP socket."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    client = stack.enter_context(socket.create_connection(listener.getsockname()))
    datagrams = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    datagrams.bind(("::1" if has_ipv6_loopback() else "::ffff:127.0.0.1", 0))
    connected = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    connected.connect(datagrams.getsockname())
    return [s.getsockname()[1] for s in (listener, datagrams, client, connected)]


@pytest.mark.skipif(sys.platform != "linux", reason="reads the Linux kernel")
def test_the_process_of_a_socket_is_found_and_of_none_is_not() -> None:
    with socket.socket() as mine:
        inode = os.fstat(mine.fileno()).st_ino
        found = processes_with_sockets(PROC, [inode, 0])
    assert {number: process.pid for number, process in found.items()} == {inode: os.getpid()}
    assert processes_with_sockets(PROC, [0]) == {}
    assert processes_with_sockets(PROC, [inode]) == {}


def test_the_oldest_process_that_shares_a_socket_is_named(tmp_path: Path) -> None:
    for pid, name in ((812, "nginx"), (99, "nginx-master")):
        directory = tmp_path / str(pid) / "fd"
        directory.mkdir(parents=True)
        (directory / "3").symlink_to("socket:[8087]")
        (directory.parent / "comm").write_text(f"{name}\n")
    (process,) = processes_with_sockets(tmp_path, [8087]).values()
    assert (process.pid, process.name) == (99, "nginx-master")
