"""The wire of `exec`: frames over a WebSocket on one side, file descriptors of this terminal on the other.

Client frames: 0 input, 1 end of input, 2 size. Server frames: 1 output, 2 errors, 3 exit code, 4 error.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import termios
import threading
import tty as terminal_mode
from collections.abc import Generator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, cast

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, unix_connect

from portway.cli.client import absent, described, error_from, segment, url
from portway.core.errors import PortwayError, WorldError

_INPUT, _INPUT_END, _SIZE = b"\x00", b"\x01", b"\x02"
_READ_SIZE = 32 * 1024
_MESSAGE_SIZE_MAX = 4 * 1024 * 1024


def execute(socket_path: Path, stack: str, instance: str, argv: Sequence[str], *, tty: bool) -> int:
    """Run the command and be its terminal; its exit code. `instance` may name a container after a slash."""
    name, _, container = instance.partition("/")
    path = url(f"/stacks/{segment(stack)}/instances/{segment(name)}/exec")
    with _connected(socket_path, path) as connection:
        rows, columns = _size()
        first: dict[str, Any] = {"argv": list(argv), "tty": tty, "rows": rows, "columns": columns}
        if container:
            first["container"] = container
        connection.send(json.dumps(first))
        with _raw_terminal() if tty else contextlib.nullcontext():
            return _relay(connection, tty=tty)


@contextlib.contextmanager
def _connected(socket_path: Path, path: str) -> Generator[ClientConnection]:
    try:
        connection = unix_connect(
            str(socket_path),
            f"ws://localhost{path}",
            max_size=_MESSAGE_SIZE_MAX,
            compression=None,
            ping_timeout=None,
        )
    except InvalidStatus as refused:
        body = bytes(refused.response.body or b"")
        raise error_from(refused.response.status_code, body) from refused
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise absent(socket_path) from error
    except (OSError, EOFError) as error:
        raise WorldError(f"The portway server could not be asked: {error}.") from error
    with connection:
        yield connection


def _relay(connection: ClientConnection, *, tty: bool) -> int:
    stop_reading, wake = os.pipe()
    reader = threading.Thread(target=_send_input, args=(connection, stop_reading), daemon=True)
    reader.start()
    try:
        with _resizing(connection) if tty else contextlib.nullcontext():
            return _print_output(connection)
    finally:
        os.close(wake)  # readable now: the reader leaves its select
        reader.join(timeout=1)
        os.close(stop_reading)


def _print_output(connection: ClientConnection) -> int:
    try:
        for frame in connection:
            data = frame.encode() if isinstance(frame, str) else frame
            match data[0] if data else None:
                case 1:
                    _write(sys.stdout.fileno(), data[1:])
                case 2:
                    _write(sys.stderr.fileno(), data[1:])
                case 3:
                    return int(json.loads(data[1:])["exit_code"])
                case 4:
                    raise _failure(json.loads(data[1:]))
                case _:
                    continue
    except ConnectionClosed as closed:
        raise WorldError(f"The server ended the session: {closed}.") from closed
    raise WorldError(
        "The server closed the session before the command ended.",
        hint="See `portway events`: the instance may have been stopped.",
    )


def _failure(message: dict[str, Any]) -> PortwayError:
    error = message.get("error", message)
    status = cast("dict[str, Any]", error).get("status", 422) if isinstance(error, dict) else 422
    return described(error, status=int(status))


def _send_input(connection: ClientConnection, stop_reading: int) -> None:
    source = sys.stdin.fileno()
    with contextlib.suppress(ConnectionClosed, OSError, ValueError):
        while True:
            ready, _, _ = select.select([source, stop_reading], [], [])
            if stop_reading in ready:
                return
            data = os.read(source, _READ_SIZE)
            if not data:
                connection.send(_INPUT_END)
                return
            connection.send(_INPUT + data)


@contextlib.contextmanager
def _raw_terminal() -> Generator[None]:
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    terminal_mode.setraw(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _resizing(connection: ClientConnection) -> Generator[None]:
    changed, notify = os.pipe()

    def on_resize(_signal: int, _frame: FrameType | None) -> None:
        os.write(notify, b".")

    def send_sizes() -> None:
        # Not from the signal handler: it may interrupt the very send whose lock it would wait for.
        with contextlib.suppress(ConnectionClosed, OSError):
            while os.read(changed, 64):
                rows, columns = _size()
                size = json.dumps({"rows": rows, "columns": columns}).encode()
                connection.send(_SIZE + size)

    before = signal.signal(signal.SIGWINCH, on_resize)
    sender = threading.Thread(target=send_sizes, daemon=True)
    sender.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
        os.close(notify)
        sender.join(timeout=1)
        os.close(changed)


def _size() -> tuple[int, int]:
    size = shutil.get_terminal_size()
    return size.lines, size.columns


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
