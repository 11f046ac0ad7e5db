"""Each node as an instance with a network interface. They are not made or ended here: portway is told its nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from portway.api.aws.ec2.common import (
    Fields,
    bodies,
    ec2,
    find,
    listing,
    matching,
    not_found,
    only,
)
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import Body, changed
from portway.api.aws.operation import Request
from portway.core.aws_names import AwsNames
from portway.core.network.defaults import (
    GROUP,
    INSTANCE,
    ZONES,
    default_group_id,
    default_subnet_id,
    default_vpc_id,
    object_id,
    zone_id,
)
from portway.store.base import DocumentChangedError

_RUNNING = {"Code": 16, "Name": "running"}
_GROUPS_MAX = 5
_NOT_OURS = "the machine is not portway's to change"
_REFUSED = (
    "SourceDestCheck", "EnclaveOptions", "DisableApiStop", "Attribute", "Value", "BlockDeviceMappings",
    "DisableApiTermination", "InstanceType", "Kernel", "Ramdisk", "UserData", "InstanceInitiatedShutdownBehavior",
    "EbsOptimized", "SriovNetSupport", "EnaSupport",
)  # fmt: skip


async def nodes_as_instances(face: Face) -> list[dict[str, Any]]:
    """Every node: id, address, groups, tags."""
    names = AwsNames(region=face.region, account_id=face.account_id, home_id=face.home_id)
    kept = {body["InstanceId"]: body for body in await bodies(face, INSTANCE)}
    group_names = {body["GroupId"]: body["GroupName"] for body in await bodies(face, GROUP)}
    vpc_id = default_vpc_id(face.home_id)
    found: list[dict[str, Any]] = []
    for node in await face.operations.nodes():
        key = names.ec2_instance_id(node.name)
        own = kept.get(key, {})
        groups = own.get("Groups") or [default_group_id(vpc_id)]
        found.append(
            {
                "InstanceId": key,
                "Node": node.name,
                "Address": node.address,
                "VpcId": vpc_id,
                "SubnetId": default_subnet_id(face.home_id, ZONES[0]),
                "Zone": f"{face.region}{ZONES[0]}",
                "Groups": [{"GroupId": g, "GroupName": group_names.get(g, "")} for g in groups],
                "Tags": own.get("Tags", []),
            }
        )
    return found


@ec2("DescribeInstances", ignores=("IncludeManagedResources",))
async def describe_instances(face: Face, request: Request) -> dict[str, Any]:
    """The nodes, by id and filter. They run, or they would not be nodes."""
    named = only(request, INSTANCE, "InstanceIds", "InstanceId", await nodes_as_instances(face))
    found = matching(request, named, _fields)
    return listing(
        request, "Reservations", found, "InstanceId", lambda body: _reservation(face, body)
    )


def _reservation(face: Face, body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "ReservationId": object_id("r", body["InstanceId"]),
        "OwnerId": face.account_id,
        "Groups": [],
        "Instances": [_shown(face, body)],
    }


@ec2("DescribeInstanceStatus", ignores=("IncludeManagedResources", "IncludeAllInstances"))
async def describe_instance_status(face: Face, request: Request) -> dict[str, Any]:
    """That the nodes run."""
    named = only(request, INSTANCE, "InstanceIds", "InstanceId", await nodes_as_instances(face))
    found = matching(request, named, _fields)
    fine = {"Status": "ok", "Details": [{"Name": "reachability", "Status": "passed"}]}

    def shown(body: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "InstanceId": body["InstanceId"],
            "AvailabilityZone": body["Zone"],
            "InstanceState": _RUNNING,
            "InstanceStatus": fine,
            "SystemStatus": fine,
        }

    return listing(request, "InstanceStatuses", found, "InstanceId", shown)


@ec2("DescribeInstanceAttribute")
async def describe_instance_attribute(face: Face, request: Request) -> dict[str, Any]:
    """The groups of a node; it has no other attribute."""
    body = await _node(face, request["InstanceId"])
    if request["Attribute"] != "groupSet":
        told = f"portway's instances have no attribute {request['Attribute']}; they have groupSet."
        raise AwsError("UnsupportedOperation", told, 400)
    return {"InstanceId": body["InstanceId"], "Groups": body["Groups"]}


@ec2("ModifyInstanceAttribute", refuses=dict.fromkeys(_REFUSED, _NOT_OURS))
async def modify_instance_attribute(face: Face, request: Request) -> dict[str, Any]:
    """Put a node into other security groups."""
    body = await _node(face, request["InstanceId"])
    groups = request.get("Groups")
    if not groups:
        raise AwsError("MissingParameter", "The request must contain the parameter groupSet", 400)
    await _put_groups(face, body["InstanceId"], groups)
    return {}


@ec2("DescribeNetworkInterfaces")
async def describe_network_interfaces(face: Face, request: Request) -> dict[str, Any]:
    """One interface a node."""
    nodes = [{**body, "InterfaceId": _interface(body)} for body in await nodes_as_instances(face)]
    wanted = set(request.get("NetworkInterfaceIds") or ())
    missing = wanted - {body["InterfaceId"] for body in nodes}
    if missing:
        told = f"The networkInterface ID '{min(missing)}' does not exist"
        raise AwsError("InvalidNetworkInterfaceID.NotFound", told, 400)
    named = [body for body in nodes if not wanted or body["InterfaceId"] in wanted]
    found = matching(request, named, _interface_fields)
    return listing(
        request,
        "NetworkInterfaces",
        found,
        "InterfaceId",
        lambda body: _shown_interface(face, body, is_whole=True),
    )


@ec2("ModifyNetworkInterfaceAttribute", ignores=("Description",), refuses=dict.fromkeys(("SourceDestCheck", "Attachment", "EnaSrdSpecification", "EnablePrimaryIpv6", "ConnectionTrackingSpecification", "AssociatePublicIpAddress", "AssociatedSubnetIds"), _NOT_OURS))  # fmt: skip
async def modify_network_interface_attribute(face: Face, request: Request) -> dict[str, Any]:
    """Put the node of an interface into other security groups."""
    for body in await nodes_as_instances(face):
        if _interface(body) == request["NetworkInterfaceId"]:
            if request.get("Groups"):
                await _put_groups(face, body["InstanceId"], request["Groups"])
            return {}
    told = f"The networkInterface ID '{request['NetworkInterfaceId']}' does not exist"
    raise AwsError("InvalidNetworkInterfaceID.NotFound", told, 400)


async def _node(face: Face, instance_id: str) -> dict[str, Any]:
    for body in await nodes_as_instances(face):
        if body["InstanceId"] == instance_id:
            return body
    raise not_found(INSTANCE, instance_id)


async def _put_groups(face: Face, instance_id: str, groups: Iterable[str]) -> None:
    wanted = list(dict.fromkeys(groups))
    if len(wanted) > _GROUPS_MAX:
        told = f"The maximum number of security groups per interface is {_GROUPS_MAX}."
        raise AwsError("SecurityGroupsPerInterfaceLimitExceeded", told, 400)
    for group in wanted:
        await find(face, GROUP, group)
    await change_instance(face, instance_id, lambda body: {**body, "Groups": wanted})


async def change_instance(face: Face, instance_id: str, by: Callable[[Body], Body]) -> None:
    """Change what is kept of a node: its groups and tags. NotFound when there is no such node."""
    await _node(face, instance_id)
    empty = {"InstanceId": instance_id, "Groups": [], "Tags": []}
    if await changed(face.documents, INSTANCE, instance_id, by) is None:
        try:
            await face.documents.put(INSTANCE, instance_id, by(empty), 0)
        except DocumentChangedError:
            await changed(face.documents, INSTANCE, instance_id, by)


def _interface(body: Mapping[str, Any]) -> str:
    return object_id("eni", body["InstanceId"])


def _fields(body: Mapping[str, Any]) -> Fields:
    groups = body["Groups"]
    return {
        "instance-id": (body["InstanceId"],),
        "private-ip-address": (body["Address"],),
        "private-dns-name": (body["Node"],),
        "vpc-id": (body["VpcId"],),
        "subnet-id": (body["SubnetId"],),
        "availability-zone": (body["Zone"],),
        "instance-state-name": ("running",),
        "instance-state-code": ("16",),
        "instance.group-id": [group["GroupId"] for group in groups],
        "instance.group-name": [group["GroupName"] for group in groups],
        "network-interface.group-id": [group["GroupId"] for group in groups],
    }


def _interface_fields(body: Mapping[str, Any]) -> Fields:
    return {
        "network-interface-id": (body["InterfaceId"],),
        "attachment.instance-id": (body["InstanceId"],),
        "private-ip-address": (body["Address"],),
        "addresses.private-ip-address": (body["Address"],),
        "vpc-id": (body["VpcId"],),
        "subnet-id": (body["SubnetId"],),
        "availability-zone": (body["Zone"],),
        "group-id": [group["GroupId"] for group in body["Groups"]],
        "group-name": [group["GroupName"] for group in body["Groups"]],
        "status": ("in-use",),
        "interface-type": ("interface",),
        "description": ("",),
        "requester-id": (),
        "owner-id": (),
    }


def _shown(face: Face, body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "InstanceId": body["InstanceId"],
        "InstanceType": "portway",
        "State": _RUNNING,
        "Placement": {
            "AvailabilityZone": body["Zone"],
            "AvailabilityZoneId": zone_id(face.region, ZONES[0]),
            "Tenancy": "default",
        },
        "PrivateIpAddress": body["Address"],
        "PrivateDnsName": body["Node"],
        "VpcId": body["VpcId"],
        "SubnetId": body["SubnetId"],
        "SecurityGroups": body["Groups"],
        "NetworkInterfaces": [_shown_interface(face, body, is_whole=False)],
        "Monitoring": {"State": "disabled"},
        "SourceDestCheck": True,
        "Tags": body["Tags"],
    }


def _shown_interface(face: Face, body: Mapping[str, Any], *, is_whole: bool) -> dict[str, Any]:
    attachment = {"AttachmentId": object_id("eni-attach", body["InstanceId"]), "DeviceIndex": 0, "Status": "attached"}  # fmt: skip
    common = {
        "NetworkInterfaceId": _interface(body),
        "OwnerId": face.account_id,
        "PrivateIpAddress": body["Address"],
        "PrivateIpAddresses": [{"Primary": True, "PrivateIpAddress": body["Address"]}],
        "SubnetId": body["SubnetId"],
        "VpcId": body["VpcId"],
        "Status": "in-use",
        "InterfaceType": "interface",
        "Groups": body["Groups"],
        "SourceDestCheck": True,
        "Attachment": attachment,
    }
    if not is_whole:
        return common
    owner = {"InstanceId": body["InstanceId"], "InstanceOwnerId": face.account_id}
    return {**common, "AvailabilityZone": body["Zone"], "Attachment": {**attachment, **owner}}
