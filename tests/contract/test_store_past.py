"""What every store promises about the past: moments, port numbers, how far back, and how much of it is kept."""

from __future__ import annotations

from portway.core.ownership import ALWAYS, Change, Holding, HoldingKind, Mark, held
from portway.store.base import Batch, Store
from tests.contract.stores import EVENTS_KEPT, StoreMaker
from tests.contract.test_store import make_store, store
from tests.store import samples

__all__ = ["make_store", "store"]

DAY_MS = 24 * 3600 * 1000


def holding(number: int) -> Holding:
    return Holding(
        kind=HoldingKind.LEASE, number=number, app_id="shop/web", instance_id=f"shop/web.1.{number}"
    )


def change(at_ms: int, number: int, *, taken: bool = True) -> Change:
    return Change(at_ms=at_ms, taken=taken, holding=holding(number))


async def numbers(store: Store, at_ms: int) -> set[int]:
    return {h.number for h in held(await store.past(at_ms=at_ms))}


async def test_a_moment_is_rebuilt_from_the_changes_up_to_it(store: Store) -> None:
    await store.save(Batch(ownership=(change(10, 1), change(10, 2))))
    await store.save(Batch(ownership=(change(20, 1, taken=False), change(20, 3))))
    assert await numbers(store, 9) == set()
    assert await numbers(store, 10) == {1, 2}
    assert await numbers(store, ALWAYS) == {2, 3}
    assert (await store.past(at_ms=15)).begins_at_ms == 10


async def test_a_store_without_a_past_says_so(store: Store) -> None:
    past = await store.past(at_ms=5)
    assert (past.begins_at_ms, past.mark, past.changes) == (None, None, ())


async def test_a_moment_is_read_from_the_mark_before_it_and_no_further_than_the_next(
    store: Store,
) -> None:
    await store.save(Batch(ownership=(change(10, 1),)))
    mark = Mark(at_ms=20, holdings=(holding(1), holding(2)))
    await store.save(Batch(ownership=(change(20, 2),), mark=mark))
    await store.save(Batch(ownership=(change(30, 3),)))
    later = Mark(at_ms=40, holdings=(holding(1), holding(2), holding(3), holding(4)))
    await store.save(Batch(ownership=(change(40, 4),), mark=later))
    past = await store.past(at_ms=35)
    assert past.mark is not None
    assert (past.mark.at_ms, past.mark.sequence) == (20, 2)
    assert [c.sequence for c in past.changes] == [3]
    assert await numbers(store, 35) == {1, 2, 3}
    assert await numbers(store, 15) == {1}


async def test_one_number_has_its_own_history(store: Store) -> None:
    for at_ms in range(1, 9):
        await store.save(Batch(ownership=(change(at_ms, 7, taken=at_ms % 2 == 1), change(at_ms, 8))))  # fmt: skip
    found = await store.changes(number=7, up_to_ms=6, limit=3)
    assert [(c.at_ms, c.taken) for c in found] == [(4, False), (5, True), (6, False)]
    assert {c.holding.number for c in found} == {7}


async def test_the_past_survives_a_restart(store: Store, make_store: StoreMaker) -> None:
    await store.save(Batch(ownership=(change(10, 1),)))
    await store.close()
    after = make_store()
    await after.open()
    try:
        await after.save(Batch(ownership=(change(20, 2),)))
        assert [c.sequence for c in (await after.past(at_ms=ALWAYS)).changes] == [1, 2]
    finally:
        await after.close()


async def test_what_is_older_than_is_kept_goes_and_the_rest_can_still_be_rebuilt(
    store: Store,
) -> None:
    await store.save(Batch(ownership=(change(1, 1), change(2, 2)), events=(samples.event(at_ms=1),)))  # fmt: skip
    await store.save(Batch(ownership=(change(5, 3),), mark=Mark(at_ms=5, holdings=tuple(map(holding, (1, 2, 3))))))  # fmt: skip
    await store.save(Batch(ownership=(change(6, 1, taken=False),), events=(samples.event(at_ms=6),)))  # fmt: skip
    now_ms = 40 * DAY_MS
    await store.save(
        Batch(
            ownership=(change(now_ms, 4),),
            events=(samples.event(at_ms=now_ms),),
            mark=Mark(at_ms=now_ms, holdings=tuple(map(holding, (2, 3, 4)))),
        )
    )
    assert (await store.past(at_ms=7)).begins_at_ms == 5
    assert await numbers(store, 7) == {2, 3}
    assert await numbers(store, 3) == set()
    assert await store.changes(number=2, up_to_ms=ALWAYS) == ()
    assert [e.at_ms for e in await store.events()] == [now_ms]


async def test_no_more_changes_are_kept_than_events(store: Store) -> None:
    for nth in range(1, 4 * EVENTS_KEPT):
        mark = Mark(at_ms=nth, holdings=()) if nth % 10 == 0 else None
        await store.save(Batch(ownership=(change(nth, 1),), mark=mark))
    kept = await store.changes(number=1, up_to_ms=ALWAYS, limit=10_000)
    assert EVENTS_KEPT <= len(kept) <= EVENTS_KEPT + 20
    assert [c.sequence for c in kept] == list(range(kept[0].sequence, 4 * EVENTS_KEPT))


async def test_an_event_is_found_by_its_time(store: Store) -> None:
    for at_ms in (10, 20, 20, 30):
        await store.save(Batch(events=(samples.event(at_ms=at_ms),)))
    assert [await store.sequence_at(at_ms) for at_ms in (9, 10, 25, ALWAYS)] == [0, 1, 3, 4]
    before = await store.events(after=-1, up_to=3, limit=2)
    assert [e.sequence for e in before] == [2, 3]
