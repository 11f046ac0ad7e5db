"""The nodes as instances, with boto3."""

from __future__ import annotations

from tests.api.aws.conftest import ServedFace
from tests.api.aws.ec2.asking import ask, by, refused


async def test_each_node_is_a_running_instance_with_an_interface(face: ServedFace) -> None:
    (reservation,) = (await ask(face, "describe_instances"))["Reservations"]
    (instance,) = reservation["Instances"]
    assert instance["State"]["Name"] == "running"
    assert instance["PrivateIpAddress"] == "127.0.0.1"
    assert instance["Placement"]["AvailabilityZone"] == "us-east-1a"
    assert [group["GroupName"] for group in instance["SecurityGroups"]] == ["default"]
    key = instance["InstanceId"]
    assert key.startswith("i-")
    (interface,) = (await ask(face, "describe_network_interfaces", Filters=by("attachment.instance-id", key)))["NetworkInterfaces"]  # fmt: skip
    assert interface["Attachment"]["InstanceId"] == key
    (status,) = (await ask(face, "describe_instance_status", InstanceIds=[key]))["InstanceStatuses"]
    assert status["InstanceStatus"]["Status"] == "ok"
    stopped = await ask(face, "describe_instances", Filters=by("instance-state-name", "stopped"))
    assert stopped["Reservations"] == []


async def test_an_instance_is_put_into_other_groups_and_tagged(face: ServedFace) -> None:
    instance = (await ask(face, "describe_instances"))["Reservations"][0]["Instances"][0]
    key = instance["InstanceId"]
    group = (await ask(face, "create_security_group", GroupName="g", Description="d"))["GroupId"]
    interface = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    await ask(face, "create_tags", Resources=[key], Tags=[{"Key": "Name", "Value": "node"}])
    await ask(face, "modify_network_interface_attribute", NetworkInterfaceId=interface, Groups=[group])  # fmt: skip
    found = await ask(face, "describe_instances", Filters=by("tag:Name", "node"))
    changed = found["Reservations"][0]["Instances"][0]
    assert [each["GroupId"] for each in changed["SecurityGroups"]] == [group]
    answer = await ask(face, "describe_instance_attribute", InstanceId=key, Attribute="groupSet")
    assert answer["Groups"] == [{"GroupId": group, "GroupName": "g"}]
    assert (await refused(face, "describe_instance_attribute", InstanceId=key, Attribute="kernel"))[0] == "UnsupportedOperation"  # fmt: skip
    assert (await refused(face, "modify_instance_attribute", InstanceId=key, Groups=["sg-1"]))[0] == "InvalidGroup.NotFound"  # fmt: skip
    assert (await refused(face, "modify_instance_attribute", InstanceId="i-1", Groups=[group]))[0] == "InvalidInstanceID.NotFound"  # fmt: skip
    code, told = await refused(face, "modify_instance_attribute", InstanceId=key, InstanceType={"Value": "t3.micro"})  # fmt: skip
    assert "not portway's to change" in told, code
