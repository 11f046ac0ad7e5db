"""The stores that the contract is checked against, each on something that outlives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from portway.store.base import Store
from portway.store.memory import MemoryDisk, MemoryStore
from portway.store.sql import open_store
from tests.store.postgres_server import PostgresServer

EVENTS_KEPT = 50

StoreMaker = Callable[[], Store]


def memory_maker() -> StoreMaker:
    disk = MemoryDisk()
    return lambda: MemoryStore(disk, events_kept=EVENTS_KEPT)


def sqlite_maker(home: Path) -> StoreMaker:
    return lambda: open_store(home, events_kept=EVENTS_KEPT)


def postgres_maker(home: Path, server: PostgresServer) -> StoreMaker:
    url = server.url(server.new_database())
    homes = iter(range(1000))  # the home's lock would refuse before the database's does
    return lambda: open_store(home / str(next(homes)), url, events_kept=EVENTS_KEPT)
