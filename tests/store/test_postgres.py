"""PostgreSQL under faults: lost connections come back, a lost lock is never written without, no password is shown."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection

from portway.core.errors import RequestError, StoreError
from portway.store.base import Batch
from portway.store.postgres import PostgresDatabase, parse_store_url
from portway.store.sql import SqlStore, open_store
from tests.store import samples
from tests.store.postgres_server import PASSWORD, PostgresServer

pytestmark = pytest.mark.postgres


@pytest.fixture
def database(postgres_server: PostgresServer) -> str:
    return postgres_server.new_database()


@pytest.fixture
async def store(
    tmp_path: Path, postgres_server: PostgresServer, database: str
) -> AsyncIterator[SqlStore]:
    store = open_store(tmp_path / "home", postgres_server.url(database))
    await store.open()
    yield store
    await store.close()


def kick(server: PostgresServer, database: str) -> None:
    """End every session of the database, as an administrator or a restart does."""
    server.run(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        f" WHERE datname = '{database}' AND pid <> pg_backend_pid()"
    )


def shown(error: BaseException) -> str:
    """Everything that a log could show of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error)


async def eventually_saved(store: SqlStore, batch: Batch) -> None:
    """The first save after a loss may still find it; the ones after must not."""
    for _ in range(5):
        try:
            await store.save(batch)
        except StoreError as error:
            if not error.retryable:
                raise
        else:
            return
    raise AssertionError("the store does not connect again")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
async def test_every_form_of_the_url_is_understood(
    tmp_path: Path, postgres_server: PostgresServer, database: str, scheme: str
) -> None:
    store = open_store(tmp_path, postgres_server.url(database, scheme=scheme))
    await store.open()
    await store.save(Batch(apps=(samples.state(),)))
    await store.close()


@pytest.mark.parametrize("url", ["mysql://h/d", "nonsense", "", f"postgres://u:{PASSWORD}@h:x/d"])
def test_any_other_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_store_url(url)
    assert PASSWORD not in shown(caught.value)


async def test_a_killed_session_is_told_as_retryable_and_made_anew(
    store: SqlStore, postgres_server: PostgresServer, database: str
) -> None:
    await store.save(Batch(apps=(samples.state(),), events=(samples.event(),)))
    kick(postgres_server, database)
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        await store.save(Batch(apps=(samples.state(version=1),)))
    assert caught.value.retryable
    (event,) = await store.save(Batch(apps=(samples.state(version=1),), events=(samples.event(),)))
    assert event.sequence == 2
    assert (await store.load()).apps == (samples.state(version=2),)


async def test_reads_survive_a_killed_session_without_a_word(
    store: SqlStore, postgres_server: PostgresServer, database: str
) -> None:
    await store.save(Batch(events=(samples.event(),)))
    await store.events()
    kick(postgres_server, database)
    assert len(await store.events()) == 1


async def test_a_stopped_server_is_told_and_a_started_one_found_again(
    store: SqlStore, postgres_server: PostgresServer
) -> None:
    await store.save(Batch(apps=(samples.state(),)))
    postgres_server.stop()
    try:
        for call in (
            lambda: store.save(Batch(apps=(samples.state(version=1),))),
            store.load,
            store.events,
        ):
            with pytest.raises(StoreError, match="cannot be reached") as caught:
                await call()
            assert caught.value.retryable
            assert PASSWORD not in shown(caught.value)
    finally:
        postgres_server.start()
    await eventually_saved(store, Batch(apps=(samples.state(version=1),)))
    assert (await store.load()).apps == (samples.state(version=2),)


async def test_a_server_that_took_over_meanwhile_is_not_written_against(
    tmp_path: Path, store: SqlStore, postgres_server: PostgresServer, database: str
) -> None:
    await store.save(Batch(apps=(samples.state(),)))
    kick(postgres_server, database)
    other = open_store(tmp_path / "other", postgres_server.url(database))
    await other.open()
    with pytest.raises(StoreError):
        await store.save(Batch(apps=(samples.state(version=1),)))
    with pytest.raises(StoreError, match=r"Another portway server \(process \d+ on ") as caught:
        await store.save(Batch(apps=(samples.state(version=1),)))
    assert not caught.value.retryable
    await other.save(Batch(apps=(samples.state(version=1, count=9),)))
    await other.close()


async def test_two_homes_in_two_schemas_of_one_database_do_not_meet(
    tmp_path: Path, postgres_server: PostgresServer, database: str
) -> None:
    stores = []
    for name in ("one", "two"):
        postgres_server.run(f"CREATE SCHEMA {name}", database)
        url = f"{postgres_server.url(database)}?options=-csearch_path%3D{name}"
        stores.append(open_store(tmp_path / name, url))
        await stores[-1].open()
        await stores[-1].save(Batch(apps=(samples.state(f"{name}/web"),)))
    assert [[app.app_id for app in (await s.load()).apps] for s in stores] == [
        ["one/web"],
        ["two/web"],
    ]
    for store in stores:
        await store.close()


@contextmanager
def answer_lost(store: SqlStore) -> Iterator[None]:
    """The next transaction is committed, and then its answer is lost with the connection."""
    database = store._database  # pyright: ignore
    write = database.write

    @contextmanager
    def committed_then_lost() -> Iterator[Connection]:
        with write() as connection:
            yield connection
        database._drop_writer()
        raise StoreError("The connection was lost.")

    database.write = committed_then_lost
    try:
        yield
    finally:
        database.write = write


async def test_a_save_whose_answer_was_lost_can_be_tried_again_as_if_it_had_not_been(
    store: SqlStore,
) -> None:
    await store.save(Batch(apps=(samples.state(),), events=(samples.event("first"),)))
    batch = Batch(apps=(samples.state(version=1, count=3),), events=(samples.event("second"),))
    with answer_lost(store), pytest.raises(StoreError, match="lost"):
        await store.save(batch)
    changed = replace(batch, apps=(samples.state(version=1, count=4),))
    (event,) = await store.save(changed)
    assert event.sequence == 2
    assert [event.kind for event in await store.events()] == ["first", "second"]
    assert (await store.load()).apps == (samples.state(version=2, count=4),)


async def test_after_a_lost_answer_a_load_shows_the_version_the_caller_may_go_on_from(
    store: SqlStore,
) -> None:
    with answer_lost(store), pytest.raises(StoreError, match="lost"):
        await store.save(Batch(apps=(samples.state(),), events=(samples.event(),)))
    await store.load()
    assert list(await store.events()) == []
    await store.save(Batch(apps=(samples.state(),)))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (PASSWORD, "wrong-pass", "refused the user or the password"),
        ("portway:", "nobody:", "refused the user or the password"),
        ("/DATABASE", "/nowhere", "does not exist"),
        (":PORT/", ":1/", "cannot be reached"),
    ],
)
async def test_a_database_that_cannot_be_used_is_refused_at_the_start_without_the_password(
    tmp_path: Path, postgres_server: PostgresServer, database: str, old: str, new: str, says: str
) -> None:
    old = old.replace("DATABASE", database).replace("PORT", str(postgres_server.port_number))
    store = open_store(tmp_path, postgres_server.url(database).replace(old, new))
    with pytest.raises(StoreError, match=says) as caught:
        await store.open()
    assert caught.value.hint
    assert PASSWORD not in shown(caught.value)
    assert "wrong-pass" not in shown(caught.value)


async def test_a_read_only_database_refuses_saves_keeps_reads_and_heals(
    store: SqlStore, postgres_server: PostgresServer, database: str
) -> None:
    await store.save(Batch(apps=(samples.state(),)))
    postgres_server.run(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    kick(postgres_server, database)
    with pytest.raises(StoreError, match="cannot be reached"):
        await store.save(Batch(apps=(samples.state(version=1),)))
    with pytest.raises(StoreError, match="is read-only") as caught:
        await store.save(Batch(apps=(samples.state(version=1),)))
    assert caught.value.retryable
    assert (await store.load()).apps == (samples.state(version=1),)
    postgres_server.run(f"ALTER DATABASE {database} RESET default_transaction_read_only")
    kick(postgres_server, database)
    await eventually_saved(store, Batch(apps=(samples.state(version=1),)))


async def test_tables_that_are_not_ours_are_refused_untouched(
    tmp_path: Path, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run("CREATE TABLE apps (id INTEGER)", database)
    store = open_store(tmp_path, postgres_server.url(database))
    with pytest.raises(StoreError, match="not portway's .apps"):
        await store.open()
    assert postgres_server.run(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'", database
    ) == [("apps",)]


async def test_no_secret_is_in_the_error_of_a_refused_statement(
    store: SqlStore, postgres_server: PostgresServer, database: str
) -> None:
    postgres_server.run("ALTER TABLE stacks RENAME TO elsewhere", database)
    secret = replace(samples.stack(), environment={"KEY": PASSWORD})
    with pytest.raises(StoreError) as caught:
        await store.save(Batch(stacks=(secret,)))
    assert PASSWORD not in shown(caught.value)
    assert not caught.value.retryable


def test_the_name_shown_to_people_has_no_password_and_no_options() -> None:
    database = PostgresDatabase(f"postgres://ada:{PASSWORD}@h:5432/d?password={PASSWORD}")
    assert database.where == "postgresql://ada:***@h:5432/d"
    assert PASSWORD not in database.where
