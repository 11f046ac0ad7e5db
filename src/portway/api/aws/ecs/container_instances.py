"""ECS container instances: every machine that portway runs on is one, in each cluster; and their attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from portway.api.aws.ecs.common import (
    ACTIVE,
    DESCRIBED_MAX,
    DRAINING,
    find_cluster,
    invalid,
    is_arn,
    listed,
    missing,
    names_of,
    refused,
    within,
)
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.api.aws.paging import page
from portway.controller.overview import Overview
from portway.controller.views import NodeStatus
from portway.core.aws_names import slug
from portway.core.cluster_query import Mistake, NodeFacts, holds, parse_query
from portway.core.ecs.deployments import counts_of
from portway.core.ecs.labels import origin_of_state
from portway.core.instance import InstanceRecord

RESERVED_PORTS = ("22", "2375", "2376", "51678", "51679")

_CHANGED_MAX = 10
_ATTRIBUTE_TARGET = "container-instance"
_MIB = 1024 * 1024


@operation("ecs", "ListContainerInstances")
async def list_container_instances(face: Face, request: Request) -> dict[str, Any]:
    """The ARNs of a cluster's machines, by state and by an expression of the cluster query language."""
    cluster = await find_cluster(face, request.get("cluster"))
    query = parse_query(request["filter"]) if request.get("filter") else None
    if isinstance(query, Mistake):
        raise invalid(f"Invalid filter: {query.reason}")
    wanted, names = request.get("status"), names_of(face)
    found = [
        names.container_instance_arn(cluster, status.node.name)
        for status in await face.operations.node_statuses()
        if wanted in (None, _state(status))
        and (query is None or holds(query, _facts(face, status)))
    ]
    return listed(request, "containerInstanceArns", found)


@operation("ecs", "DescribeContainerInstances", ignores=("include",))
async def describe_container_instances(face: Face, request: Request) -> dict[str, Any]:
    """Machines by id or ARN, with what they have and what of it is left."""
    cluster = await find_cluster(face, request.get("cluster"))
    wanted = request["containerInstances"]
    if not wanted:
        raise invalid("Container Instances cannot be empty.")
    if len(wanted) > DESCRIBED_MAX:
        raise invalid(f"Container Instances can have at most {DESCRIBED_MAX} items.")
    return await _described(face, cluster, wanted)


@operation("ecs", "UpdateContainerInstancesState")
async def update_container_instances_state(face: Face, request: Request) -> dict[str, Any]:
    """DRAINING: they get nothing new, and what services run there is replaced elsewhere. ACTIVE: as before."""
    cluster = await find_cluster(face, request.get("cluster"))
    wanted, state = request["containerInstances"], request["status"]
    if not 1 <= len(wanted) <= _CHANGED_MAX:
        raise invalid(f"Container instances must be 1 to {_CHANGED_MAX} items.")
    if state not in (ACTIVE, DRAINING):
        raise invalid("The status of a container instance can be set to ACTIVE or DRAINING.")
    known = {_id(face, s): s for s in await face.operations.node_statuses()}
    for one in wanted:
        status = known.get(within(face, one, cluster, _ATTRIBUTE_TARGET))
        if status is not None:
            await face.operations.mark_node(status.node.name, draining=state == DRAINING)
    return await _described(face, cluster, wanted)


@operation("ecs", "DeregisterContainerInstance", ignores=("force",))
async def deregister_container_instance(face: Face, request: Request) -> dict[str, Any]:
    """A machine cannot be taken out of one cluster: it is in all of them."""
    cluster = await find_cluster(face, request.get("cluster"))
    raise refused(
        f"{request['containerInstance']} cannot leave the cluster {cluster}: a machine of portway is in every cluster. "
        "UpdateContainerInstancesState to DRAINING empties it."
    )


@operation("ecs", "PutAttributes")
async def put_attributes(face: Face, request: Request) -> dict[str, Any]:
    """Say something of machines, for placement constraints."""
    return await _change_attributes(face, request, remove=False)


@operation("ecs", "DeleteAttributes")
async def delete_attributes(face: Face, request: Request) -> dict[str, Any]:
    """Take back what was said."""
    return await _change_attributes(face, request, remove=True)


async def _change_attributes(face: Face, request: Request, *, remove: bool) -> dict[str, Any]:
    cluster = await find_cluster(face, request.get("cluster"))
    known = {_id(face, s): s.node.name for s in await face.operations.node_statuses()}
    changes: dict[str, dict[str, str | None]] = {}
    for attribute in request["attributes"]:
        target = attribute.get("targetId") or ""
        node = known.get(within(face, target, cluster, _ATTRIBUTE_TARGET))
        if node is None:
            told = f"The specified target wasn't found: {target or 'targetId is missing'}."
            raise AwsError("TargetNotFoundException", told, 400)
        value = None if remove else attribute.get("value") or ""
        changes.setdefault(node, {})[attribute["name"]] = value
    for node, attributes in changes.items():
        await face.operations.mark_node(node, attributes=attributes)
    return {"attributes": request["attributes"]}


@operation("ecs", "ListAttributes")
async def list_attributes(face: Face, request: Request) -> dict[str, Any]:
    """Attributes of machines, by name and value."""
    cluster = await find_cluster(face, request.get("cluster"))
    if request["targetType"] != _ATTRIBUTE_TARGET:
        raise invalid("The target type is container-instance.")
    name, value = request.get("attributeName"), request.get("attributeValue")
    names = names_of(face)
    found = [
        {"name": key, "value": text, "targetType": _ATTRIBUTE_TARGET, "targetId": arn}
        for status in await face.operations.node_statuses()
        for arn in [names.container_instance_arn(cluster, status.node.name)]
        for key, text in _attributes(face, status).items()
        if name in (None, key) and value in (None, text)
    ]
    taken, token = page(
        found,
        key=lambda attribute: f"{attribute['targetId']} {attribute['name']}",
        size=request.get("maxResults") or DESCRIBED_MAX,
        token=request.get("nextToken"),
        scope=f"ListAttributes {cluster} {name} {value}",
    )
    return {"attributes": taken, "nextToken": token}


async def _described(face: Face, cluster: str, wanted: Sequence[str]) -> dict[str, Any]:
    known = {_id(face, s): s for s in await face.operations.node_statuses()}
    overview = await face.operations.overview()
    shown: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for one in dict.fromkeys(wanted):
        status = known.get(within(face, one, cluster, _ATTRIBUTE_TARGET))
        if status is None:
            arn = names_of(face).arn("ecs", f"container-instance/{cluster}/{one}")
            failures.append(missing(one if is_arn(one) else arn))
        else:
            shown.append(_shown(face, cluster, status, overview))
    return {"containerInstances": shown, "failures": failures}


def _shown(face: Face, cluster: str, status: NodeStatus, overview: Overview) -> dict[str, Any]:
    node, names = status.node, names_of(face)
    here = [r for s in overview.apps.values() for r in s.live if r.identity.node == node.name]
    counts = counts_of(_of_cluster(overview, cluster, node.name))
    fixed = sorted({str(n) for r in here for n in _fixed(r, "tcp")}, key=int)
    fixed_udp = sorted({str(n) for r in here for n in _fixed(r, "udp")}, key=int)
    used_memory = status.used.memory_bytes // _MIB
    return {
        "containerInstanceArn": names.container_instance_arn(cluster, node.name),
        "ec2InstanceId": names.ec2_instance_id(node.name),
        "version": 1,
        "versionInfo": {"agentVersion": "portway", "dockerVersion": "DockerVersion: local"},
        "registeredResources": _resources(
            node.cpu_units, node.memory_bytes // _MIB, RESERVED_PORTS, ()
        ),
        "remainingResources": _resources(
            max(0, node.cpu_units - status.used.cpu_units),
            max(0, node.memory_bytes // _MIB - used_memory),
            (*RESERVED_PORTS, *fixed),
            fixed_udp,
        ),
        "status": _state(status),
        "agentConnected": node.available and overview.sees_engine,
        "runningTasksCount": counts.running,
        "pendingTasksCount": counts.pending,
        "attributes": [{"name": k, "value": v} for k, v in _attributes(face, status).items()],
        "registeredAt": node.registered_at_ms or None,
        "attachments": [],
        "tags": [],
    }


def _of_cluster(overview: Overview, cluster: str, node: str) -> list[InstanceRecord]:
    return [
        record
        for app_id, state in overview.apps.items()
        if app_id.startswith(f"{slug(cluster)}/") and origin_of_state(state) is not None
        for record in state.live
        if record.identity.node == node
    ]


def _fixed(record: InstanceRecord, protocol: str) -> list[int]:
    leases = record.identity.leases
    return [one.host_port for one in leases if one.fixed and one.protocol.value == protocol]


def _resources(
    cpu: int, memory: int, ports: Sequence[str], udp: Sequence[str]
) -> list[dict[str, Any]]:
    return [
        {"name": "CPU", "type": "INTEGER", "integerValue": cpu},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": memory},
        {"name": "PORTS", "type": "STRINGSET", "stringSetValue": list(ports)},
        {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": list(udp)},
    ]


def _attributes(face: Face, status: NodeStatus) -> Mapping[str, str]:
    """The machine's own, and the zone that all are in."""
    zone = {"ecs.availability-zone": f"{face.region}a", "ecs.os-type": "linux", "ecs.os-family": "LINUX"}  # fmt: skip
    return {**zone, **status.node.attributes}


def _facts(face: Face, status: NodeStatus) -> NodeFacts:
    node = status.node
    return NodeFacts(
        attributes=_attributes(face, status),
        running_tasks=status.used.instances,
        registered_at_ms=node.registered_at_ms,
        connected=node.available,
        instance_id=names_of(face).ec2_instance_id(node.name),
    )


def _state(status: NodeStatus) -> str:
    return DRAINING if status.node.draining else ACTIVE


def _id(face: Face, status: NodeStatus) -> str:
    return names_of(face).container_instance_id(status.node.name)
