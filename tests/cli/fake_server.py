"""A stand-in for the server's HTTP face: canned answers on a unix socket, and a record of what was asked."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: bytes
    content_type: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Refusal:
    """An answer that is an error."""

    status: int
    error: Any


@dataclass
class Lines:
    """An answer that is a stream of lines; `open_end` keeps it open after them, as `follow` does."""

    lines: list[Any]
    open_end: bool = False


Answer = Callable[[Asked], Any]


@dataclass
class FakeServer:
    """Answers by "METHOD /path"; an answer may be a value, a Refusal, Lines, or a function of what was asked."""

    home: Path
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def on(self, route: str, answer: Any) -> None:
        self.answers[route] = answer

    def requests(self, route: str) -> list[Asked]:
        return [one for one in self.asked if f"{one.method} {one.path}" == route]

    def answer(self, asked: Asked) -> Any:
        self.asked.append(asked)
        route = f"{asked.method} {asked.path}"
        if route not in self.answers:
            return Refusal(404, {"message": f"There is nothing at {route}.", "hint": ""})
        answer = self.answers[route]
        return answer(asked) if callable(answer) else answer


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, path: str, fake: FakeServer) -> None:
        self.fake = fake
        super().__init__(path, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is what Ctrl-C looks like from here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _respond(self) -> None:
        fake: FakeServer = self.server.fake  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        asked = Asked(
            method=self.command,
            path=parts.path.removeprefix("/v1"),
            query=parse_qs(parts.query, keep_blank_values=True),
            body=self._body(),
            content_type=self.headers.get("Content-Type", ""),
        )
        self._send(fake, fake.answer(asked))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _respond

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, fake: FakeServer, answer: Any) -> None:
        self.close_connection = True
        if isinstance(answer, Lines):
            self._send_lines(fake, answer)
            return
        status, value = 200, answer
        if isinstance(answer, Refusal):
            status, value = answer.status, {"error": answer.error}
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_lines(self, fake: FakeServer, answer: Lines) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Connection", "close")
        self.end_headers()
        for line in answer.lines:
            self.wfile.write(json.dumps(line).encode() + b"\n")
            self.wfile.flush()
        if answer.open_end:
            fake.closing.wait(30)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: the tests look at what was asked."""


@contextmanager
def serving(home: Path) -> Iterator[FakeServer]:
    """A fake server on the socket of `home`, stopped at the end."""
    fake = FakeServer(home)
    server = _Server(str(home / "portway.sock"), fake)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        fake.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
        (home / "portway.sock").unlink(missing_ok=True)
