"""What the balancer must remember between two runs of portway, in one file of its directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from portway.core.errors import BalancerError
from portway.core.routes import Route
from portway.core.traffic import Traffic

STATE_FILE = "state.json"
_FOLDERS = ("certificates", "lists", "maps", "bodies")


class SavedState(msgspec.Struct, frozen=True, kw_only=True):
    """Routes and certificates as last wanted, addresses as last loaded, counters of workers gone by.

    `bound`: listener name -> its addresses and service port; `traffic`: by frontend and backend;
    `counters`: the same as portway 0.1 wrote it, requests and failed. `reported`: owners whose requests are.
    """

    routes: tuple[Route, ...] = ()
    certificates: dict[str, str] = {}
    fallback_pem: str = ""
    bound: dict[str, tuple[tuple[str, ...], int]] = {}
    counters: dict[str, tuple[int, int]] = {}
    traffic: dict[str, Traffic] = {}
    reported: tuple[str, ...] = ()
    reloads: int = 0
    restarts: int = 0

    @property
    def owned(self) -> dict[str, tuple[Route, ...]]:
        """The routes by owner."""
        owned: dict[str, tuple[Route, ...]] = {}
        for route in self.routes:
            owned[route.owner] = (*owned.get(route.owner, ()), route)
        return owned

    @property
    def counted(self) -> dict[str, Traffic]:
        """By frontend and backend, whichever portway saved it."""
        older = {
            name: Traffic(requests=requests, not_connected=failed)
            for name, (requests, failed) in self.counters.items()
        }
        return older | self.traffic


def load_state(directory: Path) -> SavedState:
    """The saved state; an empty one when there is none or it cannot be understood."""
    try:
        return msgspec.json.decode((directory / STATE_FILE).read_bytes(), type=SavedState)
    except (FileNotFoundError, ValueError, RecursionError):
        return SavedState()


def save_state(directory: Path, state: SavedState) -> None:
    """Write it whole or not at all."""
    write_file(directory / STATE_FILE, msgspec.json.encode(state))


def write_files(directory: Path, files: Mapping[str, str]) -> None:
    """Write each file whole or not at all; those that are already so stay untouched."""
    for name, text in files.items():
        path = directory / name
        content = text.encode()
        if not path.exists() or path.read_bytes() != content:
            write_file(path, content)


def remove_others(directory: Path, files: Mapping[str, str]) -> None:
    """Delete the certificates, lists, maps and bodies that no listener uses any more."""
    for folder in _FOLDERS:
        for path in (directory / folder).iterdir():
            if f"{folder}/{path.name}" not in files:
                path.unlink(missing_ok=True)


def prepare(directory: Path) -> None:
    """Make the directories, for nobody else to read."""
    try:
        for path in (directory, *(directory / n for n in _FOLDERS)):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
    except OSError as error:
        raise BalancerError(
            f"The balancer's directory {directory} cannot be used: {error.strerror}.",
            hint="Choose another one with --home.",
            retryable=False,
        ) from error


def write_file(path: Path, content: bytes) -> None:
    """Replace a file atomically, readable by its owner only."""
    temporary = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(path)
    except OSError as error:
        raise BalancerError(
            f"{path} cannot be written: {error.strerror}.",
            hint="Make room on the disk; portway tries again by itself.",
        ) from error
