"""SQLite under faults: damage is never written over, a full or read-only disk loses nothing and heals."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from portway.core.errors import StoreError
from portway.store import sqlite
from portway.store.base import Batch, Snapshot
from portway.store.sql import SqlStore, open_store
from portway.store.sqlite import DATABASE_NAME
from tests.store import samples

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
async def store(home: Path) -> AsyncIterator[SqlStore]:
    store = open_store(home)
    await store.open()
    yield store
    await store.close()


async def fill(home: Path) -> Snapshot:
    """Save a good deal, close, and return what is in the store."""
    store = open_store(home)
    await store.open()
    apps = tuple(samples.state(f"s/app{number}") for number in range(100))
    await store.save(Batch(apps=apps, stacks=(samples.stack(),), events=(samples.event(),) * 500))
    snapshot = await store.load()
    await store.close()
    return snapshot


async def load(home: Path) -> Snapshot:
    store = open_store(home)
    await store.open()
    try:
        return await store.load()
    finally:
        await store.close()


def contents(home: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.glob("portway.db*")}


async def refused(home: Path) -> StoreError:
    """How opening is refused; nothing in the home may change by it."""
    before = contents(home)
    store = open_store(home)
    with pytest.raises(StoreError) as caught:
        await store.open()
    after = contents(home)
    assert {name: after.get(name) for name in before} == before
    assert caught.value.hint
    return caught.value


async def test_the_files_are_readable_by_their_owner_alone(home: Path, store: SqlStore) -> None:
    old_mask = os.umask(0)
    try:
        await store.save(Batch(apps=(samples.state(),)))
    finally:
        os.umask(old_mask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
    assert modes == dict.fromkeys(
        ["portway.db", "portway.db-shm", "portway.db-wal", "portway.lock"], 0o600
    )
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


async def test_a_file_others_could_read_is_closed_to_them(home: Path) -> None:
    await fill(home)
    (home / DATABASE_NAME).chmod(0o644)
    await load(home)
    assert stat.S_IMODE((home / DATABASE_NAME).stat().st_mode) == 0o600


async def in_store_thread(store: SqlStore, statement: str) -> object:
    """Run one statement on the store's own connection."""

    def run() -> object:
        with store._database.read() as connection:  # pyright: ignore
            result = connection.exec_driver_sql(statement)
            return result.scalar() if result.returns_rows else None

    return await asyncio.get_running_loop().run_in_executor(store._writer, run)  # pyright: ignore


async def test_every_save_is_on_the_disk_before_it_returns(store: SqlStore) -> None:
    assert await in_store_thread(store, "PRAGMA journal_mode") == "wal"
    assert await in_store_thread(store, "PRAGMA synchronous") == 2, "FULL"


KILLED = """
import asyncio, sys
from pathlib import Path
from portway.store import sqlite
from portway.store.base import Batch
from portway.store.sql import open_store
from tests.store import samples
async def main():
    store = open_store(Path(sys.argv[1]))
    await store.open()
    version = 0
    while True:
        await store.save(Batch(apps=(samples.state(version=version, count=version % 5),), events=(samples.event(),)))
        version += 1
        print(version, flush=True)
asyncio.run(main())
"""


async def test_whatever_was_saved_before_a_kill_is_there_after_it(home: Path) -> None:
    root = Path(__file__).parents[2]
    for _ in range(3):
        shutil.rmtree(home, ignore_errors=True)
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, home],
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        ) as process:
            assert process.stdout is not None
            for _ in range(50):
                told = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
            told = max(told, *(int(word) for word in rest)) if rest else told
        (app,) = (await load(home)).apps
        assert app.version - told in (0, 1)
        assert app == samples.state(version=app.version, count=(app.version - 1) % 5)


@pytest.mark.parametrize("kept", [0.001, 0.2, 0.5, 0.9, 0.999])
async def test_a_truncated_file_is_refused_and_not_touched(home: Path, kept: float) -> None:
    await fill(home)
    path = home / DATABASE_NAME
    os.truncate(path, int(path.stat().st_size * kept))
    error = await refused(home)
    assert str(path) in error.message
    assert "is damaged" in error.message
    assert "backup" in error.hint
    assert not error.retryable


async def test_a_truncated_file_of_a_killed_server_is_refused_with_its_log_untouched(
    home: Path, tmp_path: Path
) -> None:
    await fill(home)
    store = open_store(home)
    await store.open()
    await store.save(Batch(stacks=(samples.stack("new"),)))
    killed = tmp_path / "killed"
    shutil.copytree(home, killed)
    await store.close()
    assert (killed / "portway.db-wal").stat().st_size > 0
    os.truncate(killed / DATABASE_NAME, 5 * 4096)
    (killed / "portway.db-shm").unlink()  # rebuilt from the log by whoever opens it
    assert "is damaged" in (await refused(killed)).message


async def test_an_empty_file_is_refused_rather_than_taken_for_a_new_store(home: Path) -> None:
    await fill(home)
    os.truncate(home / DATABASE_NAME, 0)
    assert "is damaged (it is empty)" in (await refused(home)).message


async def test_a_file_that_is_no_database_is_refused_and_not_touched(home: Path) -> None:
    home.mkdir()
    (home / DATABASE_NAME).write_text("not a database\n" * 1000)
    assert "is damaged (file is not a database)" in (await refused(home)).message


async def test_a_file_with_overwritten_pages_is_refused_and_not_touched(home: Path) -> None:
    await fill(home)
    path = home / DATABASE_NAME
    with path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * 4096 * 4)
    assert "is damaged" in (await refused(home)).message


async def test_a_missing_file_whose_log_is_there_is_refused(home: Path) -> None:
    await fill(home)
    (home / DATABASE_NAME).rename(home / "moved")
    (home / "portway.db-wal").write_bytes(b"frames")
    error = await refused(home)
    assert "is missing, yet portway.db-wal" in error.message
    assert not (home / DATABASE_NAME).exists()


async def test_a_database_of_something_else_is_refused_and_not_touched(home: Path) -> None:
    home.mkdir()
    connection = sqlite3.connect(home / DATABASE_NAME)
    connection.execute("CREATE TABLE apps (id INTEGER)")
    connection.commit()
    connection.close()
    assert "not portway's (apps)" in (await refused(home)).message


async def test_a_store_of_a_newer_portway_is_refused_and_not_touched(home: Path) -> None:
    await fill(home)
    connection = sqlite3.connect(home / DATABASE_NAME)
    connection.execute("UPDATE meta SET value = '99' WHERE name = 'schema_version'")
    connection.commit()
    connection.close()
    error = await refused(home)
    assert "written by a newer portway (schema 99" in error.message


async def test_an_interrupted_creation_leaves_nothing_in_the_way(home: Path) -> None:
    home.mkdir()
    (home / "portway.db.new").write_bytes(b"half")
    assert (await load(home)).apps == ()
    assert not (home / "portway.db.new").exists()


async def test_after_a_refused_open_the_home_is_free_again(home: Path) -> None:
    home.mkdir()
    (home / DATABASE_NAME).write_bytes(b"")
    await refused(home)
    (home / DATABASE_NAME).unlink()
    assert (await load(home)).apps == ()


async def test_a_damaged_row_is_named(home: Path) -> None:
    await fill(home)
    connection = sqlite3.connect(home / DATABASE_NAME)
    connection.execute("UPDATE apps SET document = '{' WHERE app_id = 's/app7'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match=f"App s/app7 in {home}/portway.db is saved in a form"):
        await load(home)


async def test_a_file_deleted_while_in_use_is_noticed_and_reads_go_on(
    home: Path, store: SqlStore
) -> None:
    await store.save(Batch(apps=(samples.state(),)))
    (home / DATABASE_NAME).rename(home / "moved")
    with pytest.raises(StoreError, match="was deleted or replaced") as caught:
        await store.save(Batch(apps=(samples.state(version=1),)))
    assert not caught.value.retryable
    assert len((await store.load()).apps) == 1
    (home / "moved").rename(home / DATABASE_NAME)
    await store.save(Batch(apps=(samples.state(version=1),)))


async def test_another_program_that_keeps_the_file_locked_is_told_of(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_TIMEOUT_MS", 50)
    store = open_store(home)
    await store.open()
    with closing(sqlite3.connect(home / DATABASE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="Another program keeps .* locked") as caught:
            await store.save(Batch(apps=(samples.state(),)))
    assert caught.value.retryable
    await store.save(Batch(apps=(samples.state(),)))
    await store.close()


async def test_calls_do_not_block_the_event_loop(home: Path, store: SqlStore) -> None:
    other = sqlite3.connect(home / DATABASE_NAME, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    threading.Timer(0.5, lambda: (other.execute("ROLLBACK"), other.close())).start()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(tick())
        await store.save(Batch(apps=(samples.state(),)))
        ticking.cancel()
    assert ticks >= 5


def mount(directory: Path, size: str) -> None:
    directory.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], check=True, timeout=20
    )


def fill_up(ballast: Path) -> None:
    """Leave no free block on the file system."""
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    directory = tmp_path / "disk"
    try:
        mount(directory, "2m")
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("this machine does not let us mount a tmpfs")
    yield directory
    subprocess.run(["umount", "-l", directory], check=True, timeout=20)


@needs_root
@pytest.mark.root
async def test_a_full_disk_refuses_saves_keeps_reads_and_heals_by_itself(small_disk: Path) -> None:
    store = open_store(small_disk / "home")
    await store.open()
    ballast = small_disk / "ballast"
    state = samples.state()
    await store.save(Batch(apps=(state,), releases=(samples.release("RAAAAAAAAAA"),)))
    state = replace(state, version=1)
    fill_up(ballast)
    saved = 1
    with pytest.raises(StoreError) as caught:
        for _ in range(2000):
            await store.save(Batch(apps=(state,), events=(samples.event(),) * 10))
            state = replace(state, version=state.version + 1)
            saved += 1
    assert caught.value.retryable
    assert "There is no space left" in caught.value.message
    assert str(small_disk / "home" / DATABASE_NAME) in caught.value.message
    for _ in range(3):  # refused again and again, the same way
        with pytest.raises(StoreError, match="no space left"):
            await store.save(Batch(apps=(state,), events=(samples.event(),) * 10))
    assert (await store.load()).apps == (replace(state, version=saved),)
    assert await store.release("httpd", "RAAAAAAAAAA") is not None
    ballast.unlink()
    await store.save(Batch(apps=(state,), events=(samples.event(),)))
    await store.close()
    assert (await load(small_disk / "home")).apps == (replace(state, version=saved + 1),)


@needs_root
@pytest.mark.root
async def test_a_store_on_a_full_disk_opens_and_can_be_read(small_disk: Path) -> None:
    home = small_disk / "home"
    store = open_store(home)
    await store.open()
    await store.save(Batch(apps=(samples.state(),)))
    await store.close()
    fill_up(small_disk / "ballast")
    store = open_store(home)
    try:
        await store.open()
    except StoreError as error:
        assert error.retryable, error  # noqa: PT017  (no room even for the shared memory file)
    else:
        assert (await store.load()).apps == (samples.state(version=1),)
        await store.close()
    (small_disk / "ballast").unlink()
    assert (await load(home)).apps == (samples.state(version=1),)


@needs_root
@pytest.mark.root
async def test_a_new_store_on_a_full_disk_is_refused_and_leaves_no_half_file(
    small_disk: Path,
) -> None:
    home = small_disk / "home"
    home.mkdir()
    fill_up(small_disk / "ballast")
    store = open_store(home)
    with pytest.raises(StoreError, match=r"space left|disk failed"):
        await store.open()
    assert not (home / DATABASE_NAME).exists()
    (small_disk / "ballast").unlink()
    assert (await load(home)).apps == ()


async def test_a_database_that_turns_read_only_refuses_saves_keeps_reads_and_heals(
    store: SqlStore,
) -> None:
    # A file system cannot be made read-only under an open file; SQLite says the same of itself.
    await store.save(Batch(apps=(samples.state(),)))
    await in_store_thread(store, "PRAGMA query_only = 1")
    with pytest.raises(StoreError, match="is read-only") as caught:
        await store.save(Batch(apps=(samples.state(version=1),)))
    assert caught.value.retryable
    assert (await store.load()).apps == (samples.state(version=1),)
    await in_store_thread(store, "PRAGMA query_only = 0")
    await store.save(Batch(apps=(samples.state(version=1),)))


@needs_root
@pytest.mark.root
async def test_a_read_only_file_system_is_refused_at_the_start_with_what_to_do(
    small_disk: Path,
) -> None:
    home = small_disk / "home"
    await fill_little(home)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True, timeout=20)
    error = await refused(home)
    assert "cannot be used: Read-only file system" in error.message
    subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True, timeout=20)
    assert len((await load(home)).apps) == 1


async def fill_little(home: Path) -> None:
    store = open_store(home)
    await store.open()
    await store.save(Batch(apps=(samples.state(),)))
    await store.close()
