"""SQLite as the store's database: opening a file safely, and what its failures mean.

A file that is damaged is never written to: it is checked through a read-only connection first, and
a new one is made complete under another name before it gets its own. Knows no row.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from portway.core.errors import StoreError
from portway.store import schema

DATABASE_NAME = "portway.db"
_BUSY_TIMEOUT_MS = 5000


class SqliteDatabase:
    """One SQLite file, one connection, one thread."""

    parallel_reads = 0  # readers use the writer's thread

    def __init__(self, home: Path) -> None:
        self.path = home / DATABASE_NAME
        self._connection: Connection | None = None
        self._engine: Engine | None = None
        self._inode = 0

    @property
    def where(self) -> str:
        """The file, for messages."""
        return str(self.path)

    @property
    def generation(self) -> int:
        """Grows whenever the connection was made anew; never here."""
        return 1

    def open(self, home_id: str) -> None:
        """Make the file when there is none, check it, bring its schema up to date."""
        try:
            if not self.path.exists():
                self._create(home_id)
            self._check()
            self._connect()
            with self.write() as connection:
                schema.migrate(connection, where=self.where, home_id=home_id)
            self._use_log()
        except sqlite3.Error as error:
            raise self._explain(error) from None
        except OSError as error:
            raise _file_error(self.where, error) from error

    def close(self) -> None:
        """Close the file; what is in its write-ahead log goes into it first."""
        if self._connection is not None and self._engine is not None:
            with suppress(DBAPIError):
                self._connection.close()
            self._engine.dispose()
        self._connection = self._engine = None

    @contextmanager
    def write(self) -> Generator[Connection]:
        """A transaction that is committed at the end, rolled back on any exception."""
        connection = self._connection
        assert connection is not None, "opened first"
        self._refuse_moved()
        try:
            with connection.begin():
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        except DBAPIError as error:
            raise self._explain(error.orig) from None

    @contextmanager
    def read(self) -> Generator[Connection]:
        """A consistent view; writes nothing."""
        connection = self._connection
        assert connection is not None, "opened first"
        try:
            with connection.begin():
                connection.exec_driver_sql("BEGIN")
                yield connection
        except DBAPIError as error:
            raise self._explain(error.orig) from None

    def _create(self, home_id: str) -> None:
        log = Path(f"{self.path}-wal")
        if log.exists():
            raise StoreError(
                f"{self.path} is missing, yet {log.name} with its newest changes is there.",
                hint=f"Nothing was changed. Restore {self.path} from a backup, or move {log.name} away to start empty.",
                retryable=False,
            )
        fresh = Path(f"{self.path}.new")
        fresh.unlink(missing_ok=True)
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        engine = _engine(fresh)
        try:
            with engine.begin() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                schema.migrate(connection, where=self.where, home_id=home_id)
        except DBAPIError as error:
            raise self._explain(error.orig) from None
        finally:
            engine.dispose()
        fresh.rename(self.path)
        _sync_directory(self.path.parent)

    def _check(self) -> None:
        if self.path.stat().st_size == 0:
            raise self._damaged("it is empty")
        with closing(sqlite3.connect(f"file:{quote(str(self.path))}?mode=ro", uri=True)) as checker:
            checker.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
            rows = checker.execute("PRAGMA quick_check(1)").fetchall()
        if rows != [("ok",)]:
            raise self._damaged(str(rows[0][0]).strip().splitlines()[-1] if rows else "no answer")

    def _connect(self) -> None:
        self.path.chmod(0o600)
        self._inode = self.path.stat().st_ino
        self._engine = _engine(self.path)
        try:
            self._connection = self._engine.connect()
        except DBAPIError as error:
            raise self._explain(error.orig) from None

    def _use_log(self) -> None:
        """Only now, when the file is known to be ours: the mode is written into it."""
        assert self._connection is not None, "connected first"
        driver = self._connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute("PRAGMA journal_mode = WAL")

    def _refuse_moved(self) -> None:
        with suppress(OSError):
            if self.path.stat().st_ino == self._inode:
                return
        raise StoreError(
            f"{self.path} was deleted or replaced while portway was using it.",
            hint="Nothing more is saved. Put the file back if it was moved, then start the server again.",
            retryable=False,
        )

    def _damaged(self, what: str) -> StoreError:
        return StoreError(
            f"The store {self.path} is damaged ({what}).",
            hint="Nothing was overwritten. Restore the file from a backup, or move it (and its -wal and -shm files)"
            " away and start again: what runs is found again, what was decided about it is not.",
            retryable=False,
        )

    def _explain(self, error: BaseException | None) -> StoreError:
        """What a failure of SQLite means and what to do about it."""
        name = str(getattr(error, "sqlite_errorname", "") or "")
        where = self.where
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return self._damaged(str(error))
        if name.startswith("SQLITE_FULL"):
            return StoreError(
                f"There is no space left to save to {where}.",
                hint="What runs goes on and nothing saved is lost. Free some disk space; portway tries again by itself.",
            )
        if name.startswith("SQLITE_READONLY"):
            return StoreError(
                f"{where} cannot be written: it or its file system is read-only.",
                hint="What runs goes on. Make it writable again; portway tries again by itself.",
            )
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return StoreError(
                f"Another program keeps {where} locked.",
                hint="Close the program that has it open (a sqlite3 shell, a backup); portway tries again by itself.",
            )
        if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")):
            return StoreError(
                f"The disk failed while using {where} ({error}).",
                hint="See that the disk is there, has space and is healthy (dmesg); portway tries again by itself.",
            )
        return StoreError(f"SQLite refused to use {where}: {error}.", retryable=False)


def _engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    """FULL: a decision that was saved is on the disk, whatever happens to the power (design decision 1)."""
    connection.isolation_level = (
        None  # transactions begin where we say, not where the driver guesses
    )
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file_error(where: str, error: OSError) -> StoreError:
    return StoreError(
        f"The store {where} cannot be used: {error.strerror or error}.",
        hint="See that its directory exists, has space and belongs to this user.",
        retryable=False,
    )
