"""The journal of ports and routes as rows: every statement about it. A moment is read from one mark and what follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, delete, func, insert, select

from portway.core.ownership import Change, Mark, Past
from portway.store import schema
from portway.store.codec import decode, encode

PRUNED_AT_ONCE = 2000  # rows; so that no single save pays for many

_changes = schema.ownership
_marks = schema.ownership_marks


def append_changes(
    connection: Connection, changes: Sequence[Change], mark: Mark | None, *, last_sequence: int
) -> int:
    """Write changes and, after them, the mark; the sequence of the last change."""
    rows = [
        {
            "sequence": sequence,
            "at_ms": change.at_ms,
            "number": change.holding.number,
            "document": encode(replace(change, sequence=sequence)),
        }
        for sequence, change in enumerate(changes, start=last_sequence + 1)
    ]
    if rows:
        connection.execute(insert(_changes), rows)
    last = last_sequence + len(rows)
    if mark is not None:
        row = {"sequence": last, "at_ms": mark.at_ms}
        connection.execute(insert(_marks), [{**row, "document": encode(replace(mark, sequence=last))}])  # fmt: skip
    return last


def last_change(connection: Connection) -> int:
    """The sequence of the newest change, 0 when there is none."""
    newest = connection.scalar(select(func.max(_changes.c.sequence))) or 0
    return max(newest, connection.scalar(select(func.max(_marks.c.sequence))) or 0)


def undo_changes(connection: Connection, *, after: int) -> None:
    """Delete what was written after a sequence."""
    for table in (_changes, _marks):
        connection.execute(delete(table).where(table.c.sequence > after))


def load_past(connection: Connection, *, at_ms: int, where: str) -> Past:
    """What the moment is rebuilt from."""
    found = connection.execute(
        select(_marks.c.sequence, _marks.c.document)
        .where(_marks.c.at_ms <= at_ms)
        .order_by(_marks.c.sequence.desc())
        .limit(1)
    ).first()
    mark = decode(Mark, found.document, where=f"A mark in {where}") if found else None
    return Past(
        begins_at_ms=_begins_at_ms(connection),
        mark=mark,
        changes=_changes_after(connection, mark.sequence if mark else 0, at_ms, where=where),
    )


def _changes_after(
    connection: Connection, sequence: int, at_ms: int, *, where: str
) -> tuple[Change, ...]:
    """Up to the mark after, at most."""
    end = connection.scalar(select(func.min(_marks.c.sequence)).where(_marks.c.sequence > sequence))
    query = select(_changes.c.document).where(_changes.c.sequence > sequence)
    if end is not None:
        query = query.where(_changes.c.sequence <= end)
    query = query.where(_changes.c.at_ms <= at_ms).order_by(_changes.c.sequence)
    return tuple(decode(Change, text, where=f"A change in {where}") for text in connection.scalars(query))  # fmt: skip


def _begins_at_ms(connection: Connection) -> int | None:
    """The first change while none was pruned, else the first mark: before it a moment cannot be rebuilt."""
    first = connection.execute(
        select(_changes.c.sequence, _changes.c.at_ms).order_by(_changes.c.sequence).limit(1)
    ).first()
    if first is not None and first.sequence == 1:
        return first.at_ms
    return connection.scalar(select(_marks.c.at_ms).order_by(_marks.c.sequence).limit(1))


def load_changes(
    connection: Connection, *, number: int, up_to_ms: int, limit: int, where: str
) -> tuple[Change, ...]:
    """The newest changes of one number up to a moment, oldest first."""
    query = (
        select(_changes.c.document)
        .where(_changes.c.number == number, _changes.c.at_ms <= up_to_ms)
        .order_by(_changes.c.sequence.desc())
        .limit(limit)
    )
    found = [decode(Change, text, where=f"A change in {where}") for text in connection.scalars(query)]  # fmt: skip
    return tuple(found[::-1])


def prune_marks(connection: Connection, *, before_ms: int, kept: int) -> int:
    """Forget what is older, or more than so many changes back; the sequence up to which changes are to go.

    The newest mark that is old enough stays, for the moments after it are rebuilt from it.
    """
    newest = last_change(connection)
    old = connection.scalar(
        select(func.max(_marks.c.sequence)).where(
            (_marks.c.at_ms <= before_ms) | (_marks.c.sequence <= newest - kept)
        )
    )
    if old is None:
        return 0
    connection.execute(delete(_marks).where(_marks.c.sequence < old))
    return old


def prune_changes(connection: Connection, *, up_to: int) -> bool:
    """Delete some of the changes up to a sequence; whether none is left."""
    oldest = select(_changes.c.sequence).where(_changes.c.sequence <= up_to)
    some = oldest.order_by(_changes.c.sequence).limit(PRUNED_AT_ONCE)
    result = connection.execute(delete(_changes).where(_changes.c.sequence.in_(some)))
    return result.rowcount < PRUNED_AT_ONCE
