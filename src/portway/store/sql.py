"""SqlStore: the Store in a SQL database, every call off the event loop. Knows transactions, not tables."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from portway.core.events import Event
from portway.core.ownership import Change, Past
from portway.core.stack import Release
from portway.store import past, rows
from portway.store.base import Batch, Snapshot
from portway.store.documents import SqlDocuments
from portway.store.home_id import remember_home_id, remembered_home_id
from portway.store.lock import HomeLock
from portway.store.postgres import PostgresDatabase
from portway.store.refusals import not_open
from portway.store.sqlite import SqliteDatabase

T = TypeVar("T")

EVENTS_KEPT = 1_000_000  # and as many changes of ports, whatever their age
KEPT_DAYS = 30
_DAY_MS = 24 * 3600 * 1000


class Database(Protocol):
    """What SqlStore needs of SQLite and of PostgreSQL; every failure is a StoreError."""

    parallel_reads: int

    @property
    def where(self) -> str: ...
    @property
    def generation(self) -> int: ...
    def open(self, home_id: str) -> None: ...
    def close(self) -> None: ...
    def write(self) -> AbstractContextManager[Connection]: ...
    def read(self) -> AbstractContextManager[Connection]: ...


def open_store(
    home: Path, store_url: str = "", *, events_kept: int = EVENTS_KEPT, kept_days: int = KEPT_DAYS
) -> SqlStore:
    """The store of a home: SQLite in it, or the PostgreSQL database of the URL. Not opened yet."""
    database = PostgresDatabase(store_url) if store_url else SqliteDatabase(home)
    return SqlStore(home, database, events_kept=events_kept, kept_days=kept_days)


class SqlStore:
    """A Store in one SQL database. One thread writes; reads use it too, or a few threads of their own."""

    def __init__(
        self,
        home: Path,
        database: Database,
        *,
        events_kept: int = EVENTS_KEPT,
        kept_days: int = KEPT_DAYS,
    ) -> None:
        self._home = home
        self._database = database
        self._lock = HomeLock(home)
        self._events_kept = events_kept
        self._prune_step = max(1, events_kept // 1000)
        self._writer: ThreadPoolExecutor | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._kept_ms = kept_days * _DAY_MS
        self._last_sequence = 0
        self._last_change = 0
        self._prune_up_to = 0  # changes of ports that are to go, a few with each save
        self._generation = 0
        self._in_doubt: _InDoubt | None = None
        self.documents = SqlDocuments(
            read=self._reading, write=self._writing, where=self._database.where
        )

    @property
    def where(self) -> str:
        """The database, for people: a path or a URL without its password."""
        return self._database.where

    async def open(self) -> None:
        """Take the home's lock, then create or migrate the schema."""
        assert self._writer is None, "opened twice"
        writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        try:
            await asyncio.get_running_loop().run_in_executor(writer, self._open)
        except BaseException:
            writer.shutdown(wait=False)
            raise
        self._writer = writer
        if count := self._database.parallel_reads:
            self._readers = ThreadPoolExecutor(count, thread_name_prefix="store-read")

    async def close(self) -> None:
        """Finish what was begun, then let go of the database and the lock; once closed, nothing happens."""
        writer, readers = self._writer, self._readers
        if writer is None:
            return
        self._writer = self._readers = None
        if readers is not None:
            await asyncio.to_thread(readers.shutdown)
        await asyncio.get_running_loop().run_in_executor(writer, self._close)
        writer.shutdown(wait=False)

    async def load(self) -> Snapshot:
        """All but releases and events."""
        return await self._run(self._writer, self._load)

    async def save(self, batch: Batch) -> tuple[Event, ...]:
        """Save the batch in one transaction; the events come back with their sequence numbers."""
        return await self._run(self._writer, partial(self._save, batch))

    async def release(self, stack: str, release_id: str) -> Release | None:
        """One release of a stack, None when there is none."""
        return await self._read(partial(rows.load_release, stack=stack, release_id=release_id))

    async def releases(self, stack: str, *, limit: int = 20) -> tuple[Release, ...]:
        """Newest first."""
        return await self._read(partial(rows.load_releases, stack=stack, limit=limit))

    async def events(
        self,
        *,
        after: int = 0,
        stack: str = "",
        app_id: str = "",
        instance_id: str = "",
        deployment: str = "",
        limit: int = 1000,
        up_to: int | None = None,
    ) -> Sequence[Event]:
        """Oldest first, those with sequence > after; after=-1: the newest `limit`."""
        wanted = rows.EventFilter(
            after=after,
            stack=stack,
            app_id=app_id,
            instance_id=instance_id,
            deployment=deployment,
            limit=limit,
            up_to=up_to,
        )
        return await self._read(partial(rows.load_events, wanted=wanted))

    async def sequence_at(self, at_ms: int) -> int:
        """The sequence of the newest event up to a moment."""
        return await self._read(partial(rows.sequence_at, at_ms=at_ms))

    async def past(self, *, at_ms: int) -> Past:
        """What was held at a moment."""
        return await self._read(partial(past.load_past, at_ms=at_ms))

    async def changes(self, *, number: int, up_to_ms: int, limit: int = 1000) -> tuple[Change, ...]:
        """The newest changes of one port number up to a moment, oldest first."""
        query = partial(past.load_changes, number=number, up_to_ms=up_to_ms, limit=limit)
        return await self._read(query)

    async def _run(self, executor: ThreadPoolExecutor | None, call: Callable[[], T]) -> T:
        if executor is None:
            raise not_open(self.where)
        return await asyncio.get_running_loop().run_in_executor(executor, call)

    async def _read(self, query: Callable[..., T]) -> T:
        def call() -> T:
            with self._database.read() as connection:
                return query(connection, where=self.where)

        return await self._run(self._readers or self._writer, call)

    async def _reading(self, query: Callable[[Connection], T]) -> T:
        def call(connection: Connection, *, where: str) -> T:
            del where  # the query knows it
            return query(connection)

        return await self._read(call)

    async def _writing(self, change: Callable[[Connection], T]) -> T:
        def call() -> T:
            with self._database.write() as connection:
                return change(connection)

        return await self._run(self._writer, call)

    def _open(self) -> None:
        self._lock.acquire()
        try:
            self._database.open(remembered_home_id(self._home) or secrets.token_hex(4))
        except BaseException:
            self._close()
            raise

    def _close(self) -> None:
        try:
            self._database.close()
        finally:
            self._lock.release()

    def _load(self) -> Snapshot:
        self._settle()
        with self._database.read() as connection:
            snapshot = rows.load_snapshot(connection, where=self.where)
        remember_home_id(self._home, snapshot.home_id)
        return snapshot

    def _save(self, batch: Batch) -> tuple[Event, ...]:
        self._settle()
        token = secrets.token_hex(8)
        with self._database.write() as connection:
            first = self._sequence(connection)
            changed = self._last_change
            events = rows.save_batch(connection, batch, last_sequence=first)
            last_change = past.append_changes(
                connection, batch.ownership, batch.mark, last_sequence=changed
            )
            self._prune(connection, first, first + len(events))
            prune_up_to = self._prune_changes(connection, batch)
            rows.put_meta(connection, rows.LAST_BATCH, token)
            self._in_doubt = _InDoubt(token, batch, first, changed)
        self._in_doubt = None
        self._last_sequence = first + len(events)
        self._last_change, self._prune_up_to = last_change, prune_up_to
        return events

    def _settle(self) -> None:
        """Undo the batch whose commit got no answer, if it was committed after all: its caller was told it failed."""
        doubt = self._in_doubt
        if doubt is None:
            return
        with self._database.write() as connection:
            if rows.get_meta(connection, rows.LAST_BATCH) == doubt.token:
                rows.undo_versions(connection, doubt.batch.apps)
                rows.undo_events(connection, after=doubt.last_sequence)
                past.undo_changes(connection, after=doubt.last_change)
        self._in_doubt = None

    def _sequence(self, connection: Connection) -> int:
        if self._generation != self._database.generation:
            self._last_sequence = rows.last_event_sequence(connection)
            self._last_change = past.last_change(connection)
            self._generation = self._database.generation
        return self._last_sequence

    def _prune(self, connection: Connection, first: int, last: int) -> None:
        """A few old events at a time, so that no single save pays for many."""
        if first // self._prune_step != last // self._prune_step and last > self._events_kept:
            rows.prune_events(connection, up_to=last - self._events_kept)

    def _prune_changes(self, connection: Connection, batch: Batch) -> int:
        """With a mark, what is too old is found; with it and every save after, some of it is deleted."""
        up_to = self._prune_up_to
        if batch.mark is not None:
            before_ms = batch.mark.at_ms - self._kept_ms
            up_to = past.prune_marks(connection, before_ms=before_ms, kept=self._events_kept)
            rows.prune_old_events(connection, before_ms=before_ms)
        if up_to and past.prune_changes(connection, up_to=up_to):
            return 0
        return up_to


@dataclass(frozen=True, slots=True)
class _InDoubt:
    """A batch whose commit failed: it may have been committed all the same."""

    token: str
    batch: Batch
    last_sequence: int  # of the event before its first one
    last_change: int  # likewise
