"""Security policies and limits, with boto3."""

from __future__ import annotations

from portway.api.aws.elbv2.policies import DEFAULT_POLICY, LIMITS, POLICIES
from tests.api.aws.elbv2.conftest import Elb


async def test_policies_are_told_by_name(elb: Elb):
    every = (await elb.ask("describe_ssl_policies"))["SslPolicies"]
    assert {policy["Name"] for policy in every} == set(POLICIES)
    [one] = (await elb.ask("describe_ssl_policies", Names=[DEFAULT_POLICY]))["SslPolicies"]
    assert "TLSv1.2" in one["SslProtocols"]
    assert (await elb.refusal("describe_ssl_policies", Names=["none"]))[0] == "SSLPolicyNotFound"


async def test_limits_are_those_that_are_kept(elb: Elb):
    told = (await elb.ask("describe_account_limits"))["Limits"]
    assert {each["Name"]: int(each["Max"]) for each in told} == LIMITS
