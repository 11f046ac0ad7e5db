"""The store's values as rows: every statement, run on the connection it is given. Opens and commits nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.dml import Insert

from portway.core.events import Event
from portway.core.stack import Certificate, Release, Stack
from portway.core.state import AppState
from portway.store import schema
from portway.store.base import Batch, CoolingLease, Snapshot
from portway.store.codec import decode, encode
from portway.store.refusals import changed_elsewhere

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

T = TypeVar("T")

HOME_ID = "home_id"
LAST_BATCH = "last_batch"
_PRUNED_AT_ONCE = 10_000
_KEYS_MAX = 500  # names in one IN (...): far below what either database takes


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events are wanted; "" = any."""

    after: int = 0
    stack: str = ""
    app_id: str = ""
    instance_id: str = ""
    deployment: str = ""
    limit: int = 1000
    up_to: int | None = None


def save_batch(connection: Connection, batch: Batch, *, last_sequence: int) -> tuple[Event, ...]:
    """Write everything in the batch; the events come back numbered from `last_sequence` + 1."""
    _delete(connection, schema.releases, "stack", batch.deleted_stacks)
    _delete(connection, schema.stacks, "name", batch.deleted_stacks)
    _delete(connection, schema.apps, "app_id", batch.deleted_apps)
    _delete(connection, schema.certificates, "name", batch.deleted_certificates)
    _save_apps(connection, batch.apps)
    _put(connection, schema.stacks, [{"name": s.name, "document": encode(s)} for s in batch.stacks])
    _put(
        connection,
        schema.certificates,
        [{"name": c.name, "document": encode(c)} for c in batch.certificates],
    )
    _put(
        connection,
        schema.releases,
        [{"stack": r.stack, "release_id": r.id, "document": encode(r)} for r in batch.releases],
    )
    if batch.cooling is not None:
        _replace_cooling(connection, batch.cooling)
    return _append_events(connection, batch.events, last_sequence=last_sequence)


def load_snapshot(connection: Connection, *, where: str) -> Snapshot:
    """Everything but releases and events, each kind in the order of its names."""
    home_id = get_meta(connection, HOME_ID)
    assert home_id is not None, "the schema is made together with its home id"
    return Snapshot(
        home_id=home_id,
        stacks=_load(connection, Stack, schema.stacks, "name", where=where),
        apps=_load_apps(connection, where=where),
        certificates=_load(connection, Certificate, schema.certificates, "name", where=where),
        cooling=_load(connection, CoolingLease, schema.cooling, "position", where=where),
    )


def load_release(
    connection: Connection, stack: str, release_id: str, *, where: str
) -> Release | None:
    """One release of a stack."""
    table = schema.releases
    document = connection.scalar(
        select(table.c.document).where(table.c.stack == stack, table.c.release_id == release_id)
    )
    if document is None:
        return None
    return decode(Release, document, where=f"Release {release_id} of {stack} in {where}")


def load_releases(
    connection: Connection, stack: str, *, limit: int, where: str
) -> tuple[Release, ...]:
    """The releases saved last, newest first; the order is that of saving, whatever the clock did."""
    table = schema.releases
    rows = connection.execute(
        select(table.c.release_id, table.c.document)
        .where(table.c.stack == stack)
        .order_by(table.c.sequence.desc())
        .limit(limit)
    )
    return tuple(
        decode(Release, document, where=f"Release {release_id} of {stack} in {where}")
        for release_id, document in rows
    )


def load_events(connection: Connection, wanted: EventFilter, *, where: str) -> tuple[Event, ...]:
    """Oldest first; `after` = -1 takes the newest ones instead of the first ones after a sequence."""
    table = schema.events
    newest = wanted.after < 0
    query = select(table.c.sequence, table.c.document).where(table.c.sequence > wanted.after)
    if wanted.up_to is not None:
        query = query.where(table.c.sequence <= wanted.up_to)
    for column in ("stack", "app_id", "instance_id", "deployment"):
        if value := getattr(wanted, column):
            query = query.where(table.c[column] == value)
    order = table.c.sequence.desc() if newest else table.c.sequence
    rows = connection.execute(query.order_by(order).limit(wanted.limit)).all()
    events = tuple(
        decode(Event, document, where=f"Event {sequence} in {where}") for sequence, document in rows
    )
    return events[::-1] if newest else events


def get_meta(connection: Connection, name: str) -> str | None:
    """The value kept under a name about the store itself."""
    return connection.scalar(select(schema.meta.c.value).where(schema.meta.c.name == name))


def put_meta(connection: Connection, name: str, value: str) -> None:
    """Keep a value under a name about the store itself."""
    _put(connection, schema.meta, [{"name": name, "value": value}])


def last_event_sequence(connection: Connection) -> int:
    """The sequence of the newest event, 0 when there is none."""
    return connection.scalar(select(func.max(schema.events.c.sequence))) or 0


def sequence_at(connection: Connection, *, at_ms: int, where: str) -> int:  # noqa: ARG001
    """The newest event up to a moment, by the index of times."""
    table = schema.events
    query = select(table.c.sequence).where(table.c.at_ms <= at_ms)
    order = (table.c.at_ms.desc(), table.c.sequence.desc())
    return connection.scalar(query.order_by(*order).limit(1)) or 0


def prune_events(connection: Connection, *, up_to: int) -> None:
    """Delete every event with a sequence up to `up_to`."""
    connection.execute(delete(schema.events).where(schema.events.c.sequence <= up_to))


def prune_old_events(connection: Connection, *, before_ms: int) -> None:
    """Delete some of the events before a moment, the newest excepted: numbers are never given twice."""
    table = schema.events
    newest = select(func.max(table.c.sequence)).scalar_subquery()
    old = select(table.c.sequence).where(table.c.at_ms < before_ms, table.c.sequence < newest)
    some = old.order_by(table.c.at_ms).limit(_PRUNED_AT_ONCE)
    connection.execute(delete(table).where(table.c.sequence.in_(some)))


def undo_events(connection: Connection, *, after: int) -> None:
    """Delete every event with a sequence above `after`."""
    connection.execute(delete(schema.events).where(schema.events.c.sequence > after))


def undo_versions(connection: Connection, apps: Iterable[AppState]) -> None:
    """Take back the version step of a batch whose caller was told that it failed."""
    table = schema.apps
    for app in apps:
        connection.execute(
            update(table)
            .where(table.c.app_id == app.app_id, table.c.version == app.version + 1)
            .values(version=app.version)
        )


def _save_apps(connection: Connection, apps: Sequence[AppState]) -> None:
    if not apps:
        return
    stored = _stored_versions(connection, [app.app_id for app in apps])
    rows: list[dict[str, object]] = []
    for app in apps:
        version = stored.get(app.app_id, 0)
        if version != app.version:
            raise changed_elsewhere(app.app_id, stored=version, given=app.version)
        stored[app.app_id] = version + 1
        document = encode(replace(app, version=version + 1))
        rows.append({"app_id": app.app_id, "version": version + 1, "document": document})
    _put(connection, schema.apps, rows)


def _stored_versions(connection: Connection, app_ids: Sequence[str]) -> dict[str, int]:
    table = schema.apps
    versions: dict[str, int] = {}
    for chunk in _chunks(app_ids):
        query = select(table.c.app_id, table.c.version).where(table.c.app_id.in_(chunk))
        versions.update((app_id, version) for app_id, version in connection.execute(query))
    return versions


def _replace_cooling(connection: Connection, cooling: Sequence[CoolingLease]) -> None:
    connection.execute(delete(schema.cooling))
    if cooling:
        rows = [
            {"position": position, "document": encode(lease)}
            for position, lease in enumerate(cooling)
        ]
        connection.execute(insert(schema.cooling), rows)


def _append_events(
    connection: Connection, events: Sequence[Event], *, last_sequence: int
) -> tuple[Event, ...]:
    if not events:
        return ()
    numbered = tuple(
        replace(event, sequence=sequence)
        for sequence, event in enumerate(events, start=last_sequence + 1)
    )
    rows = [
        {
            "sequence": event.sequence,
            "stack": event.stack,
            "app_id": event.app_id,
            "instance_id": event.instance_id,
            "deployment": event.deployment,
            "at_ms": event.at_ms,
            "document": encode(event),
        }
        for event in numbered
    ]
    connection.execute(insert(schema.events), rows)
    return numbered


def _put(connection: Connection, table: Table, rows: Sequence[dict[str, object]]) -> None:
    if rows:
        connection.execute(_upsert(table, connection.dialect.name), list(rows))


def _insert(table: Table, dialect: str) -> sqlite.Insert | postgresql.Insert:
    if dialect != "postgresql":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # takes room that most servers need not spend

    return postgresql.insert(table)


@cache
def _upsert(table: Table, dialect: str) -> Insert:
    """Insert a row, or give the one with the same key the new values."""
    keys = {
        schema.apps: ["app_id"],
        schema.stacks: ["name"],
        schema.certificates: ["name"],
        schema.releases: ["stack", "release_id"],
        schema.meta: ["name"],
    }[table]
    statement = _insert(table, dialect)
    values = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if column.name not in (*keys, "sequence")
    }
    return statement.on_conflict_do_update(index_elements=keys, set_=values)


def _delete(connection: Connection, table: Table, column: str, keys: Sequence[str]) -> None:
    if keys:
        statement = delete(table).where(table.c[column] == bindparam("key"))
        connection.execute(statement, [{"key": key} for key in keys])


def _load(
    connection: Connection, kind: type[T], table: Table, key: str, *, where: str
) -> tuple[T, ...]:
    rows = connection.execute(select(table.c[key], table.c.document)).all()
    return tuple(
        decode(kind, document, where=f"{kind.__name__} {name} in {where}")
        for name, document in sorted((row[0], row[1]) for row in rows)
    )


def _load_apps(connection: Connection, *, where: str) -> tuple[AppState, ...]:
    table = schema.apps
    query = select(table.c.app_id, table.c.version, table.c.document)
    states: list[AppState] = []
    for app_id, version, document in connection.execute(query):
        state = decode(AppState, document, where=f"App {app_id} in {where}")
        states.append(state if state.version == version else replace(state, version=version))
    return tuple(sorted(states, key=lambda state: state.app_id))


def _chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _KEYS_MAX):
        yield keys[start : start + _KEYS_MAX]
