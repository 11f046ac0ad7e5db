"""The journal of ports and routes, kept by a whole controller: nothing is missed, nothing is told twice."""

from __future__ import annotations

from portway.controller import ownership
from portway.core.errors import StoreError
from portway.core.ownership import ALWAYS, HoldingKind, Past, held
from portway.core.ownership import ports_of as ports_held
from portway.store.memory import MemoryDisk
from tests.controller.inprocess import WEB, Portway, compose, running_portway

VIRTUAL_TIME = True
TWO = compose(web="image: web; ports: ['80:8080']; deploy: {replicas: 2}")


async def past(portway: Portway, at_ms: int = ALWAYS) -> Past:
    return await portway.store.past(at_ms=at_ms)


async def told(portway: Portway, number: int) -> list[tuple[bool, str, str]]:
    changes = await portway.store.changes(number=number, up_to_ms=ALWAYS)
    return [(c.taken, c.holding.instance_id, c.holding.state) for c in changes]


async def test_a_redeploy_is_told_port_by_port(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    (first,) = portway.app("shop/web").live[0].identity.leases
    await portway.deploy("shop", WEB.replace("image: web", "image: web:2"))
    await portway.idle(20)
    assert await told(portway, first.host_port) == [
        (True, "shop/web.1.1", ""),
        (False, "shop/web.1.1", ""),
    ]
    listener = await told(portway, 80)
    assert listener[0] == (True, "", "")
    assert [step for step in listener[1:] if step[1].endswith(".1")] == [
        (True, "shop/web.1.1", "ready"),
        (False, "shop/web.1.1", "ready"),
        (True, "shop/web.1.1", "draining"),
        (False, "shop/web.1.1", "draining"),
    ]


async def test_the_journal_says_what_is_so_now(portway: Portway) -> None:
    await portway.deploy("shop", TWO)
    await portway.deploy("shop", WEB)
    await portway.idle(20)
    now = held(await past(portway))
    assert {h for h in now if h.kind is not HoldingKind.ENDPOINT} == ports_held(
        portway.app("shop/web")
    )
    endpoints = {h.instance_id for h in now if h.kind is HoldingKind.ENDPOINT}
    assert sorted(endpoints) == portway.serving(80)


async def test_a_moment_long_ago_is_still_known(portway: Portway) -> None:
    await portway.deploy("shop", TWO)
    await portway.idle(10)
    then_ms, then = portway.clock.now_ms(), portway.serving(80)
    await portway.idle(1)
    await portway.deploy("shop", WEB.replace("image: web", "image: web:2"))
    await portway.idle(20)
    found = held(await past(portway, then_ms))
    assert sorted(h.instance_id for h in found if h.kind is HoldingKind.ENDPOINT) == then


async def test_a_deleted_stack_holds_nothing_any_more(portway: Portway) -> None:
    await portway.deploy("shop", TWO)
    await portway.operations.delete_stack("shop")
    await portway.until(lambda: not portway.controller.world.apps)
    await portway.idle(20)
    assert held(await past(portway)) == frozenset()


async def test_what_could_not_be_saved_is_told_with_the_next_save(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    portway.store.fail_saves(StoreError("the disk is full"), times=3)
    portway.engine.kill("shop/web.1.1")
    await portway.idle(30)
    now = held(await past(portway))
    assert {h.instance_id for h in now if h.kind is HoldingKind.LEASE} == {"shop/web.1.2"}


async def test_the_next_controller_goes_on_where_the_journal_stopped() -> None:
    disk = MemoryDisk()
    async with running_portway(disk=disk) as portway:
        await portway.deploy("shop", TWO)
        await portway.idle(10)
        before, world, balancer = held(await past(portway)), portway.engine.world, portway.balancer
        count = disk.last_change
    async with running_portway(disk=disk, world=world, balancer=balancer) as portway:
        await portway.idle(30)
        assert held(await past(portway)) == before
        assert disk.last_change == count


async def test_what_went_while_nobody_looked_is_told_as_ended(portway: Portway) -> None:
    await portway.deploy("shop", WEB)
    await portway.idle(10)
    known = held(await past(portway))
    after = ownership.Ownership()
    after.restore(await past(portway), (), now_ms=7)
    assert {c.holding for c in after.waiting} == known
    assert {(c.taken, c.at_ms) for c in after.waiting} == {(False, 7)}


async def test_a_mark_is_written_now_and_then(monkeypatch) -> None:
    monkeypatch.setattr(ownership, "CHANGES_BETWEEN_MARKS", 3)
    async with running_portway() as portway:
        await portway.deploy("shop", TWO)
        for nth in range(4):
            await portway.deploy("shop", TWO.replace("image: web", f"image: web:{nth}"))
        await portway.idle(20)
        marks = portway.store.disk.marks
        assert len(marks) > 2
        whole = Past(changes=tuple(portway.store.disk.changes))
        assert held(whole) == held(await past(portway))
        assert (await past(portway)).mark == marks[-1]
