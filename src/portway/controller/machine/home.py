"""The checks of portway's own: its home, disk and store, the server, and the ports of its settings."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from portway.controller.machine.base import Finding, Ground, error, note, ok, warning
from portway.controller.ports.host_ports import HostPorts
from portway.core.app import Protocol

_MB = 2**20
FREE_ERROR_BYTES = 64 * _MB
FREE_WARNING_BYTES = 1024 * _MB
_FREE_INODES_LEAST = 1000
_DATABASE = "portway.db"
_OF_RANGE = "host ports: "  # a problem that is a warning only


def disk_findings(ground: Ground, check: str, whose: str, path: Path) -> Iterator[Finding]:
    """Room and inodes of the file system a directory is on."""
    try:
        room = ground.room(path)
    except OSError as problem:
        yield warning(check, f"{whose} {path} cannot be looked at: {problem.strerror}")
        return
    free_mb = room.free_bytes // _MB
    text = f"{whose} {path} has {free_mb} MB left of {room.total_bytes // _MB} MB"
    fix = f"make room there (`df -h {path}`; for images: `docker system df`)"
    if room.free_bytes < FREE_ERROR_BYTES:
        yield error(check, text, fix)
    elif room.free_bytes < FREE_WARNING_BYTES:
        yield warning(check, text, fix)
    elif room.total_inodes and room.free_inodes < _FREE_INODES_LEAST:
        text = (
            f"{whose} {path} has only {room.free_inodes} inodes left: no new file can be made soon"
        )
        yield error(check, text, f"delete small files there (`df -i {path}`)")
    else:
        yield ok(check, text)


def check_home(ground: Ground) -> Iterator[Finding]:
    """Its permissions, its disk, its database."""
    home = ground.config.home
    yield from disk_findings(ground, "disk", "the home", home)
    if not home.exists():
        yield from _to_be_made(home)
        return
    mode, owner = stat.S_IMODE(home.stat().st_mode), home.stat().st_uid
    if owner != ground.user_id:
        text = f"the home {home} belongs to another user (uid {owner})"
        yield error("home", text, "run portway as that user, or give your own --home")
    elif not os.access(home, os.W_OK):
        yield error("home", f"the home {home} cannot be written", f"chmod u+rwx {home}")
    elif mode & 0o077:
        text = f"the home {home} is open to others (mode {mode:03o}): it holds keys and secrets"
        yield warning("home", text, f"chmod 700 {home}")
    else:
        yield ok("home", f"the home {home} is portway's alone")
    if not ground.config.store_url:
        yield from _database(home / _DATABASE)


def _to_be_made(home: Path) -> Iterator[Finding]:
    above = next(path for path in home.parents if path.exists())
    if os.access(above, os.W_OK):
        yield ok("home", f"the home {home} is made by the first server")
    else:
        text = f"the home {home} cannot be made: {above} is not this user's to write"
        yield error("home", text, "choose another with --home (PORTWAY_HOME)")


def _database(path: Path) -> Iterator[Finding]:
    if not path.exists():
        return
    if not os.access(path, os.W_OK):
        yield error("store", f"the database {path} cannot be written", f"chmod u+rw {path}")
        return
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)) as database:
            verdict = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.Error as problem:
        verdict = str(problem)
    if verdict == "ok":
        yield ok("store", f"the database {path} is whole")
    else:
        text = f"the database {path} is damaged: {verdict}"
        fix = "stop the server, put a backup in its place and start it: it takes over what runs"
        yield error("store", text, fix)


def check_server(ground: Ground) -> Iterator[Finding]:
    """Whether it runs, is of this version, and what ails it."""
    server = ground.server
    if not server.version:
        text = "no server is running; what it started goes on without being watched"
        yield note("server", text, "`portway server start` (`portway deploy` does so by itself)")
        return
    if ground.client_version and server.version != ground.client_version:
        text = f"the server is {server.version} and this command is {ground.client_version}"
        fix = "restart it: `portway server stop`, then `portway server start`"
        yield warning("server", text, fix)
    else:
        yield ok("server", f"the server runs (process {server.pid}, version {server.version})")
    for problem in server.problems:
        text, _, fix = problem.partition("\n")
        if not text.startswith(_OF_RANGE):
            yield error("server", f"the server has a problem: {text.rstrip('.')}", fix.strip())
        elif text.removeprefix(_OF_RANGE) not in _range_warnings(ground):
            # The server has another range than this command, so nobody else warns of it.
            yield warning("server", f"the server may have a problem: {text.rstrip('.')}")


def _range_warnings(ground: Ground) -> tuple[str, ...]:
    """What check_ports says of the range of host ports."""
    return HostPorts(proc=ground.proc).range_warnings(ground.config.host_ports)


def check_ports(ground: Ground) -> Iterator[Finding]:
    """The ranges against the kernel's own, and the port of the HTTP API while no server has it."""
    config = ground.config
    ports = HostPorts(proc=ground.proc)
    for option, range_ in (
        ("--host-ports", config.host_ports),
        ("--service-ports", config.service_ports),
    ):
        found = ports.range_warnings(range_, option=option)
        for said in found:
            what, _, fix = said.partition(". Choose ")
            yield warning("ports", what, f"choose {fix}" if fix else "")
        if not found:
            yield ok("ports", f"{option} {range_} is clear of outgoing connections")
    if config.listen and not ground.server.version:
        yield from _listen(ports, config.listen)


def _listen(ports: HostPorts, listen: str) -> Iterator[Finding]:
    host, _, number = listen.rpartition(":")
    refusal = ports.bind_test(Protocol.TCP, host.strip("[]"), int(number))
    if refusal:
        fix = "stop that, or choose another with --listen (PORTWAY_LISTEN; empty = only the socket)"
        yield error("listen", f"the HTTP API cannot listen on {listen}: {refusal}", fix)
    else:
        yield ok("listen", f"{listen} is free for the HTTP API")
