"""Tags, with boto3."""

from __future__ import annotations

from tests.api.aws.elbv2.conftest import Elb


async def test_tags_are_added_replaced_and_removed(elb: Elb):
    group = await elb.group(Tags=[{"Key": "a", "Value": "1"}])
    balancer = await elb.balancer()
    arns = [group["TargetGroupArn"], balancer["LoadBalancerArn"]]
    await elb.ask("add_tags", ResourceArns=arns, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b"}])
    await elb.ask("remove_tags", ResourceArns=arns[:1], TagKeys=["b"])
    told = (await elb.ask("describe_tags", ResourceArns=arns))["TagDescriptions"]
    tags = [{tag["Key"]: tag["Value"] for tag in each["Tags"]} for each in told]
    assert tags == [{"a": "2"}, {"a": "2", "b": ""}]


async def test_what_has_no_tags_is_refused(elb: Elb):
    arn = (await elb.group())["TargetGroupArn"]
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    assert (await elb.refusal("add_tags", ResourceArns=[arn], Tags=twice))[0] == "DuplicateTagKeys"
    many = [{"Key": str(number)} for number in range(51)]
    assert (await elb.refusal("add_tags", ResourceArns=[arn], Tags=many))[0] == "TooManyTags"
    assert (await elb.refusal("describe_tags", ResourceArns=["nonsense"]))[0] == "ValidationError"
    gone = arn.replace("/tg/", "/other/")
    assert (await elb.refusal("describe_tags", ResourceArns=[gone]))[0] == "TargetGroupNotFound"


async def test_a_certificate_that_is_served_is_not_deleted(elb: Elb):
    from tests.api.aws.elbv2.conftest import ANSWER
    from tests.api.aws.elbv2.test_listeners import certificate

    arn = await certificate(elb, "c")
    of = (await elb.balancer())["LoadBalancerArn"]
    secure = {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": arn}]}
    await elb.listener(of, port=443, DefaultActions=ANSWER, **secure)
    import pytest
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError, match="currently in use by"):
        await elb.face.ask("iam", "delete_server_certificate", ServerCertificateName="c")
