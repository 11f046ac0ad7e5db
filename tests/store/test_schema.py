"""The schema: brought up to date step by step, refused when newer or not portway's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, create_engine, inspect, text

from portway.core.errors import StoreError
from portway.store.rows import HOME_ID, get_meta
from portway.store.schema import MIGRATIONS, migrate, schema_version


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def add_column(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE apps ADD COLUMN note TEXT"))


def version_of(connection: Connection) -> int:
    return schema_version(connection, where="X")


def test_an_empty_database_gets_the_newest_schema_and_a_home_id(connection: Connection) -> None:
    assert version_of(connection) == 0
    migrate(connection, where="X", home_id="abc")
    assert version_of(connection) == len(MIGRATIONS)
    assert get_meta(connection, HOME_ID) == "abc"


def test_migrating_twice_changes_nothing(connection: Connection) -> None:
    migrate(connection, where="X", home_id="abc")
    migrate(connection, where="X", home_id="def")
    assert get_meta(connection, HOME_ID) == "abc"


def test_an_older_database_goes_through_the_missing_steps_only(connection: Connection) -> None:
    migrate(connection, where="X", home_id="abc")
    connection.execute(text("INSERT INTO apps VALUES ('a', 1, '{}')"))
    migrate(connection, where="X", home_id="def", migrations=[*MIGRATIONS, add_column])
    assert "note" in {column["name"] for column in inspect(connection).get_columns("apps")}
    assert version_of(connection) == len(MIGRATIONS) + 1
    assert get_meta(connection, HOME_ID) == "abc"
    assert connection.scalar(text("SELECT app_id FROM apps")) == "a"


def test_a_database_from_before_documents_gets_their_table(connection: Connection) -> None:
    migrate(connection, where="X", home_id="abc")
    connection.execute(text("DROP TABLE documents"))
    connection.execute(text("UPDATE meta SET value = '2' WHERE name = 'schema_version'"))
    migrate(connection, where="X", home_id="def")
    assert "documents" in inspect(connection).get_table_names()
    assert version_of(connection) == len(MIGRATIONS)


def test_a_database_of_a_newer_portway_is_refused_untouched(connection: Connection) -> None:
    migrate(connection, where="X", home_id="abc", migrations=[*MIGRATIONS, add_column])
    with pytest.raises(StoreError, match="X was written by a newer portway") as caught:
        migrate(connection, where="X", home_id="def")
    assert not caught.value.retryable
    assert version_of(connection) == len(MIGRATIONS) + 1


@pytest.mark.parametrize(
    "table",
    [
        "apps (id INTEGER)",
        "events (id INTEGER)",
        "meta (id INTEGER)",
        "meta (name TEXT, value TEXT)",
    ],
)
def test_tables_that_are_not_ours_are_refused_untouched(connection: Connection, table: str) -> None:
    connection.execute(text(f"CREATE TABLE {table}"))
    with pytest.raises(StoreError, match=f"not portway's .{table.split()[0]}") as caught:
        migrate(connection, where="X", home_id="abc")
    assert not caught.value.retryable
    assert inspect(connection).get_table_names() == [table.split()[0]]


def test_tables_of_others_with_other_names_are_left_alone(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE customers (id INTEGER)"))
    migrate(connection, where="X", home_id="abc")
    assert "customers" in inspect(connection).get_table_names()


def test_events_written_before_they_were_found_by_time_get_theirs(connection: Connection) -> None:
    migrate(connection, where="X", home_id="abc", migrations=MIGRATIONS[:1])
    connection.execute(text("DROP INDEX events_by_time"))
    connection.execute(text("ALTER TABLE events DROP COLUMN at_ms"))
    connection.execute(text("DROP TABLE ownership"))
    connection.execute(
        text("INSERT INTO events VALUES (1, '', '', '', '', :document)"),
        {"document": '{"at_ms": 1700000000123, "kind": "a", "message": "b"}'},
    )
    migrate(connection, where="X", home_id="abc")
    assert connection.scalar(text("SELECT at_ms FROM events")) == 1700000000123
    assert "ownership" in inspect(connection).get_table_names()
