"""A unix socket between portway and the Docker daemon that swallows, hangs or lies. Threads, for the server is
another process. Holds no test."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from pathlib import Path

DAEMON = "/var/run/docker.sock"
LISTING = b"/containers/json?"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n[]\n"
BROKEN = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
    b'Content-Length: 23\r\n\r\n{"message":"list fails"}'
)


class Wire:
    """Forwards each connection until told otherwise; one request at a time on each, as HTTP/1.1 has it."""

    def __init__(self, path: Path, daemon: str = DAEMON) -> None:
        self.path = path
        self.lies: list[bytes] = []  # what the next listings are answered with
        self.listings = 0
        self._fatal = b""
        self._daemon = daemon
        self._passes = threading.Event()
        self._passes.set()
        self._deaf: set[int] = set()
        self._streams: set[int] = set()
        self._nth = 0
        self._open = True
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def docker_host(self) -> str:
        return f"unix://{self.path}"

    def hang(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._passes.clear()

    def hang_at(self, request: bytes) -> None:
        """Hang as soon as a request contains these bytes."""
        self._fatal = request

    @property
    def hangs(self) -> bool:
        return not self._passes.is_set()

    def go_on(self) -> None:
        self._fatal = b""
        self._passes.set()

    def swallow_events(self) -> None:
        """What the event streams of this moment bring is thrown away; they stay open."""
        self._deaf |= self._streams

    def hear(self) -> None:
        """Events pass again."""
        self._deaf.clear()

    def close(self) -> None:
        self._open = False
        self._passes.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while self._open:
            try:
                ours, _ = self._socket.accept()
            except OSError:
                return
            self._nth += 1
            threading.Thread(target=self._serve, args=(ours, self._nth), daemon=True).start()

    def _serve(self, ours: socket.socket, nth: int) -> None:
        theirs = socket.socket(socket.AF_UNIX)
        with ours, theirs, suppress(OSError):
            theirs.connect(self._daemon)
            threading.Thread(target=self._answers, args=(theirs, ours, nth), daemon=True).start()
            while data := ours.recv(65536):
                if self._fatal and self._fatal in data:
                    self.hang()
                self._passes.wait()
                if b"GET " in data and re.search(rb"/events\?", data):
                    self._streams.add(nth)
                if LISTING in data:
                    self.listings += 1
                    if self.lies:
                        ours.sendall(self.lies.pop(0))
                        continue
                theirs.sendall(data)
            theirs.shutdown(socket.SHUT_WR)

    def _answers(self, theirs: socket.socket, ours: socket.socket, nth: int) -> None:
        with suppress(OSError):
            while data := theirs.recv(65536):
                self._passes.wait()
                if nth not in self._deaf:
                    ours.sendall(data)
            ours.shutdown(socket.SHUT_WR)
