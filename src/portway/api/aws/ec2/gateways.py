"""Internet gateways and route tables: kept and given back, because tools make them with every VPC. No packet goes by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portway.api.aws.ec2.common import (
    Fields,
    asked_tags,
    bodies,
    change,
    ec2,
    find,
    flag,
    in_use,
    listing,
    matching,
    new_id,
    only,
)
from portway.api.aws.ec2.permissions import block
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import Body
from portway.api.aws.operation import Request
from portway.core.network.defaults import GATEWAY, ROUTE_TABLE, SUBNET, VPC, route_table

_TARGETS = ("GatewayId", "NatGatewayId", "InstanceId", "NetworkInterfaceId", "VpcPeeringConnectionId", "TransitGatewayId", "EgressOnlyInternetGatewayId")  # fmt: skip
_OTHERS = ("DestinationPrefixListId", "VpcEndpointId", "LocalGatewayId", "CarrierGatewayId", "CoreNetworkArn", "OdbNetworkArn")  # fmt: skip
_NONE_SUCH: dict[str, str] = dict.fromkeys(_OTHERS, "it has nothing of the kind")


@ec2("CreateInternetGateway")
async def create_internet_gateway(face: Face, request: Request) -> dict[str, Any]:
    """Make a gateway."""
    key = new_id(face, "igw")
    body = {"InternetGatewayId": key, "VpcId": "", "Tags": asked_tags(request, "internet-gateway")}
    await face.documents.put(GATEWAY, key, body, 0)
    return {"InternetGateway": _shown_gateway(face, body)}


@ec2("AttachInternetGateway")
async def attach_internet_gateway(face: Face, request: Request) -> dict[str, Any]:
    """Attach a gateway to a VPC that has none."""
    vpc_id, key = request["VpcId"], request["InternetGatewayId"]
    await find(face, VPC, vpc_id)
    if await bodies(face, GATEWAY, VpcId=vpc_id):
        told = f"Network {vpc_id} already has an internet gateway attached"
        raise AwsError("InvalidParameterValue", told, 400)

    def by(body: Body) -> Body:
        if body["VpcId"]:
            told = f"resource {key} is already attached to network {body['VpcId']}"
            raise AwsError("Resource.AlreadyAssociated", told, 400)
        return {**body, "VpcId": vpc_id}

    await change(face, GATEWAY, key, by)
    return {}


@ec2("DetachInternetGateway")
async def detach_internet_gateway(face: Face, request: Request) -> dict[str, Any]:
    """Detach a gateway from its VPC."""
    vpc_id, key = request["VpcId"], request["InternetGatewayId"]

    def by(body: Body) -> Body:
        if body["VpcId"] != vpc_id:
            told = f"resource {key} is not attached to network {vpc_id}"
            raise AwsError("Gateway.NotAttached", told, 400)
        return {**body, "VpcId": ""}

    await change(face, GATEWAY, key, by)
    return {}


@ec2("DeleteInternetGateway")
async def delete_internet_gateway(face: Face, request: Request) -> dict[str, Any]:
    """Forget a gateway that is attached to nothing."""
    key = request["InternetGatewayId"]
    if (await find(face, GATEWAY, key))["VpcId"]:
        raise in_use("internetGateway", key)
    await face.documents.delete(GATEWAY, key)
    return {}


@ec2("DescribeInternetGateways")
async def describe_internet_gateways(face: Face, request: Request) -> dict[str, Any]:
    """Gateways, by id and filter."""
    named = only(request, GATEWAY, "InternetGatewayIds", "InternetGatewayId", await bodies(face, GATEWAY))  # fmt: skip
    found = matching(request, named, _gateway_fields)
    return listing(
        request, "InternetGateways", found, "InternetGatewayId", lambda body: _shown_gateway(face, body)
    )  # fmt: skip


@ec2("CreateRouteTable", ignores=("ClientToken",))
async def create_route_table(face: Face, request: Request) -> dict[str, Any]:
    """Make a route table that knows its VPC."""
    vpc = await find(face, VPC, request["VpcId"])
    tags = asked_tags(request, "route-table")
    local = {"DestinationCidrBlock": vpc["CidrBlock"], "GatewayId": "local", "Origin": "CreateRouteTable"}  # fmt: skip
    kind, key, body = route_table(new_id(face, "rtb"), vpc["VpcId"], [local])
    made = await face.documents.put(kind, key, {**body, "Tags": tags}, 0)
    return {"RouteTable": _shown_table(face, made.body)}


@ec2("DescribeRouteTables")
async def describe_route_tables(face: Face, request: Request) -> dict[str, Any]:
    """Route tables, by id and filter."""
    named = only(request, ROUTE_TABLE, "RouteTableIds", "RouteTableId", await bodies(face, ROUTE_TABLE))  # fmt: skip
    found = matching(request, named, _table_fields)
    return listing(
        request, "RouteTables", found, "RouteTableId", lambda body: _shown_table(face, body)
    )


@ec2("DeleteRouteTable")
async def delete_route_table(face: Face, request: Request) -> dict[str, Any]:
    """Forget a route table that is nobody's."""
    key = request["RouteTableId"]
    if (await find(face, ROUTE_TABLE, key))["Associations"]:
        raise in_use("routeTable", key)
    await face.documents.delete(ROUTE_TABLE, key)
    return {}


@ec2("CreateRoute", refuses=_NONE_SUCH)
async def create_route(face: Face, request: Request) -> dict[str, Any]:
    """Keep a route."""
    made = _route(request)

    def by(body: Body) -> Body:
        if any(_destination(route) == _destination(made) for route in body["Routes"]):
            told = f"The route identified by {_destination(made)} already exists."
            raise AwsError("RouteAlreadyExists", told, 400)
        return {**body, "Routes": [*body["Routes"], made]}

    await change(face, ROUTE_TABLE, request["RouteTableId"], by)
    return {"Return": True}


@ec2("ReplaceRoute", refuses={**_NONE_SUCH, "LocalTarget": "a route has one target"})
async def replace_route(face: Face, request: Request) -> dict[str, Any]:
    """Have a route lead elsewhere."""
    made = _route(request)

    def by(body: Body) -> Body:
        _check_route(body, request, _destination(made))
        routes = [made if _destination(r) == _destination(made) else r for r in body["Routes"]]
        return {**body, "Routes": routes}

    await change(face, ROUTE_TABLE, request["RouteTableId"], by)
    return {}


@ec2("DeleteRoute", refuses={"DestinationPrefixListId": "it has nothing of the kind"})
async def delete_route(face: Face, request: Request) -> dict[str, Any]:
    """Forget a route."""
    wanted = request.get("DestinationCidrBlock") or request.get("DestinationIpv6CidrBlock") or ""

    def by(body: Body) -> Body:
        _check_route(body, request, wanted)
        routes = [route for route in body["Routes"] if _destination(route) != wanted]
        return {**body, "Routes": routes}

    await change(face, ROUTE_TABLE, request["RouteTableId"], by)
    return {}


@ec2("AssociateRouteTable", refuses={"GatewayId": "only subnets have one", "PublicIpv4Pool": "it has none"})  # fmt: skip
async def associate_route_table(face: Face, request: Request) -> dict[str, Any]:
    """Give a subnet a route table of its own."""
    subnet_id = request.get("SubnetId") or ""
    await find(face, SUBNET, subnet_id)
    for body in await bodies(face, ROUTE_TABLE):
        if any(each.get("SubnetId") == subnet_id for each in body["Associations"]):
            told = f"the specified association for route table {body['RouteTableId']} conflicts with an existing association"
            raise AwsError("Resource.AlreadyAssociated", told, 400)
    made = {"RouteTableAssociationId": new_id(face, "rtbassoc"), "Main": False, "SubnetId": subnet_id}  # fmt: skip
    await change(
        face,
        ROUTE_TABLE,
        request["RouteTableId"],
        lambda body: {**body, "Associations": [*body["Associations"], made]},
    )
    return {"AssociationId": made["RouteTableAssociationId"], "AssociationState": {"State": "associated"}}  # fmt: skip


@ec2("DisassociateRouteTable")
async def disassociate_route_table(face: Face, request: Request) -> dict[str, Any]:
    """Leave a subnet to the main route table."""
    association = request["AssociationId"]
    body = await _associated(face, association)
    if any(each["RouteTableAssociationId"] == association and each["Main"] for each in body["Associations"]):  # fmt: skip
        told = f"cannot disassociate the main route table association {association}"
        raise AwsError("InvalidParameterValue", told, 400)
    await change(face, ROUTE_TABLE, body["RouteTableId"], lambda body: _without(body, association))
    return {}


@ec2("ReplaceRouteTableAssociation")
async def replace_route_table_association(face: Face, request: Request) -> dict[str, Any]:
    """Move a subnet, or the main association, to another route table."""
    association, key = request["AssociationId"], request["RouteTableId"]
    body = await _associated(face, association)
    await find(face, ROUTE_TABLE, key)
    old = next(each for each in body["Associations"] if each["RouteTableAssociationId"] == association)  # fmt: skip
    made = {**old, "RouteTableAssociationId": new_id(face, "rtbassoc")}
    await change(face, ROUTE_TABLE, body["RouteTableId"], lambda body: _without(body, association))
    await change(
        face,
        ROUTE_TABLE,
        key,
        lambda body: {**body, "Associations": [*body["Associations"], made]},
    )
    state = {"State": "associated"}
    return {"NewAssociationId": made["RouteTableAssociationId"], "AssociationState": state}


async def _associated(face: Face, association: str) -> Mapping[str, Any]:
    for body in await bodies(face, ROUTE_TABLE):
        if any(each["RouteTableAssociationId"] == association for each in body["Associations"]):
            return body
    told = f"The association ID '{association}' does not exist"
    raise AwsError("InvalidAssociationID.NotFound", told, 400)


def _without(body: Body, association: str) -> Body:
    kept = [each for each in body["Associations"] if each["RouteTableAssociationId"] != association]
    return {**body, "Associations": kept}


def _route(request: Request) -> dict[str, str]:
    cidr, cidr6 = request.get("DestinationCidrBlock"), request.get("DestinationIpv6CidrBlock")
    if bool(cidr) is bool(cidr6):
        raise AwsError("MissingParameter", "The request must contain one destination.", 400)
    targets = {name: request[name] for name in _TARGETS if request.get(name)}
    if len(targets) != 1:
        told = "The request must contain exactly one of gatewayId, natGatewayId, networkInterfaceId, vpcPeeringConnectionId or transitGatewayId."
        raise AwsError("InvalidParameterCombination", told, 400)
    member = "DestinationCidrBlock" if cidr else "DestinationIpv6CidrBlock"
    destination = block(cidr or cidr6, 4 if cidr else 6)
    return {member: destination, **targets, "Origin": "CreateRoute"}


def _destination(route: Mapping[str, str]) -> str:
    return route.get("DestinationCidrBlock") or route.get("DestinationIpv6CidrBlock") or ""


def _check_route(body: Body, request: Request, destination: str) -> None:
    found = next((route for route in body["Routes"] if _destination(route) == destination), None)
    if found is None:
        told = f"no route with destination-cidr-block {destination} in route table {request['RouteTableId']}"
        raise AwsError("InvalidRoute.NotFound", told, 400)
    if found.get("GatewayId") == "local":
        told = f"cannot change or remove local route {destination} in route table {request['RouteTableId']}"
        raise AwsError("InvalidParameterValue", told, 400)


def _gateway_fields(body: Mapping[str, Any]) -> Fields:
    return {
        "internet-gateway-id": (body["InternetGatewayId"],),
        "attachment.vpc-id": (body["VpcId"],) if body["VpcId"] else (),
        "attachment.state": ("available",) if body["VpcId"] else (),
    }


def _table_fields(body: Mapping[str, Any]) -> Fields:
    associations = body["Associations"]
    return {
        "route-table-id": (body["RouteTableId"],),
        "vpc-id": (body["VpcId"],),
        "association.main": [flag(each["Main"])[0] for each in associations],
        "association.subnet-id": [each["SubnetId"] for each in associations if "SubnetId" in each],
        "association.route-table-association-id": [
            each["RouteTableAssociationId"] for each in associations
        ],
        "route.destination-cidr-block": [_destination(route) for route in body["Routes"]],
        "route.gateway-id": [r["GatewayId"] for r in body["Routes"] if r.get("GatewayId")],
    }


def _shown_gateway(face: Face, body: Mapping[str, Any]) -> dict[str, Any]:
    attached = [{"State": "available", "VpcId": body["VpcId"]}] if body["VpcId"] else []
    return {
        "InternetGatewayId": body["InternetGatewayId"],
        "OwnerId": face.account_id,
        "Attachments": attached,
        "Tags": body["Tags"],
    }


def _shown_table(face: Face, body: Mapping[str, Any]) -> dict[str, Any]:
    key = body["RouteTableId"]
    return {
        "RouteTableId": key,
        "VpcId": body["VpcId"],
        "OwnerId": face.account_id,
        "Routes": [{**route, "State": "active"} for route in body["Routes"]],
        "Associations": [
            {**each, "RouteTableId": key, "AssociationState": {"State": "associated"}}
            for each in body["Associations"]
        ],
        "PropagatingVgws": [],
        "Tags": body["Tags"],
    }
