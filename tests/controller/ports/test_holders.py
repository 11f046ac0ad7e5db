"""How a holder is told to people, for each kind of socket, process and container."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from threading import Thread

import pytest

from portway.controller.ports.claims import SocketClaims
from portway.controller.ports.holders import Naming, published_ports
from portway.controller.ports.host_ports import HostPorts
from portway.controller.ports.kernel_sockets import KernelSocket
from portway.core.app import Protocol
from tests.engines.docker.support import remove_shared_image, shared_image

TCP = Protocol.TCP


def kernel_socket(**changes: object) -> KernelSocket:
    values: dict[str, object] = {
        "protocol": TCP,
        "address": "0.0.0.0",
        "port_number": 31004,
        "remote_address": "0.0.0.0",
        "remote_port_number": 0,
        "listening": True,
        "uid": 0,
        "inode": 8087,
    }
    return KernelSocket(**{**values, **changes})  # type: ignore[arg-type]


def told(tmp_path: Path, *sockets: KernelSocket, docker: Path = Path("/nonexistent")) -> str:
    naming = Naming(tmp_path, docker, [s.inode for s in sockets])
    return naming.holder_of(sockets).description


def add_process(tmp_path: Path, name: str, pid: int = 812, inode: int = 8087) -> None:
    directory = tmp_path / str(pid) / "fd"
    directory.mkdir(parents=True)
    (directory / "3").symlink_to(f"socket:[{inode}]")
    (directory.parent / "comm").write_text(f"{name}\n")


def test_a_listener_is_told_with_its_address(tmp_path: Path) -> None:
    add_process(tmp_path, "nginx")
    assert told(tmp_path, kernel_socket()) == "nginx (pid 812), listening on 0.0.0.0:31004"


def test_a_connection_is_told_with_its_target(tmp_path: Path) -> None:
    add_process(tmp_path, "curl", pid=99)
    outgoing = kernel_socket(listening=False, remote_address="10.0.0.1", remote_port_number=443)
    assert told(tmp_path, outgoing) == "an outgoing connection of curl (pid 99) to 10.0.0.1:443"


def test_a_connection_nobody_has_any_more_is_told_as_closing(tmp_path: Path) -> None:
    closing = kernel_socket(
        listening=False, inode=0, remote_address="10.0.0.1", remote_port_number=443
    )
    assert told(tmp_path, closing) == (
        "a connection to 10.0.0.1:443 that is still closing and has no process any more"
    )


def test_a_process_of_another_user_is_told_by_the_user(tmp_path: Path) -> None:
    assert told(tmp_path, kernel_socket(uid=os.geteuid() + 1000)) == (
        f"a process of another user (uid {os.geteuid() + 1000}), listening on 0.0.0.0:31004"
    )


def test_a_process_of_ours_that_cannot_be_found_is_told_so(tmp_path: Path) -> None:
    assert told(tmp_path, kernel_socket(uid=os.geteuid())) == (
        f"a process that cannot be seen from here (uid {os.geteuid()}), listening on 0.0.0.0:31004"
    )


def test_docker_is_told_with_the_container(tmp_path: Path) -> None:
    add_process(tmp_path, "docker-proxy")
    containers = [
        {"Names": ["/shop-db"], "Ports": [{"PrivatePort": 9000, "Type": "tcp"}]},
        {"Names": ["/shop-dns"], "Ports": [{"PublicPort": 31004, "Type": "udp"}]},
        {"Names": ["/shop-web"], "Ports": [{"PublicPort": 31004, "Type": "tcp"}]},
    ]
    with docker_answering(tmp_path, json.dumps(containers)) as docker:
        assert told(tmp_path, kernel_socket(), docker=docker) == (
            "Docker (docker-proxy, pid 812), for container shop-web, listening on 0.0.0.0:31004"
        )


@pytest.mark.parametrize("answer", ["[]", "{}", "nonsense", '[{"Names": null, "Ports": [{}]}]'])
def test_docker_is_told_without_a_container_when_it_lists_none(tmp_path: Path, answer: str) -> None:
    add_process(tmp_path, "docker-proxy")
    with docker_answering(tmp_path, answer) as docker:
        assert told(tmp_path, kernel_socket(), docker=docker) == (
            "Docker (docker-proxy, pid 812), for a container it no longer lists, "
            "listening on 0.0.0.0:31004"
        )


def test_no_docker_is_no_failure(tmp_path: Path) -> None:
    assert published_ports(tmp_path / "docker.sock") == {}


@contextmanager
def docker_answering(tmp_path: Path, body: str) -> Iterator[Path]:
    """A unix socket that answers one HTTP request."""
    path = tmp_path / "docker.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            connection.sendall((head + body).encode())

    thread = Thread(target=answer)
    thread.start()
    try:
        yield path
    finally:
        thread.join(timeout=10)
        server.close()


@pytest.fixture
def image() -> Iterator[str]:
    yield shared_image()
    remove_shared_image()


@pytest.mark.docker
def test_a_port_published_by_docker_is_told_with_the_container_that_has_it(image: str) -> None:
    name = f"portway-test-holder-{token_hex(4)}"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    docker("run", "-d", "--name", name, "-p", f"127.0.0.1:{number}:80", image, "sleep", "60")
    ports = HostPorts(claims=SocketClaims(f"portway-test-{os.getpid()}"))
    try:
        assert f"for container {name}" in described(ports, number)
        reason = ports.bind_test(TCP, "127.0.0.1", number)
        assert reason is not None
        assert f"for container {name}" in reason
    finally:
        docker("rm", "-f", name)


def described(ports: HostPorts, number: int) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        holder = ports.holder(TCP, number)
        if holder:
            return holder.description
        time.sleep(0.05)
    pytest.fail(f"nobody ever held {number}")


def docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, timeout=60, capture_output=True)
