"""Internet gateways and route tables, as tools make them with a VPC."""

from __future__ import annotations

from tests.api.aws.conftest import ServedFace
from tests.api.aws.ec2.asking import ask, by, refused


async def test_a_vpc_gets_a_gateway_and_a_route_to_it(face: ServedFace) -> None:
    vpc_id = (await ask(face, "create_vpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    subnet = (await ask(face, "create_subnet", VpcId=vpc_id, CidrBlock="10.0.0.0/24"))["Subnet"]
    gateway = (await ask(face, "create_internet_gateway"))["InternetGateway"]["InternetGatewayId"]
    pair = {"InternetGatewayId": gateway, "VpcId": vpc_id}
    assert (await refused(face, "detach_internet_gateway", **pair))[0] == "Gateway.NotAttached"
    await ask(face, "attach_internet_gateway", **pair)
    found = await ask(face, "describe_internet_gateways", Filters=by("attachment.vpc-id", vpc_id))
    assert [each["InternetGatewayId"] for each in found["InternetGateways"]] == [gateway]
    table = (await ask(face, "create_route_table", VpcId=vpc_id))["RouteTable"]["RouteTableId"]
    route = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0"}
    await ask(face, "create_route", GatewayId=gateway, **route)
    assert (await refused(face, "create_route", GatewayId=gateway, **route))[0] == "RouteAlreadyExists"  # fmt: skip
    assert (await refused(face, "create_route", **route))[0] == "InvalidParameterCombination"
    asked = {"RouteTableId": table, "SubnetId": subnet["SubnetId"]}
    association = (await ask(face, "associate_route_table", **asked))["AssociationId"]
    assert (await refused(face, "associate_route_table", **asked))[
        0
    ] == "Resource.AlreadyAssociated"
    assert (await refused(face, "delete_route_table", RouteTableId=table))[0] == "DependencyViolation"  # fmt: skip
    assert (await refused(face, "delete_internet_gateway", InternetGatewayId=gateway))[0] == "DependencyViolation"  # fmt: skip
    await ask(face, "disassociate_route_table", AssociationId=association)
    await ask(face, "delete_route", **route)
    local = {"RouteTableId": table, "DestinationCidrBlock": "10.0.0.0/16"}
    assert (await refused(face, "delete_route", **local))[0] == "InvalidParameterValue"
    assert (await refused(face, "delete_route", **route))[0] == "InvalidRoute.NotFound"
    await ask(face, "delete_route_table", RouteTableId=table)
    await ask(face, "detach_internet_gateway", **pair)
    await ask(face, "delete_internet_gateway", InternetGatewayId=gateway)
    await ask(face, "delete_subnet", SubnetId=subnet["SubnetId"])
    await ask(face, "delete_vpc", VpcId=vpc_id)


async def test_the_main_association_moves_and_is_never_without_a_table(face: ServedFace) -> None:
    (main,) = (await ask(face, "describe_route_tables"))["RouteTables"]
    association = main["Associations"][0]["RouteTableAssociationId"]
    code, _ = await refused(face, "disassociate_route_table", AssociationId=association)
    assert code == "InvalidParameterValue"
    table = (await ask(face, "create_route_table", VpcId=main["VpcId"]))["RouteTable"][
        "RouteTableId"
    ]
    asked = {"AssociationId": association, "RouteTableId": table}
    await ask(face, "replace_route_table_association", **asked)
    found = await ask(face, "describe_route_tables", Filters=by("association.main", "true"))
    assert [each["RouteTableId"] for each in found["RouteTables"]] == [table]
