"""The command line, imported once and forked for each command: what it takes Python to start is paid once a run.

A command is a process of its own still, with the words, directory, variables and files it is given. The installed
`portway` is run by tests/cli/test_main.py, and by every test that signals its process.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

import portway.cli
from portway.cli.main import main

ROOT = Path(__file__).parents[2]
_LOCK = threading.Lock()
_FORKERS: list[_Forker] = []


def run(
    words: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a command of portway to its end, as subprocess.run does; TimeoutExpired when it takes longer."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = _forker().run({"words": list(words), "cwd": str(cwd), "env": dict(env)}, (out, err), timeout_s)  # fmt: skip
        return subprocess.CompletedProcess(["portway", *words], code, _text(out), _text(err))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


def _forker() -> _Forker:
    with _LOCK:
        if not _FORKERS:
            _FORKERS.append(_Forker())
        return _FORKERS[0]


def end() -> None:
    """End the process that forks, where there is one."""
    while _FORKERS:
        _FORKERS.pop().close()


class _Forker:
    """The process that forks; one connection a command."""

    def __init__(self) -> None:
        self._calls, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def run(self, command: object, files: Sequence[IO[bytes]], timeout_s: float) -> int:
        """The exit code of the command, minus the signal where one ended it."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                given = [theirs.fileno(), *(file.fileno() for file in files)]
                socket.send_fds(self._calls, [b"x"], given)
            _send(ours, command)
            process_id = _receive(ours)
            ours.settimeout(timeout_s)
            try:
                return os.waitstatus_to_exitcode(_receive(ours))
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGKILL)
                raise subprocess.TimeoutExpired(str(command), timeout_s) from None

    def close(self) -> None:
        """It ends when nobody can call any more."""
        self._calls.close()
        self._process.wait(timeout=20)


_SIZE = struct.Struct("!I")


def _send(connection: socket.socket, value: object) -> None:
    data = json.dumps(value).encode()
    connection.sendall(_SIZE.pack(len(data)) + data)


def _receive(connection: socket.socket) -> Any:
    (size,) = _SIZE.unpack(_exactly(connection, _SIZE.size))
    return json.loads(_exactly(connection, size))


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError("the other side has ended")
        data += piece
    return data


def serve(calls: socket.socket) -> None:
    """Fork for every call, and tell the caller the new process and how it ended; until nobody can call any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever runs the tests means the tests
    for module in pkgutil.iter_modules(portway.cli.__path__, "portway.cli."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # what is shared with those to come stays shared
    running: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for ready in select.select([calls, *running], [], [])[0]:
            if ready is not calls:
                process_id, caller = running.pop(ready)
                os.close(ready)
                with caller, contextlib.suppress(OSError):  # it may have lost patience
                    _send(caller, os.waitpid(process_id, 0)[1])
                continue
            said, descriptors, _, _ = socket.recv_fds(calls, 1, 3)
            if not said:
                return
            caller = socket.socket(fileno=descriptors[0])
            process_id = os.fork()
            if process_id == 0:
                _be_the_command(caller, *descriptors[1:])
            for descriptor in descriptors[1:]:
                os.close(descriptor)
            running[os.pidfd_open(process_id)] = process_id, caller
            _send(caller, process_id)


def _be_the_command(caller: socket.socket, out: int, err: int) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(out, 1)
        os.dup2(err, 2)
        given = _receive(caller)
        caller.close()
        os.chdir(given["cwd"])
        os.environ.clear()
        os.environ.update(given["env"])
        sys.argv = ["portway", *given["words"]]
        code = main()
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
