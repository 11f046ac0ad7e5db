"""The tables, and the steps that bring an older database up to them. Holds no query.

Every row is a JSON document (codec.py) beside the few columns that are searched by. A change of
the tables is one more function at the end of MIGRATIONS; those before it never change again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    inspect,
    select,
)
from sqlalchemy.dialects.sqlite import INTEGER

from portway.core.errors import StoreError

metadata = MetaData()

# SQLite makes a primary key the row's own address only when its type is exactly INTEGER.
_Serial = BigInteger().with_variant(INTEGER(), "sqlite")

meta = Table(
    "meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)

stacks = Table(
    "stacks",
    metadata,
    Column("name", String, primary_key=True),
    Column("document", Text, nullable=False),
)

apps = Table(
    "apps",
    metadata,
    Column("app_id", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("sequence", _Serial, primary_key=True, autoincrement=True),
    Column("stack", String, nullable=False),
    Column("release_id", String, nullable=False),
    Column("document", Text, nullable=False),
    Index("releases_by_name", "stack", "release_id", unique=True),
)

certificates = Table(
    "certificates",
    metadata,
    Column("name", String, primary_key=True),
    Column("document", Text, nullable=False),
)

cooling = Table(
    "cooling",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("document", Text, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("sequence", _Serial, primary_key=True, autoincrement=False),
    Column("stack", String, nullable=False),
    Column("app_id", String, nullable=False),
    Column("instance_id", String, nullable=False),
    Column("deployment", String, nullable=False),
    Column("at_ms", BigInteger, nullable=False, server_default="0"),
    Column("document", Text, nullable=False),
    Index("events_by_stack", "stack", "sequence"),
    Index("events_by_app", "app_id", "sequence"),
    Index("events_by_instance", "instance_id", "sequence"),
    Index("events_by_deployment", "deployment", "sequence"),
    Index("events_by_time", "at_ms", "sequence"),
)

# Who held which port: each change once, and now and then everything that is held.
ownership = Table(
    "ownership",
    metadata,
    Column("sequence", _Serial, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("document", Text, nullable=False),
    Index("ownership_by_number", "number", "sequence"),
)

ownership_marks = Table(
    "ownership_marks",
    metadata,
    Column("sequence", _Serial, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)

# The objects of the faces that speak another system's language, each kind with its own shape.
documents = Table(
    "documents",
    metadata,
    Column("kind", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("document", Text, nullable=False),
)

Migration = Callable[[Connection], None]


def _create_tables(connection: Connection) -> None:
    metadata.create_all(connection)


def _add_the_journal_of_ports(connection: Connection) -> None:
    """Events are found by their time, and who held a port is written down."""
    metadata.create_all(connection)  # only those that are missing
    if "at_ms" in {column["name"] for column in inspect(connection).get_columns(events.name)}:
        return
    connection.exec_driver_sql("ALTER TABLE events ADD COLUMN at_ms BIGINT NOT NULL DEFAULT 0")
    written = {
        "sqlite": "json_extract(document, '$.at_ms')",
        "postgresql": "(CAST(document AS json)->>'at_ms')::bigint",
    }[connection.dialect.name]
    connection.exec_driver_sql(f"UPDATE events SET at_ms = {written}")  # noqa: S608  (no input)
    connection.exec_driver_sql("CREATE INDEX events_by_time ON events (at_ms, sequence)")


def _add_documents(connection: Connection) -> None:
    metadata.create_all(connection)  # only those that are missing


MIGRATIONS: tuple[Migration, ...] = (_create_tables, _add_the_journal_of_ports, _add_documents)


def schema_version(connection: Connection, *, where: str) -> int:
    """The version of the schema in the database, 0 when it is empty; StoreError when it is not portway's."""
    present = set(inspect(connection).get_table_names()) & set(metadata.tables)
    if meta.name not in present:
        if present:
            raise _foreign_error(where, sorted(present))
        return 0
    columns = {column["name"] for column in inspect(connection).get_columns(meta.name)}
    if not columns >= {"name", "value"}:
        raise _foreign_error(where, [meta.name])
    value = connection.scalar(select(meta.c.value).where(meta.c.name == "schema_version"))
    if not isinstance(value, str) or not value.isdigit():
        raise _foreign_error(where, [meta.name])
    return int(value)


def migrate(
    connection: Connection,
    *,
    where: str,
    home_id: str,
    migrations: Sequence[Migration] = MIGRATIONS,
) -> None:
    """Bring the database to the newest schema within the caller's transaction; a newer one is refused untouched."""
    version = schema_version(connection, where=where)
    if version > len(migrations):
        raise StoreError(
            f"{where} was written by a newer portway (schema {version}; this one knows up to {len(migrations)}).",
            hint="Nothing was changed. Start that newer portway, or restore a backup made before the upgrade.",
            retryable=False,
        )
    if version == len(migrations):
        return
    for migration in migrations[version:]:
        migration(connection)
    connection.execute(meta.delete().where(meta.c.name == "schema_version"))
    values = [{"name": "schema_version", "value": str(len(migrations))}]
    if version == 0:
        values.append({"name": "home_id", "value": home_id})
    connection.execute(meta.insert(), values)


def _foreign_error(where: str, tables: Sequence[str]) -> StoreError:
    return StoreError(
        f"{where} already has tables that are not portway's ({', '.join(tables)}).",
        hint="Nothing was changed. Give portway a database (or a schema: ?options=-csearch_path=portway) of its own.",
        retryable=False,
    )
