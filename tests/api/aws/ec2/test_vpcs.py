"""VPCs, zones and the account, with boto3."""

from __future__ import annotations

from tests.api.aws.conftest import ServedFace
from tests.api.aws.ec2.asking import ask, by, default_vpc, refused


async def test_there_is_a_default_vpc_with_a_subnet_in_each_zone(face: ServedFace) -> None:
    (vpc,) = (await ask(face, "describe_vpcs"))["Vpcs"]
    assert (vpc["CidrBlock"], vpc["IsDefault"], vpc["State"]) == (
        "172.31.0.0/16",
        True,
        "available",
    )
    zones = (await ask(face, "describe_availability_zones"))["AvailabilityZones"]
    assert [zone["ZoneName"] for zone in zones] == ["us-east-1a", "us-east-1b"]
    subnets = (await ask(face, "describe_subnets", Filters=by("vpc-id", vpc["VpcId"])))["Subnets"]
    assert {subnet["AvailabilityZone"] for subnet in subnets} == {"us-east-1a", "us-east-1b"}
    attributes = await ask(face, "describe_account_attributes", AttributeNames=["default-vpc"])
    values = attributes["AccountAttributes"][0]["AttributeValues"]
    assert values == [{"AttributeValue": vpc["VpcId"]}]
    assert (await ask(face, "describe_regions"))["Regions"][0]["RegionName"] == "us-east-1"


async def test_a_vpc_comes_with_a_group_an_acl_and_a_route_table_and_takes_them_along(
    face: ServedFace,
) -> None:
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "mine"}]}]
    made = (await ask(face, "create_vpc", CidrBlock="10.0.0.0/16", TagSpecifications=tags))["Vpc"]
    vpc_id, mine = made["VpcId"], by("vpc-id", made["VpcId"])
    assert made["Tags"] == tags[0]["Tags"]
    found = await ask(face, "describe_vpcs", Filters=by("tag:Name", "mi*"))
    assert [vpc["VpcId"] for vpc in found["Vpcs"]] == [vpc_id]
    (group,) = (await ask(face, "describe_security_groups", Filters=mine))["SecurityGroups"]
    assert group["GroupName"] == "default"
    (acl,) = (await ask(face, "describe_network_acls", Filters=mine))["NetworkAcls"]
    assert acl["IsDefault"]
    main = [*mine, *by("association.main", "true")]
    (table,) = (await ask(face, "describe_route_tables", Filters=main))["RouteTables"]
    assert table["Routes"][0]["GatewayId"] == "local"
    subnet = (await ask(face, "create_subnet", VpcId=vpc_id, CidrBlock="10.0.1.0/24"))["Subnet"]
    code, told = await refused(face, "delete_vpc", VpcId=vpc_id)
    assert (code, told) == ("DependencyViolation", f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")  # fmt: skip
    await ask(face, "delete_subnet", SubnetId=subnet["SubnetId"])
    await ask(face, "delete_vpc", VpcId=vpc_id)
    for operation, member in (
        ("describe_security_groups", "SecurityGroups"),
        ("describe_network_acls", "NetworkAcls"),
        ("describe_route_tables", "RouteTables"),
    ):
        assert (await ask(face, operation, Filters=mine))[member] == []


async def test_attributes_of_a_vpc_are_kept(face: ServedFace) -> None:
    vpc_id = (await ask(face, "create_vpc", CidrBlock="10.1.0.0/16"))["Vpc"]["VpcId"]
    asked = {"VpcId": vpc_id, "Attribute": "enableDnsHostnames"}
    assert (await ask(face, "describe_vpc_attribute", **asked))["EnableDnsHostnames"] == {"Value": False}  # fmt: skip
    await ask(face, "modify_vpc_attribute", VpcId=vpc_id, EnableDnsHostnames={"Value": True})
    assert (await ask(face, "describe_vpc_attribute", **asked))["EnableDnsHostnames"] == {"Value": True}  # fmt: skip


async def test_what_is_wrong_with_a_vpc_is_said_in_awss_words(face: ServedFace) -> None:
    assert await refused(face, "describe_vpcs", VpcIds=["vpc-1"]) == ("InvalidVpcID.NotFound", "The vpc ID 'vpc-1' does not exist")  # fmt: skip
    assert (await refused(face, "create_vpc", CidrBlock="10.0.0.0/8"))[0] == "InvalidVpc.Range"
    assert (await refused(face, "create_vpc", CidrBlock="ten"))[0] == "InvalidParameterValue"
    assert (await refused(face, "create_vpc"))[0] == "MissingParameter"
    told = await refused(face, "describe_vpcs", Filters=by("colour", "red"))
    assert told == ("InvalidParameterValue", "The filter 'colour' is invalid")
    assert (await refused(face, "describe_vpcs", DryRun=True))[0] == "DryRunOperation"
    assert (await refused(face, "describe_availability_zones", ZoneNames=["x"]))[0] == "InvalidParameterValue"  # fmt: skip


async def test_a_subnet_lies_in_its_vpc_and_on_no_other(face: ServedFace) -> None:
    vpc_id = (await ask(face, "create_vpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    given = {"VpcId": vpc_id, "AvailabilityZone": "us-east-1b"}
    made = (await ask(face, "create_subnet", CidrBlock="10.0.0.0/24", **given))["Subnet"]
    assert (made["AvailabilityZoneId"], made["AvailableIpAddressCount"]) == ("use1-az2", 251)
    assert (await refused(face, "create_subnet", CidrBlock="10.0.0.128/25", **given))[0] == "InvalidSubnet.Conflict"  # fmt: skip
    assert (await refused(face, "create_subnet", CidrBlock="10.9.0.0/24", **given))[0] == "InvalidSubnet.Range"  # fmt: skip
    code, told = await refused(face, "create_subnet", CidrBlock="10.0.1.0/24", VpcId=vpc_id, AvailabilityZone="mars")  # fmt: skip
    assert code == "InvalidParameterValue"
    assert "us-east-1a, us-east-1b" in told
    await ask(face, "modify_subnet_attribute", SubnetId=made["SubnetId"], MapPublicIpOnLaunch={"Value": True})  # fmt: skip
    found = await ask(face, "describe_subnets", SubnetIds=[made["SubnetId"]])
    assert found["Subnets"][0]["MapPublicIpOnLaunch"] is True
    assert (await refused(face, "describe_subnets", SubnetIds=["subnet-1"]))[0] == "InvalidSubnetID.NotFound"  # fmt: skip


async def test_the_subnet_of_the_nodes_and_of_load_balancers_stays(face: ServedFace) -> None:
    instance = (await ask(face, "describe_instances"))["Reservations"][0]["Instances"][0]
    subnets = (await ask(face, "describe_subnets"))["Subnets"]
    assert (await refused(face, "delete_subnet", SubnetId=instance["SubnetId"]))[0] == "DependencyViolation"  # fmt: skip
    other = next(s["SubnetId"] for s in subnets if s["SubnetId"] != instance["SubnetId"])
    body = {"zones": [["us-east-1b", other]], "security_groups": []}
    await face.documents.put("elbv2.load-balancer", "arn:lb", body)
    assert (await refused(face, "delete_subnet", SubnetId=other))[0] == "DependencyViolation"
    await face.documents.delete("elbv2.load-balancer", "arn:lb")
    await ask(face, "delete_subnet", SubnetId=other)
    assert await default_vpc(face) == instance["VpcId"]


async def test_listings_come_in_pages(face: ServedFace) -> None:
    for number in range(3):
        await ask(face, "create_vpc", CidrBlock=f"10.{number}.0.0/16")
    seen: list[str] = []
    token: dict[str, str] = {}
    for _ in range(3):
        answer = await ask(face, "describe_vpcs", MaxResults=5, Filters=by("is-default", "false"), **token)  # fmt: skip
        seen += [vpc["VpcId"] for vpc in answer["Vpcs"]]
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert len(set(seen)) == len(seen) == 3
    assert (await refused(face, "describe_vpcs", NextToken="x"))[0] == "InvalidNextToken"
