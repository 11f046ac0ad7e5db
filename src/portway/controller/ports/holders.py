"""Names for whoever has a port: "nginx (pid 812), listening on 0.0.0.0:31004". Reads /proc and asks Docker; decides nothing.

Looking through every process takes milliseconds and asking Docker up to a second, so both are done only
for ports that are asked for, and once for each Naming.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from portway.controller.ports.kernel_sockets import KernelSocket, Process, processes_with_sockets
from portway.core.app import Protocol
from portway.core.ports import Holder

_DOCKER_PROCESSES = ("docker-proxy", "dockerd")
_DOCKER_TIMEOUT_S = 1.0


class Naming:
    """Finds the processes behind one set of sockets, all in one pass, when the first is asked for."""

    def __init__(self, proc: Path, docker_socket: Path, inodes: Iterable[int]) -> None:
        self._proc = proc
        self._docker_socket = docker_socket
        self._inodes = frozenset(inodes)

    @cached_property
    def _processes(self) -> dict[int, Process]:
        return processes_with_sockets(self._proc, self._inodes)

    @cached_property
    def _containers(self) -> dict[tuple[Protocol, int], str]:
        return published_ports(self._docker_socket)

    def holder_of(self, sockets: Sequence[KernelSocket]) -> Holder:
        """The holder of a port, told by its listener if it has one, else by a connection."""
        main = min(sockets, key=lambda s: (not s.listening, not s.inode))
        process = self._processes.get(main.inode)
        return Holder(
            description=self._description(main, process),
            pid=process.pid if process else 0,
            process=process.name if process else "",
            addresses=tuple(dict.fromkeys(s.address for s in sockets)),
        )

    def other_portway(self, inode: int) -> Holder:
        """The portway that holds a claim."""
        process = self._processes.get(inode)
        if process is None:
            return Holder(description="another portway on this machine")
        return Holder(
            description=f"another portway on this machine (pid {process.pid})",
            pid=process.pid,
            process=process.name,
        )

    def _description(self, main: KernelSocket, process: Process | None) -> str:
        who = self._who(main, process)
        if main.listening:
            return f"{who}, listening on {main.local}"
        if main.inode and not main.remote_port_number:
            return f"{who}, which has bound {main.local} without listening yet"
        if main.inode:
            return f"an outgoing connection of {who} to {main.remote}"
        return f"a connection to {main.remote} that is still closing and has no process any more"

    def _who(self, main: KernelSocket, process: Process | None) -> str:
        if process is None:
            return _unseen(main.uid)
        if process.pid == os.getpid():
            return f"portway itself (pid {process.pid})"
        if process.name in _DOCKER_PROCESSES:
            container = self._containers.get((main.protocol, main.port_number))
            what = f"container {container}" if container else "a container it no longer lists"
            return f"Docker ({process.name}, pid {process.pid}), for {what}"
        return f"{process.name} (pid {process.pid})"


def _unseen(uid: int) -> str:
    if uid != os.geteuid():
        return f"a process of another user (uid {uid})"
    return f"a process that cannot be seen from here (uid {uid})"


class _DockerConnection(http.client.HTTPConnection):
    """HTTP to the Docker daemon's unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("docker", timeout=_DOCKER_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_DOCKER_TIMEOUT_S)
        self.sock.connect(str(self._path))


def published_ports(docker_socket: Path) -> dict[tuple[Protocol, int], str]:
    """Which container publishes each host port; empty when Docker does not answer."""
    try:
        with closing(_DockerConnection(docker_socket)) as connection:
            connection.request("GET", "/containers/json")
            containers = cast("list[dict[str, Any]]", json.load(connection.getresponse()))
        return {
            (Protocol(entry["Type"]), int(entry["PublicPort"])): container["Names"][0].lstrip("/")
            for container in containers
            for entry in container["Ports"]
            if "PublicPort" in entry and entry["Type"] in set(Protocol)
        }
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return {}
