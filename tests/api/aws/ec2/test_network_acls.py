"""Network ACLs, with boto3."""

from __future__ import annotations

from tests.api.aws.conftest import ServedFace
from tests.api.aws.ec2.asking import ask, by, default_vpc, refused

TCP = {"Protocol": "6", "CidrBlock": "0.0.0.0/0", "PortRange": {"From": 80, "To": 80}}


async def test_an_acl_allows_nothing_until_it_has_entries(face: ServedFace) -> None:
    acl = (await ask(face, "create_network_acl", VpcId=await default_vpc(face)))["NetworkAcl"]
    assert [entry["RuleAction"] for entry in acl["Entries"]] == ["deny", "deny"]
    key = acl["NetworkAclId"]
    given = {"NetworkAclId": key, "RuleNumber": 100, "Egress": False, "RuleAction": "allow", **TCP}
    await ask(face, "create_network_acl_entry", **given)
    told = await refused(face, "create_network_acl_entry", **given)
    assert told == ("NetworkAclEntryAlreadyExists", "The network acl entry identified by 100 already exists.")  # fmt: skip
    await ask(face, "replace_network_acl_entry", **{**given, "RuleAction": "deny"})
    found = await ask(face, "describe_network_acls", NetworkAclIds=[key])
    entries = found["NetworkAcls"][0]["Entries"]
    assert [(e["Egress"], e["RuleNumber"], e["RuleAction"]) for e in entries] == [
        (True, 32767, "deny"),
        (False, 100, "deny"),
        (False, 32767, "deny"),
    ]
    await ask(face, "delete_network_acl_entry", NetworkAclId=key, RuleNumber=100, Egress=False)
    code, _ = await refused(face, "delete_network_acl_entry", NetworkAclId=key, RuleNumber=100, Egress=False)  # fmt: skip
    assert code == "InvalidNetworkAclEntry.NotFound"
    assert (await refused(face, "create_network_acl_entry", **{**given, "RuleNumber": 32767}))[0] == "InvalidParameterValue"  # fmt: skip
    assert (await refused(face, "create_network_acl_entry", **{**given, "PortRange": {}}))[0] == "MissingParameter"  # fmt: skip


async def test_a_subnet_is_put_behind_another_acl(face: ServedFace) -> None:
    vpc_id = await default_vpc(face)
    (default,) = (await ask(face, "describe_network_acls", Filters=by("default", "true")))["NetworkAcls"]  # fmt: skip
    association = default["Associations"][0]
    key = (await ask(face, "create_network_acl", VpcId=vpc_id))["NetworkAcl"]["NetworkAclId"]
    asked = {"AssociationId": association["NetworkAclAssociationId"], "NetworkAclId": key}
    new = (await ask(face, "replace_network_acl_association", **asked))["NewAssociationId"]
    found = await ask(face, "describe_network_acls", Filters=by("association.subnet-id", association["SubnetId"]))  # fmt: skip
    assert [acl["NetworkAclId"] for acl in found["NetworkAcls"]] == [key]
    assert (await refused(face, "delete_network_acl", NetworkAclId=key))[0] == "DependencyViolation"
    assert (await refused(face, "replace_network_acl_association", **asked))[0] == "InvalidAssociationID.NotFound"  # fmt: skip
    back = {"AssociationId": new, "NetworkAclId": default["NetworkAclId"]}
    await ask(face, "replace_network_acl_association", **back)
    await ask(face, "delete_network_acl", NetworkAclId=key)
    assert (await refused(face, "delete_network_acl", NetworkAclId=default["NetworkAclId"]))[0] == "InvalidParameterValue"  # fmt: skip
