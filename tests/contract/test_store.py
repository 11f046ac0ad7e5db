"""What every store promises: the same suite over memory, SQLite and a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from portway.core.errors import StoreError
from portway.core.receipt import AppReceipt, FailedRequests, Receipt
from portway.core.traffic import Traffic
from portway.store.base import Batch, Snapshot, Store
from tests.contract.stores import (
    EVENTS_KEPT,
    StoreMaker,
    memory_maker,
    postgres_maker,
    sqlite_maker,
)
from tests.store import samples


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreMaker]:
    match request.param:
        case "memory":
            yield memory_maker()
        case "sqlite":
            yield sqlite_maker(tmp_path / "home")
        case _:
            yield postgres_maker(tmp_path, request.getfixturevalue("postgres_server"))


@pytest.fixture
async def store(make_store: StoreMaker) -> AsyncIterator[Store]:
    store = make_store()
    await store.open()
    yield store
    await store.close()


async def reopened(store: Store, make_store: StoreMaker) -> Snapshot:
    """What the next server finds."""
    await store.close()
    after = make_store()
    await after.open()
    try:
        return await after.load()
    finally:
        await after.close()


async def test_a_new_store_is_empty_and_has_a_name_of_its_own(store: Store) -> None:
    snapshot = await store.load()
    assert snapshot == Snapshot(
        home_id=snapshot.home_id, stacks=(), apps=(), certificates=(), cooling=()
    )
    assert snapshot.home_id.isalnum()
    assert list(await store.events()) == []


async def test_the_home_id_survives_a_restart(store: Store, make_store: StoreMaker) -> None:
    before = await store.load()
    assert (await reopened(store, make_store)).home_id == before.home_id


async def test_what_was_saved_survives_a_restart(store: Store, make_store: StoreMaker) -> None:
    await store.save(
        Batch(
            stacks=(samples.stack(),),
            apps=(samples.state(),),
            certificates=(samples.certificate(),),
            cooling=(samples.cooling(),),
        )
    )
    snapshot = await reopened(store, make_store)
    assert snapshot.stacks == (samples.stack(),)
    assert snapshot.apps == (samples.state(version=1),)
    assert snapshot.certificates == (samples.certificate(),)
    assert snapshot.cooling == (samples.cooling(),)


async def test_a_snapshot_is_in_the_order_of_names(store: Store) -> None:
    names = ["b/web", "a/web", "a-b/web"]
    await store.save(
        Batch(
            apps=tuple(samples.state(name) for name in names),
            stacks=tuple(samples.stack(name) for name in names),
        )
    )
    snapshot = await store.load()
    assert [app.app_id for app in snapshot.apps] == sorted(names)
    assert [stack.name for stack in snapshot.stacks] == sorted(names)


async def test_saving_an_app_counts_its_version_up(store: Store) -> None:
    for version in range(3):
        await store.save(Batch(apps=(samples.state(version=version, count=version),)))
    (app,) = (await store.load()).apps
    assert (app.version, app.count) == (3, 2)


@pytest.mark.parametrize("version", [0, 1, 3])
async def test_an_app_another_portway_changed_is_refused(store: Store, version: int) -> None:
    await store.save(Batch(apps=(samples.state(),)))
    await store.save(Batch(apps=(samples.state(version=1),)))
    with pytest.raises(StoreError, match='changed "httpd/web" since this one read it') as caught:
        await store.save(Batch(apps=(samples.state(version=version, count=9),)))
    assert not caught.value.retryable
    assert (await store.load()).apps == (samples.state(version=2),)


async def test_an_app_another_portway_deleted_is_refused(store: Store) -> None:
    await store.save(Batch(apps=(samples.state(),)))
    await store.save(Batch(deleted_apps=("httpd/web",)))
    with pytest.raises(StoreError, match="not saved any more"):
        await store.save(Batch(apps=(samples.state(version=1),)))
    assert (await store.load()).apps == ()


async def test_of_a_refused_batch_nothing_is_saved(store: Store) -> None:
    await store.save(
        Batch(apps=(samples.state(),), stacks=(samples.stack(),), cooling=(samples.cooling(1),))
    )
    before = await store.load()
    with pytest.raises(StoreError):
        await store.save(
            Batch(
                apps=(samples.state("httpd/new"), samples.state(version=7)),
                stacks=(samples.stack("other"),),
                releases=(samples.release("RAAAAAAAAAA"),),
                certificates=(samples.certificate(),),
                events=(samples.event(),),
                cooling=(),
                deleted_stacks=("httpd",),
            )
        )
    assert await store.load() == before
    assert list(await store.events()) == []
    assert await store.releases("httpd") == ()


async def test_saving_goes_on_after_a_refusal(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.save(Batch(apps=(samples.state(version=7),), events=(samples.event(),)))
    (saved,) = await store.save(Batch(apps=(samples.state(),), events=(samples.event(),)))
    assert saved.sequence == 1


async def test_of_two_saves_at_once_from_one_version_exactly_one_is_refused(store: Store) -> None:
    results = await asyncio.gather(
        *(store.save(Batch(apps=(samples.state(),))) for _ in range(2)), return_exceptions=True
    )
    assert [type(result) for result in results] == [tuple, StoreError]


async def test_a_deleted_app_can_be_made_anew_in_the_same_batch(store: Store) -> None:
    await store.save(Batch(apps=(samples.state(),)))
    await store.save(Batch(apps=(samples.state(count=5),), deleted_apps=("httpd/web",)))
    assert (await store.load()).apps == (samples.state(version=1, count=5),)


async def test_a_deleted_stack_takes_its_releases_with_it_and_no_others(store: Store) -> None:
    await store.save(
        Batch(
            stacks=(samples.stack("httpd"), samples.stack("httpd2")),
            releases=(
                samples.release("RAAAAAAAAAA"),
                samples.release("RAAAAAAAAAA", stack="httpd2"),
            ),
        )
    )
    await store.save(Batch(deleted_stacks=("httpd",)))
    assert (await store.load()).stacks == (samples.stack("httpd2"),)
    assert await store.releases("httpd") == ()
    assert await store.releases("httpd2") == (samples.release("RAAAAAAAAAA", stack="httpd2"),)


async def test_a_deleted_certificate_is_gone_and_the_others_stay(store: Store) -> None:
    await store.save(Batch(certificates=(samples.certificate("a"), samples.certificate("b"))))
    await store.save(Batch(deleted_certificates=("a",)))
    assert (await store.load()).certificates == (samples.certificate("b"),)


async def test_deleting_what_is_not_there_changes_nothing(store: Store) -> None:
    await store.save(Batch(deleted_apps=("x",), deleted_stacks=("x",), deleted_certificates=("x",)))
    assert (await store.load()).apps == ()


async def test_a_stack_saved_again_replaces_the_one_before(store: Store) -> None:
    await store.save(Batch(stacks=(samples.stack(),)))
    changed = replace(samples.stack(), active_release="RAAAAAAAAAA")
    await store.save(Batch(stacks=(changed,)))
    assert (await store.load()).stacks == (changed,)


async def test_cooling_ports_stay_unless_a_batch_replaces_them_all(store: Store) -> None:
    await store.save(Batch(cooling=(samples.cooling(1), samples.cooling(2))))
    await store.save(Batch(apps=(samples.state(),)))
    assert (await store.load()).cooling == (samples.cooling(1), samples.cooling(2))
    await store.save(Batch(cooling=(samples.cooling(3),)))
    assert (await store.load()).cooling == (samples.cooling(3),)
    await store.save(Batch(cooling=()))
    assert (await store.load()).cooling == ()


async def test_a_release_saved_again_keeps_its_place_and_gains_its_receipt(store: Store) -> None:
    older, newer = samples.release("RAAAAAAAAAA"), samples.release("RBBBBBBBBBB")
    await store.save(Batch(releases=(older,)))
    await store.save(Batch(releases=(newer,)))
    receipt = Receipt(
        deployment="D1",
        release=older.id,
        status="done",
        started_at_ms=1,
        ended_at_ms=2,
        stages_ms={"start": 1},
        apps=(
            AppReceipt(
                app="web", failed=1, failures=(FailedRequests(reason="no instance", count=1),)
            ),
        ),
        before={"shop/web": Traffic(requests=7)},
    )
    await store.save(Batch(releases=(replace(older, receipts=(receipt,)),)))
    assert [release.id for release in await store.releases("httpd")] == [newer.id, older.id]
    found = await store.release("httpd", older.id)
    assert found is not None
    assert found.receipts == (receipt,)


async def test_releases_come_newest_first_whatever_the_clock_did(store: Store) -> None:
    names = ["RAAAAAAAAAA", "RCCCCCCCCCC", "RBBBBBBBBBB"]
    for at_ms, name in zip((300, 100, 200), names, strict=True):
        await store.save(Batch(releases=(samples.release(name, created_at_ms=at_ms),)))
    found = await store.releases("httpd")
    assert [release.id for release in found] == names[::-1]
    assert [release.id for release in await store.releases("httpd", limit=2)] == names[:0:-1]


async def test_a_release_saved_again_keeps_its_place(store: Store) -> None:
    for name in ("RAAAAAAAAAA", "RBBBBBBBBBB", "RAAAAAAAAAA"):
        await store.save(Batch(releases=(samples.release(name),)))
    assert [r.id for r in await store.releases("httpd")] == ["RBBBBBBBBBB", "RAAAAAAAAAA"]


async def test_a_release_is_found_by_its_stack_and_id_only(store: Store) -> None:
    await store.save(Batch(releases=(samples.release("RAAAAAAAAAA"),)))
    assert await store.release("httpd", "RAAAAAAAAAA") == samples.release("RAAAAAAAAAA")
    assert await store.release("httpd", "RAAAAAAAAA") is None
    assert await store.release("http", "RAAAAAAAAAA") is None


async def test_events_are_numbered_from_one_without_gaps(store: Store) -> None:
    first = await store.save(Batch(events=(samples.event("a.b"), samples.event("c.d"))))
    second = await store.save(Batch(events=(samples.event("e.f"),)))
    assert [event.sequence for event in (*first, *second)] == [1, 2, 3]
    assert list(await store.events()) == [*first, *second]


async def test_event_numbers_grow_on_after_a_restart(store: Store, make_store: StoreMaker) -> None:
    await store.save(Batch(events=(samples.event(),)))
    await store.close()
    after = make_store()
    await after.open()
    (event,) = await after.save(Batch(events=(samples.event(),)))
    await after.close()
    assert event.sequence == 2


async def test_events_after_a_sequence_come_oldest_first_up_to_the_limit(store: Store) -> None:
    await store.save(Batch(events=tuple(samples.event() for _ in range(10))))
    assert [event.sequence for event in await store.events(after=3, limit=4)] == [4, 5, 6, 7]


async def test_the_newest_events_come_oldest_first_too(store: Store) -> None:
    await store.save(Batch(events=tuple(samples.event() for _ in range(10))))
    assert [event.sequence for event in await store.events(after=-1, limit=3)] == [8, 9, 10]


async def test_events_are_filtered_by_whole_names_never_by_prefixes(store: Store) -> None:
    await store.save(
        Batch(
            events=(
                samples.event(stack="s", app_id="s/a", instance_id="s/a.1.1", deployment="D1"),
                samples.event(stack="s2", app_id="s/a2", instance_id="s/a.1.11", deployment="D11"),
            )
        )
    )
    for wanted in (
        {"stack": "s"},
        {"app_id": "s/a"},
        {"instance_id": "s/a.1.1"},
        {"deployment": "D1"},
        {"stack": "s", "app_id": "s/a"},
    ):
        assert [event.sequence for event in await store.events(**wanted)] == [1], wanted
    assert list(await store.events(stack="s", app_id="s/a2")) == []


async def test_the_newest_events_of_one_app_are_counted_among_its_own(store: Store) -> None:
    for _ in range(5):
        await store.save(Batch(events=(samples.event(app_id="a"), samples.event(app_id="b"))))
    assert [e.sequence for e in await store.events(after=-1, app_id="a", limit=2)] == [7, 9]


async def test_only_the_newest_events_are_kept_and_numbers_are_never_reused(store: Store) -> None:
    for _ in range(30):
        await store.save(Batch(events=(samples.event(), samples.event(), samples.event())))
    kept = [event.sequence for event in await store.events(limit=1000)]
    assert kept == list(range(90 - EVENTS_KEPT + 1, 91))
    (event,) = await store.save(Batch(events=(samples.event(),)))
    assert event.sequence == 91


async def test_hundreds_of_apps_are_saved_in_one_batch(store: Store) -> None:
    apps = tuple(samples.state(f"s/app{n:04}") for n in range(1200))
    await store.save(Batch(apps=apps))
    await store.save(Batch(apps=tuple(replace(app, version=1) for app in apps)))
    assert {app.version for app in (await store.load()).apps} == {2}


async def test_of_two_open_stores_on_one_home_the_second_is_refused_with_the_holders_name(
    store: Store, make_store: StoreMaker
) -> None:
    second = make_store()
    with pytest.raises(
        StoreError, match=r"Another portway server \(.*process.*\) already"
    ) as caught:
        await second.open()
    assert not caught.value.retryable
    await second.close()
    await store.save(Batch(apps=(samples.state(),)))


async def test_a_closed_store_refuses_with_a_sentence_and_closing_twice_is_harmless(
    store: Store,
) -> None:
    await store.close()
    await store.close()
    with pytest.raises(StoreError, match="is not open"):
        await store.load()
    with pytest.raises(StoreError, match="is not open"):
        await store.save(Batch())
