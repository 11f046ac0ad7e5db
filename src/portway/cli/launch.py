"""The server in the background: started detached, its log in its home, waited for until it answers."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from portway.cli.client import Client, ServerAbsent
from portway.config import Config
from portway.core.errors import WorldError
from portway.store.lock import LOCK_NAME

_START_DEADLINE_S = 60.0
_STOP_DEADLINE_S = 60.0
_POLL_S = 0.05
_LOG_TAIL_LINES = 12


def answers(client: Client) -> bool:
    """Whether a server is there; one that is too busy, or just going down, still is."""
    try:
        client.ask("GET", "/version")
    except ServerAbsent:
        return False
    except WorldError:
        return True
    return True


def start_in_background(config: Config, flags: Sequence[str] = ()) -> int:
    """Start a server for this home and return its process id once it answers; WorldError with its own words else."""
    log_path = log_file(config)
    _make_home(config.home)
    with open(log_path, "ab", opener=_private) as log:  # noqa: PTH123  (pathlib takes no opener)
        offset = log.tell()
        child = subprocess.Popen(
            [sys.executable, "-m", "portway.cli", "--home", str(config.home), "server", *flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "NO_COLOR": "1"},
        )
    _wait_until_it_answers(config, child, log_path, offset)
    return child.pid


@contextmanager
def ending(client: Client) -> Generator[None]:
    """Around a request to stop: left once nobody answers any more and the server's process has let go of its home."""
    with ExitStack() as held:
        server = _process_of(client.socket_path.parent)
        if server is not None:
            held.callback(os.close, server)
        yield
        deadline = time.monotonic() + _STOP_DEADLINE_S
        while answers(client) or not _has_ended(server):
            if time.monotonic() > deadline:
                raise WorldError(
                    f"The server still runs {_STOP_DEADLINE_S:.0f} seconds after it was told to stop.",
                    hint=f"See its log: {client.socket_path.parent / 'server.log'}",
                )
            time.sleep(_POLL_S)


def _process_of(home: Path) -> int | None:
    """The process that has the home's lock, as a descriptor; None when that is not known."""
    with suppress(OSError, ValueError):
        return os.pidfd_open(int((home / LOCK_NAME).read_text()))
    return None


def _has_ended(server: int | None) -> bool:
    return server is None or bool(select.select([server], [], [], 0)[0])


def _private(path: str, flags: int) -> int:
    # The home may have been made by somebody else, and be open to others.
    return os.open(path, flags, 0o600)


def log_file(config: Config) -> Path:
    """Where a server in the background writes."""
    return config.home / "server.log"


def _make_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise WorldError(
            f"The server's home {home} cannot be made: {error.strerror}.",
            hint="Give another with --home or PORTWAY_HOME.",
        ) from error


def _wait_until_it_answers(
    config: Config, child: subprocess.Popen[bytes], log_path: Path, offset: int
) -> None:
    client = Client(config.socket_path, timeout_s=5)
    deadline = time.monotonic() + _START_DEADLINE_S
    while time.monotonic() < deadline:
        ended = child.poll() is not None
        if answers(client):
            return  # also when another command started one at the same time and ours made way
        if ended:
            raise _died(log_path, offset)
        time.sleep(_POLL_S)
    raise WorldError(
        f"The server was started (process {child.pid}) but did not answer for {_START_DEADLINE_S:.0f} seconds.",
        hint=f"Its log is {log_path}.",
    )


def _died(log_path: Path, offset: int) -> WorldError:
    with log_path.open("rb") as file:
        file.seek(offset)
        lines = file.read().decode(errors="replace").splitlines()
    said = last_error(lines)
    hint = "\n".join([*said, f"Its log is {log_path}."])
    return WorldError("The portway server could not be started.", hint=hint)


def last_error(lines: Sequence[str]) -> list[str]:
    """The server's last `ERROR:` and what follows it, else its last lines."""
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].startswith("ERROR: "):
            return [lines[index].removeprefix("ERROR: "), *lines[index + 1 :]]
    return list(lines[-_LOG_TAIL_LINES:])
