"""The stored network: made when it is first asked for, and read whole to check what it admits."""

from __future__ import annotations

from portway.core.network.defaults import (
    ACL,
    GROUP,
    INSTANCE,
    SUBNET,
    ZONES,
    default_group_id,
    default_network,
    default_subnet_id,
    default_vpc_id,
)
from portway.core.network.reading import Network, read_group, read_subnet
from portway.store.base import DocumentChangedError, Documents

_MADE, _KEY = "ec2.default", "network"


async def ensure_network(documents: Documents, *, home_id: str, region: str) -> None:
    """Make the default VPC and what belongs to it, once: what was deleted of it later stays deleted."""
    if await documents.get(_MADE, _KEY) is not None:
        return
    for kind, key, body in default_network(home_id=home_id, region=region):
        try:
            await documents.put(kind, key, body, 0)
        except DocumentChangedError:
            continue  # another request was here first, or a crash in the middle
    await documents.put(_MADE, _KEY, {"region": region})


async def read_network(documents: Documents, *, home_id: str, region: str) -> Network:
    """The network as it is now, to ask which rule is missing."""
    await ensure_network(documents, home_id=home_id, region=region)
    acls = {document.key: document.body for document in await documents.list(ACL)}
    groups = [read_group(document.body) for document in await documents.list(GROUP)]
    subnets = [read_subnet(document.body, acls) for document in await documents.list(SUBNET)]
    instances = await documents.list(INSTANCE)
    return Network(
        groups={group.group_id: group for group in groups},
        subnets={subnet.subnet_id: subnet for subnet in subnets},
        members={
            document.key: tuple(document.body["Groups"])
            for document in instances
            if document.body.get("Groups")
        },
        node_groups=(default_group_id(default_vpc_id(home_id)),),
        node_subnet=default_subnet_id(home_id, ZONES[0]),
    )
