"""Tags of classic load balancers."""

from __future__ import annotations

from tests.api.aws.elb.conftest import Classic

NAMED = {"LoadBalancerName": None, "LoadBalancerNames": ["httpd"]}


async def tags(classic: Classic) -> dict[str, str]:
    told = await classic.ask("describe_tags", LoadBalancerNames=["httpd"])
    return {tag["Key"]: tag["Value"] for tag in told["TagDescriptions"][0]["Tags"]}


async def test_tags_are_added_replaced_and_removed(classic: Classic) -> None:
    await classic.balancer(Tags=[{"Key": "a", "Value": "1"}])
    new = [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}]
    await classic.ask("add_tags", LoadBalancerNames=["httpd"], Tags=new)
    assert await tags(classic) == {"a": "2", "b": ""}
    await classic.ask("remove_tags", LoadBalancerNames=["httpd"], Tags=[{"Key": "a"}])
    assert await tags(classic) == {"b": ""}


async def test_what_cannot_be_tagged_is_refused(httpd: Classic) -> None:
    many = [{"Key": str(n), "Value": ""} for n in range(51)]
    assert (await httpd.refusal("add_tags", **NAMED, Tags=many))[0] == "TooManyTags"
    twice = [{"Key": "a", "Value": "1"}] * 2
    assert (await httpd.refusal("add_tags", **NAMED, Tags=twice))[0] == "DuplicateTagKeys"
    both = {**NAMED, "LoadBalancerNames": ["httpd", "x"]}
    assert (await httpd.refusal("add_tags", **both, Tags=many[:1]))[0] == "ValidationError"
    none = {**NAMED, "LoadBalancerNames": ["x"]}
    assert (await httpd.refusal("describe_tags", **none))[0] == "LoadBalancerNotFound"
