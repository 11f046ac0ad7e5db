"""The journal with a million entries: how long "who had this port, and what was so at that time" takes.

    .venv/bin/python benchmarks/journal.py            1,000,000 changes of ports and as many events
    .venv/bin/python benchmarks/journal.py --quick    100,000

The rows are written in bulk into the SQLite file of a home, in the form the store writes them; everything measured is
asked of the store itself: of moments, ports and stacks spread over the whole of it, the newest and the oldest included.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

from measure import Figure, arguments, percentile, report, seconds

from portway.core.events import Event
from portway.core.ownership import ALWAYS, Change, Holding, HoldingKind, Mark, held
from portway.store.base import Batch
from portway.store.codec import encode
from portway.store.sql import SqlStore, open_store
from portway.store.sqlite import DATABASE_NAME

HELD = 1000  # at any moment
BETWEEN_MARKS = 2000  # as the controller writes them
BEGAN_MS = 1_700_000_000_000
EVERY_MS = 1500
STACKS = 100
ASKED = 60
PLACE, MOMENT, NUMBER = "<place>", 7_777_777, 8_888_888


def main() -> int:
    """Build it, ask it, report."""
    options = arguments(__doc__)
    entries = 100_000 if options.quick else 1_000_000
    with tempfile.TemporaryDirectory(prefix="pw") as directory:
        return report(asyncio.run(measured(Path(directory), entries)), options)


async def measured(home: Path, entries: int) -> list[Figure]:
    """Every figure."""
    async with opened(home):
        pass  # the tables are there
    build(home / DATABASE_NAME, entries)
    began_s = time.perf_counter()
    async with opened(home) as store:
        await store.load()
        open_s = time.perf_counter() - began_s
        past, changes, around, page, saves = await asked(store, entries)
    size = (home / DATABASE_NAME).stat().st_size
    name = f"{entries:,} changes of ports, {entries:,} events"
    return [
        told(f"Who held what at a moment, p50 and p99, {name}", past, aim=100),
        told("Who had a port, its last 1,000 changes, p50 and p99", changes, aim=100),
        told("Events of a stack around a moment, p50 and p99", around, aim=100),
        told("A page of 1,000 events, p50 and p99", page, aim=100),
        told("Saving a decision meanwhile, p50 and p99", saves, aim=None),
        Figure(name="Opening it", ours=seconds(open_s), value=open_s, aim=5, unit="s"),
        Figure(name="Size on the disk", ours=f"{size / 2**20:.0f} MB", value=size / 2**20),
    ]  # fmt: skip


def told(name: str, took_s: Sequence[float], *, aim: float | None) -> Figure:
    """The median is what the aim is about; the worst of a hundred says whether it is bounded."""
    median, worst = statistics.median(took_s), percentile(took_s, 99)
    both = f"{seconds(median)}, {seconds(worst)}"
    return Figure(name=name, ours=both, value=median * 1000, aim=aim, unit="ms")


async def asked(store: SqlStore, entries: int) -> list[list[float]]:
    """How long each question took, each time."""
    draw = random.Random(1)
    last_ms = BEGAN_MS + entries * EVERY_MS

    def moments() -> Iterator[int]:
        return itertools.chain([BEGAN_MS + 1, last_ms], (draw.randrange(BEGAN_MS + 1, last_ms) for _ in range(ASKED)))  # fmt: skip

    async def past(at_ms: int) -> None:
        found = held(await store.past(at_ms=at_ms))
        assert found, at_ms

    async def changes(at_ms: int) -> None:
        number = 31000 + at_ms % HELD
        assert await store.changes(number=number, up_to_ms=ALWAYS, limit=1000), number

    async def around(at_ms: int) -> None:
        pivot = await store.sequence_at(at_ms)
        stack = f"s{at_ms % STACKS}"
        await store.events(after=-1, up_to=pivot, stack=stack, limit=25)
        await store.events(after=pivot, stack=stack, limit=25)

    async def page(at_ms: int) -> None:
        after = await store.sequence_at(at_ms)
        await store.events(after=max(0, after - 1000), limit=1000)

    async def save(at_ms: int) -> None:
        event = Event(at_ms=at_ms, kind="instance.started", message="started", stack="s1")
        await store.save(Batch(events=(event,)))

    calls = (past, changes, around, page, save)
    return [await timed(one, moments()) for one in calls]


async def timed(call: Callable[[int], Awaitable[None]], moments: Iterator[int]) -> list[float]:
    """Its time at each moment."""
    took: list[float] = []
    for at_ms in moments:
        began_s = time.perf_counter()
        await call(at_ms)
        took.append(time.perf_counter() - began_s)
    return took


@asynccontextmanager
async def opened(home: Path):  # noqa: ANN201
    """The store of a home."""
    store = open_store(home)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def build(path: Path, entries: int) -> None:
    """Write the journal: ports change hands one after another, and everything held is marked now and then."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        with connection:
            connection.executemany("INSERT INTO ownership (sequence, at_ms, number, document) VALUES (?, ?, ?, ?)", _changes(entries))  # fmt: skip
            connection.executemany("INSERT INTO ownership_marks (sequence, at_ms, document) VALUES (?, ?, ?)", _marks(entries))  # fmt: skip
            connection.executemany(
                "INSERT INTO events (sequence, stack, app_id, instance_id, deployment, at_ms, document)"
                " VALUES (?, ?, ?, ?, '', ?, ?)",
                _events(entries),
            )


def _changes(entries: int) -> Iterator[tuple[int, int, int, str]]:
    templates = {
        taken: encode(Change(at_ms=MOMENT, taken=taken, holding=_holding(NUMBER, PLACE), sequence=MOMENT))
        for taken in (True, False)
    }  # fmt: skip
    for nth in range(1, entries + 1):
        number, at_ms = 31000 + nth // 2 % HELD, BEGAN_MS + nth * EVERY_MS
        document = _filled(templates[nth % 2 == 1], at_ms, number, f"s{nth % STACKS}/web.1.{nth // 2}")  # fmt: skip
        yield nth, at_ms, number, document


def _marks(entries: int) -> Iterator[tuple[int, int, str]]:
    holdings = tuple(_holding(31000 + n, f"s{n % STACKS}/web.1.{n}") for n in range(HELD))
    mark = Mark(at_ms=BEGAN_MS, holdings=holdings)
    for nth in range(0, entries + 1, BETWEEN_MARKS):
        at_ms = BEGAN_MS + nth * EVERY_MS
        yield nth, at_ms, encode(replace(mark, at_ms=at_ms, sequence=nth))


def _events(entries: int) -> Iterator[tuple[int, str, str, str, int, str]]:
    event = Event(
        at_ms=MOMENT, kind="instance.ready", message=f"{PLACE} is healthy", stack="s",
        app_id="s/web", instance_id=PLACE, release="R1", sequence=MOMENT,
    )  # fmt: skip
    template = encode(event)
    for nth in range(1, entries + 1):
        stack, at_ms = f"s{nth % STACKS}", BEGAN_MS + nth * EVERY_MS
        name = f"{stack}/web.1.{nth}"
        yield nth, stack, f"{stack}/web", name, at_ms, _filled(template, at_ms, 0, name)


def _holding(number: int, name: str) -> Holding:
    return Holding(
        kind=HoldingKind.LEASE, number=number, app_id=name.rpartition(".")[0].rpartition(".")[0] or "s/web",
        port_name="80", address="127.0.0.1", instance_id=name, node="local", container_port=80,
    )  # fmt: skip


def _filled(template: str, at_ms: int, number: int, name: str) -> str:
    text = template.replace(str(MOMENT), str(at_ms)).replace(str(NUMBER), str(number))
    return text.replace(PLACE, name)


if __name__ == "__main__":
    sys.exit(main())
