"""Whether the rules of the network would keep a load balancer from its targets."""

from __future__ import annotations

from dataclasses import replace

from portway.controller.balancing.barring import NETWORK_AGE_MS, Barring
from portway.controller.network.reading import ensure_network
from portway.controller.world import World
from portway.core.app import App
from portway.core.balancing.model import TargetType
from portway.core.balancing.targets import Member
from portway.core.ecs.labels import SERVICE, Origin, labels_of
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase
from portway.core.network.defaults import (
    default_group_id,
    default_subnet_id,
    default_vpc_id,
    security_group,
)
from portway.core.state import AppState, Revision
from portway.store.documents import MemoryDocuments
from tests.core.balancing.values import BALANCER, GROUP

NEAR = default_subnet_id("h", "a")
DEFAULT = default_group_id(default_vpc_id("h"))
USER = replace(BALANCER, security_groups=(DEFAULT,), zones=(("us-east-1a", NEAR),))
IP_GROUP = replace(GROUP, target_type=TargetType.IP)
MEMBER = Member(
    id="172.18.0.2", number=8080, address="172.18.0.2", endpoint_id="c/web.1.1", registered_at_ms=0, instance_id="c/web.1.1"
)  # fmt: skip


class At:
    """A clock."""

    ms = 0

    def now_ms(self) -> int:
        return self.ms


def world(*groups: str) -> World:
    """A service in awsvpc mode with one task, in these groups."""
    made = World(home_id="h")
    origin = Origin(kind=SERVICE, cluster="c", service="web", subnet=NEAR, security_groups=groups)
    app = App(id="c/web", image="web", labels=labels_of(origin))
    identity = InstanceIdentity(
        id="c/web.1.1", app_id="c/web", slot=1, serial=1, revision="r", release="r", node="n"
    )
    record = InstanceRecord(identity=identity, planned_at_ms=0, phase=Phase.READY)
    revision = Revision(id="r", release="r", app=app)
    made.apps["c/web"] = AppState(
        app_id="c/web", target=revision, revisions={"r": revision}, instances=(record,)
    )
    return made


async def barring(*groups: str) -> Barring:
    documents = MemoryDocuments()
    await ensure_network(documents, home_id="h", region="us-east-1")
    kind, key, body = security_group("sg-t", default_vpc_id("h"), name="t", description="", rules=[])  # fmt: skip
    await documents.put(kind, key, body, 0)
    return Barring(world(*groups), documents, At(), lambda: "us-east-1")


async def test_of_a_task_with_its_own_address_its_own_group_is_looked_at() -> None:
    found = await (await barring("sg-t")).rule(IP_GROUP, MEMBER, [USER])
    assert found.startswith(f"sg-t of the tasks does not admit tcp 8080 from {DEFAULT}")
    assert await (await barring(DEFAULT)).rule(IP_GROUP, MEMBER, [USER]) == ""
    assert await (await barring("sg-t")).rule(IP_GROUP, MEMBER, []) == ""


async def test_what_changes_is_seen_a_second_later_or_when_it_is_told() -> None:
    documents = MemoryDocuments()
    await ensure_network(documents, home_id="h", region="us-east-1")
    clock = At()
    looked = Barring(world(DEFAULT), documents, clock, lambda: "us-east-1")
    assert await looked.rule(IP_GROUP, MEMBER, [USER]) == ""
    kind, key, body = security_group(DEFAULT, default_vpc_id("h"), name="d", description="", rules=[])  # fmt: skip
    await documents.put(kind, key, body)
    assert await looked.rule(IP_GROUP, MEMBER, [USER]) == ""
    looked.forget()
    assert "does not admit" in await looked.rule(IP_GROUP, MEMBER, [USER])
    await documents.delete(kind, key)
    clock.ms = NETWORK_AGE_MS
    assert await looked.rule(IP_GROUP, MEMBER, [USER]) == ""


async def test_an_address_that_somebody_registered_is_not_judged() -> None:
    by_hand = replace(MEMBER, instance_id="")
    assert await (await barring("sg-t")).rule(IP_GROUP, by_hand, [USER]) == ""


async def test_of_a_target_on_a_machine_the_groups_of_the_machine_are_looked_at() -> None:
    on_node = replace(MEMBER, id="i-1", number=32768)
    assert await (await barring("sg-t")).rule(GROUP, on_node, [USER]) == ""
