"""Nodes: what is set aside on them, what is said of them, and what a placement makes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from portway.core.app import App, Breaker, Placement, Resources, Rollout, SpreadKind
from portway.core.errors import RequestError
from portway.core.placement import Misfit
from tests.controller.inprocess import Portway, running_portway

VIRTUAL_TIME = True

MIB = 1024 * 1024
PATIENT = Rollout(progress_deadline_s=0.0, breaker=Breaker(enabled=False), strict_bounds=True)


@pytest.fixture
async def three() -> AsyncIterator[Portway]:
    """A portway on three nodes of 1024 CPU units and 256 MiB each."""
    async with running_portway(nodes=3) as portway:
        known = portway.engine.world.nodes
        for name, node in known.items():
            known[name] = replace(node, cpu_units=1024, memory_bytes=256 * MIB)
        portway.controller.observer.engine_is_stale = True
        yield portway


def service(name: str = "web", *, memory_mib: int = 100, **placement: object) -> App:
    wanted = {"reserves": True} | placement
    return App(
        id=f"shop/{name}",
        image="web",
        rollout=PATIENT,
        resources=Resources(memory_bytes=memory_mib * MIB, cpu_shares=256),
        placement=Placement(**wanted),  # type: ignore[arg-type]
    )


def where(portway: Portway, app_id: str = "shop/web") -> list[str]:
    return sorted(r.identity.node for r in portway.app(app_id).live)


async def test_what_instances_ask_for_is_set_aside_until_they_are_gone(three: Portway) -> None:
    await three.operations.put_app("shop", service(), count=3)
    await three.settled()
    assert where(three) == ["node-1", "node-2", "node-3"]
    (first, *_) = await three.operations.node_statuses()
    assert (first.used.cpu_units, first.used.memory_bytes >> 20) == (256, 100)
    await three.operations.remove_app("shop", "web")
    await three.until(lambda: "shop/web" not in three.world.apps)
    assert all(n.used.memory_bytes == 0 for n in await three.operations.node_statuses())


async def test_what_does_not_fit_waits_and_says_what_is_missing_where(three: Portway) -> None:
    await three.operations.put_app("shop", service(), count=7)
    await three.until(lambda: three.world.obstacles.get("shop/web"))
    (obstacle,) = three.world.obstacles["shop/web"]
    assert obstacle.code == Misfit.MEMORY
    assert obstacle.node in three.engine.world.nodes
    assert "100 MiB of memory are asked for and 56 are left" in obstacle.reason
    assert len(where(three)) == 6
    event = next(e for e in three.events if e.kind == "app.blocked")
    assert event.data["code"] == "MEMORY"
    await three.operations.put_app("shop", service("small", memory_mib=50))
    await three.until(lambda: len(where(three, "shop/small")) == 1)
    await three.operations.remove_app("shop", "small")
    await three.operations.scale("shop", {"web": 6})
    await three.settled()


async def test_attributes_are_kept_and_constraints_obey_them(three: Portway) -> None:
    await three.operations.mark_node("node-2", attributes={"disk": "ssd", "rack": "a"})
    view = await three.operations.mark_node("node-2", attributes={"rack": None})
    assert view.node.attributes == {"disk": "ssd"}
    members = ("attribute:disk == ssd",)
    await three.operations.put_app("shop", service(members=members), count=2)
    await three.settled()
    assert where(three) == ["node-2", "node-2"]
    after = await three.successor()
    try:
        await after.settled()
        assert after.world.nodes[1].attributes == {"disk": "ssd"}
        assert after.world.nodes[1].registered_at_ms
    finally:
        await after.crash()
        await three.open()


async def test_a_node_is_emptied_and_filled_again(three: Portway) -> None:
    await three.operations.put_app("shop", service(), count=3)
    await three.settled()
    await three.operations.mark_node("node-1", draining=True)
    await three.until(lambda: "node-1" not in where(three))
    assert len(where(three)) == 3
    await three.operations.mark_node("node-1", draining=False)
    await three.operations.scale("shop", {"web": 4})
    await three.until(lambda: "node-1" in where(three))
    assert [e.message for e in three.events if e.kind == "node.marked"] == [
        "node-1 is being emptied",
        "node-1 takes instances again",
    ]


async def test_instances_are_packed_where_that_is_asked_for(three: Portway) -> None:
    packed = service(strategies=((SpreadKind.BINPACK, "memory"),))
    await three.operations.put_app("shop", packed, count=2)
    await three.settled()
    assert len(set(where(three))) == 1


async def test_what_may_not_run_beside_another_service_does_not(three: Portway) -> None:
    await three.operations.put_app("shop", service("api"), count=2)
    await three.settled()
    apart = ("not(task:group == service:api)",)
    await three.operations.put_app("shop", service(members=apart), count=2)
    await three.settled()
    assert not set(where(three)) & set(where(three, "shop/api"))


async def test_a_node_nobody_knows_is_refused(three: Portway) -> None:
    with pytest.raises(RequestError, match="there is no node"):
        await three.operations.mark_node("node-4", draining=True)
    with pytest.raises(RequestError, match="attributes"):
        await three.operations.mark_node("node-1", attributes={"x": "y" * 200})
