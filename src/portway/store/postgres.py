"""PostgreSQL as the store's database: connecting, holding the one writer's lock, and what its failures mean.

Everything is written through the one session that holds the advisory lock, so a server that lost
the lock cannot write by accident. No message ever shows the password. Knows no row.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from portway.core.errors import RequestError, StoreError
from portway.store import schema

_LOCK_CLASS = 0x706F7274  # "port"
_READERS = 2
_CONNECT_DEFAULTS = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}

_TRY_LOCK = text("SELECT pg_try_advisory_lock(:class, hashtext(current_schema()))")
_LOCK = text("SELECT pg_advisory_lock(:class, hashtext(current_schema()))")
_PATIENCE = text("SET LOCAL lock_timeout = '2s'")
_HOLDER = text(
    "SELECT a.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = CAST(:class AS oid)"
    " AND l.objid::bigint = hashtext(current_schema())::bigint & 4294967295"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
_TERMINATE = text("SELECT pg_terminate_backend(:pid)")


def parse_store_url(store_url: str) -> URL:
    """postgres:// or postgresql:// -> the URL SQLAlchemy connects to; RequestError for anything else."""
    try:
        url = make_url(store_url)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.drivername not in ("postgres", "postgresql", "postgresql+psycopg"):
        raise RequestError(
            "The store URL is not one of a PostgreSQL database.",
            hint="Write postgresql://user:password@host:5432/database, or leave it out to use SQLite.",
        )
    return url.set(drivername="postgresql+psycopg")


class PostgresDatabase:
    """One PostgreSQL schema: a writer session that holds the lock, and a few readers."""

    parallel_reads = _READERS

    def __init__(self, store_url: str) -> None:
        self._url = parse_store_url(store_url)
        self._name = f"portway {os.getpid()}@{socket.gethostname()[:24]} {secrets.token_hex(4)}"
        defaults = {k: v for k, v in _CONNECT_DEFAULTS.items() if k not in self._url.query}
        self._engine = create_engine(
            self._url,
            connect_args={**defaults, "application_name": self._name},
            pool_size=1 + _READERS,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=True,
            hide_parameters=True,
        )
        self._writer: Connection | None = None
        self._home_id = ""
        self.generation = 0

    @property
    def where(self) -> str:
        """The database without its password, for messages."""
        shown = self._url.set(drivername="postgresql", query={})
        return shown.render_as_string(hide_password=True)

    def open(self, home_id: str) -> None:
        """Connect, take the lock, bring the schema up to date."""
        self._home_id = home_id
        with self.write():
            pass

    def close(self) -> None:
        """End every session, and with the writer's its lock."""
        self._drop_writer()
        self._engine.dispose()

    @contextmanager
    def write(self) -> Generator[Connection]:
        """A transaction of the session that holds the lock; a lost session is made anew first."""
        try:
            connection = self._writer or self._connect_writer()
            with connection.begin():
                yield connection
        except (DBAPIError, PoolTimeoutError) as error:
            if _lost(error):
                self._drop_writer()
            raise self._explain(error) from None

    @contextmanager
    def read(self) -> Generator[Connection]:
        """A view of what is committed, on any free session."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except (DBAPIError, PoolTimeoutError) as error:
            raise self._explain(error) from None

    def _connect_writer(self) -> Connection:
        connection = self._engine.connect()
        try:
            self._lock(connection)
            with connection.begin():
                schema.migrate(connection, where=self.where, home_id=self._home_id)
        except BaseException:
            _discard(connection)
            raise
        self._writer = connection
        self.generation += 1
        return connection

    def _lock(self, connection: Connection) -> None:
        """Take the lock for this session; a session of ours that the server has not missed yet is ended."""
        with connection.begin():
            if connection.scalar(_TRY_LOCK, {"class": _LOCK_CLASS}):
                return
            holder = connection.execute(_HOLDER, {"class": _LOCK_CLASS}).first()
            if holder is not None and holder.application_name == self._name:
                connection.execute(_TERMINATE, {"pid": holder.pid})
                self._await_lock(connection)
                return
        raise StoreError(
            f"Another portway server ({_holder_name(holder)}) already uses {self.where}.",
            hint="Stop that one, or give this one a database of its own with --store-url.",
            retryable=False,
        )

    def _await_lock(self, connection: Connection) -> None:
        """A session that is told to end takes a moment to do so."""
        try:
            connection.execute(_PATIENCE)
            connection.execute(_LOCK, {"class": _LOCK_CLASS})
        except DBAPIError as error:
            raise StoreError(
                f"The connection to {self.where} was lost and its lock is not free yet.",
                hint="Nothing is lost; portway tries again by itself.",
            ) from error

    def _drop_writer(self) -> None:
        if self._writer is not None:
            _discard(self._writer)
            self._writer = None

    def _explain(self, error: DBAPIError | PoolTimeoutError) -> StoreError:
        """What a failure of PostgreSQL means and what to do about it, without the password."""
        where = self.where
        if isinstance(error, PoolTimeoutError):
            return StoreError(f"{where} does not answer.", hint=_HINT_UNREACHABLE)
        said = self._scrub(error.orig)
        state = str(getattr(error.orig, "sqlstate", "") or "") or _state_of_refusal(said)
        match state[:2]:
            case "28":
                return StoreError(
                    f"{where} refused the user or the password ({said}).",
                    hint="Mend the user and password in the store URL (PORTWAY_STORE_URL).",
                    retryable=False,
                )
            case "3D":
                return StoreError(
                    f"{where} does not exist ({said}).",
                    hint="Make the database first: createdb NAME.",
                    retryable=False,
                )
            case "53":
                return StoreError(
                    f"{where} has run out of room ({said}).",
                    hint="What runs goes on and nothing saved is lost. Make room on the database's machine; portway tries again by itself.",
                )
            case "42":
                return StoreError(
                    f"{where} does not let portway do its work ({said}).",
                    hint="Let the user create and change tables in it (GRANT ALL ON SCHEMA ... TO ...).",
                    retryable=False,
                )
            case _ if state == "25006":
                return StoreError(
                    f"{where} is read-only ({said}).",
                    hint="What runs goes on. Point portway at the primary; it tries again by itself.",
                )
            case _ if _lost(error):
                return StoreError(f"{where} cannot be reached ({said}).", hint=_HINT_UNREACHABLE)
            case _:
                passing = state[:2] in _PASSING_STATES
                return StoreError(f"{where} refused: {said}.", retryable=passing)

    def _scrub(self, error: BaseException | None) -> str:
        line = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
        for password in (self._url.password, self._url.query.get("password")):
            line = line.replace(str(password), "***") if password else line
        return line


# Conflicts, locks and interventions of an operator: the same statement may pass the next time.
_PASSING_STATES = ("40", "55", "57")
# The library gives no SQLSTATE for a refused connection, only the server's words.
_REFUSALS = (
    (
        re.compile(r"password authentication failed|no password supplied|no pg_hba.conf entry"),
        "28000",
    ),
    (re.compile(r'role ".*" does not exist'), "28000"),
    (re.compile(r'database ".*" does not exist'), "3D000"),
    (re.compile(r"too many (clients|connections)|connection slots are reserved"), "53300"),
)
_HINT_UNREACHABLE = (
    "What runs goes on. See that PostgreSQL runs and can be reached from here;"
    " portway connects again by itself."
)


def _state_of_refusal(said: str) -> str:
    return next((state for pattern, state in _REFUSALS if pattern.search(said)), "")


def _lost(error: DBAPIError | PoolTimeoutError) -> bool:
    """Whether the session is gone, rather than one statement refused."""
    if isinstance(error, PoolTimeoutError) or error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    name = type(error.orig).__name__
    return state is None and name in ("OperationalError", "InterfaceError", "ConnectionTimeout")


def _discard(connection: Connection) -> None:
    """Close the session itself: back in the pool it would go on holding the lock."""
    with suppress(DBAPIError):
        connection.invalidate()
    with suppress(DBAPIError):
        connection.close()


def _holder_name(holder: object) -> str:
    name = str(getattr(holder, "application_name", ""))
    words = name.split(" ")
    if len(words) == 3 and words[0] == "portway":
        pid, _, host = words[1].partition("@")
        return f"process {pid} on {host}"
    return f"PostgreSQL session {getattr(holder, 'pid', '?')}"
