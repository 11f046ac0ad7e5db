"""The stored network."""

from __future__ import annotations

from portway.controller.network.reading import ensure_network, read_network
from portway.core.network.defaults import INSTANCE, VPC, default_vpc_id, security_group
from portway.store.documents import MemoryDocuments


async def test_the_default_network_is_made_once_and_what_is_deleted_stays_so():
    documents = MemoryDocuments()
    await ensure_network(documents, home_id="h", region="us-east-1")
    assert await documents.delete(VPC, default_vpc_id("h"))
    await ensure_network(documents, home_id="h", region="us-east-1")
    assert await documents.list(VPC) == ()


async def test_one_that_was_left_half_made_is_finished():
    documents = MemoryDocuments()
    await documents.put(VPC, default_vpc_id("h"), {"mine": True})
    network = await read_network(documents, home_id="h", region="us-east-1")
    assert len(network.subnets) == 2
    kept = await documents.get(VPC, default_vpc_id("h"))
    assert kept is not None
    assert kept.body == {"mine": True}


async def test_the_groups_of_an_instance_are_those_it_was_given():
    documents = MemoryDocuments()
    kind, key, body = security_group("sg-1", "vpc-1", name="n", description="", rules=[])
    await documents.put(kind, key, body)
    await documents.put(INSTANCE, "i-1", {"InstanceId": "i-1", "Groups": ["sg-1"], "Tags": []})
    network = await read_network(documents, home_id="h", region="us-east-1")
    assert [group.group_id for group in network.instance("i-1").groups] == ["sg-1"]
    assert network.instance("i-2").groups[0].group_id == network.node_groups[0]
