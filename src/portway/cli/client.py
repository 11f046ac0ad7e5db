"""Client: JSON, NDJSON and uploads over the server's unix socket. It knows HTTP and errors, no command."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

import msgspec

from portway.core.errors import (
    ImageMissingError,
    ManifestError,
    PortwayError,
    Problem,
    RequestError,
    WorldError,
)

T = TypeVar("T")

_GONE = (FileNotFoundError, ConnectionRefusedError)
_CUT = (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected)


class ServerAbsent(WorldError):
    """Nothing answers on the socket."""


class ServerCut(WorldError):
    """The server went away in the middle of an answer: nobody knows whether it did what it was asked."""


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection whose other end is a unix socket."""

    def __init__(self, socket_path: Path, *, timeout_s: float | None) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._socket_path = socket_path

    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(self.timeout)
        try:
            connection.connect(str(self._socket_path))
        except OSError:
            connection.close()
            raise
        self.sock = connection


class Client:
    """Asks one server. Every failure is a PortwayError with a sentence: the server's own, where it gave one."""

    def __init__(self, socket_path: Path, *, timeout_s: float = 60.0) -> None:
        self.socket_path = socket_path
        self._timeout_s = timeout_s

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
    ) -> Any:
        """One request, its answer as parsed JSON (None when it is empty)."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if method == "GET" else {"Content-Type": "application/json"}
        with self._exchange(method, url(path, query), data, headers, self._timeout_s) as response:
            text = response.read()
        return _parsed(text) if text else None

    def view(
        self,
        answer: type[T],
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
    ) -> T:
        """One request, its answer as a view."""
        return converted(self.ask(method, path, query=query, body=body), answer)

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        upload: Iterable[bytes] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """One request, its answer line by line as it comes; an error line raises."""
        data: bytes | Iterable[bytes] | None = upload
        headers = {"Content-Type": "application/x-tar", "Transfer-Encoding": "chunked"}
        if upload is None:
            data = None if body is None else json.dumps(body).encode()
            headers = {} if method == "GET" else {"Content-Type": "application/json"}
        with self._exchange(method, url(path, query), data, headers, None) as response:
            yield from _lines(response)

    @contextmanager
    def _exchange(
        self,
        method: str,
        target: str,
        data: bytes | Iterable[bytes] | None,
        headers: Mapping[str, str],
        timeout_s: float | None,
    ) -> Generator[http.client.HTTPResponse]:
        connection = _UnixConnection(self.socket_path, timeout_s=timeout_s)
        try:
            with self._explained():
                response = _sent(connection, method, target, data, headers)
                if response.status >= 400:
                    raise error_from(response.status, response.read())
                yield response
        finally:
            connection.close()

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except _GONE as error:
            raise absent(self.socket_path) from error
        except PermissionError as error:
            raise WorldError(
                f"You may not talk to the portway server at {self.socket_path}: it belongs to another user.",
                hint="Run the command as that user (or with sudo), or give your own --home.",
            ) from error
        except TimeoutError as error:
            raise WorldError(
                f"The portway server did not answer within {self._timeout_s:.0f} seconds.",
                hint=f"Its log is {self.socket_path.parent / 'server.log'}.",
            ) from error
        except (*_CUT, http.client.HTTPException) as error:
            raise ServerCut(
                "The portway server closed the connection in the middle of an answer.",
                hint="What runs goes on running. Where `portway server status` says that none runs, "
                "`portway server start` goes on with what was begun.",
            ) from error


def absent(socket_path: Path) -> ServerAbsent:
    """The error for a socket nobody answers on."""
    return ServerAbsent(
        f"No portway server is running (nothing answers at {socket_path}).",
        hint="Start one with `portway server start`; `portway deploy` starts one by itself.",
    )


def url(path: str, query: Mapping[str, object] | None = None) -> str:
    """The request target; empty and None values of the query are left out, lists repeat their key."""
    pairs = {key: value for key, value in (query or {}).items() if value not in (None, "", (), [])}
    return f"/v1{path}" + (f"?{urlencode(pairs, doseq=True)}" if pairs else "")


def segment(text: str) -> str:
    """One segment of a path, whatever characters it holds."""
    return quote(text, safe="")


def converted(value: object, answer: type[T]) -> T:
    """A parsed answer as a view; a server of another version that leaves out what we need is said to be one."""
    try:
        return msgspec.convert(value, answer)
    except msgspec.ValidationError as error:
        raise WorldError(
            f"The portway server answers in a way this command does not understand ({error}).",
            hint="Restart it, so that both have the same version: portway server stop, then start.",
        ) from error


def error_from(status: int, text: bytes) -> PortwayError:
    """The error an answer carries, of the kind its status and problems say."""
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    error = cast("object", parsed.get("error")) if isinstance(parsed, dict) else None
    if error is None:
        return WorldError(f"The portway server answered with HTTP status {status} and no reason.")
    return described(error, status=status)


def described(error: object, *, status: int) -> PortwayError:
    """An error object of the API as an exception."""
    if not isinstance(error, dict):
        return WorldError(str(error))
    fields = cast("dict[str, Any]", error)
    problems = cast("list[dict[str, Any]]", fields.get("problems") or [])
    if any(problem.get("file") for problem in problems):
        return ManifestError([msgspec.convert(problem, Problem) for problem in problems])
    message, hint = str(fields.get("message", "")), str(fields.get("hint") or "")
    if fields.get("code") == ImageMissingError.code:
        return ImageMissingError(message, image=str(fields.get("image", "")), hint=hint)
    if 400 <= status < 500:
        return RequestError(message, hint=hint, http_status=status)
    return WorldError(message, hint=hint)


def _sent(
    connection: _UnixConnection,
    method: str,
    target: str,
    data: bytes | Iterable[bytes] | None,
    headers: Mapping[str, str],
) -> http.client.HTTPResponse:
    try:
        connection.request(
            method,
            target,
            body=data,
            headers=headers,
            encode_chunked="Transfer-Encoding" in headers,
        )
    except (BrokenPipeError, ConnectionResetError):
        # The server refused before it had read the whole upload: what it says is waiting to be read.
        if connection.sock is None:
            raise
    return connection.getresponse()


def _lines(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    while raw := response.readline():
        if not raw.strip():
            continue
        line = cast("dict[str, Any]", _parsed(raw))
        if isinstance(line.get("error"), dict):
            status = int(line["error"].get("status") or line.get("status") or 500)
            raise described(line["error"], status=status)
        yield line


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise WorldError("The portway server answered with something that is not JSON.") from error
