"""Attributes of classic load balancers."""

from __future__ import annotations

from typing import Any

from tests.api.aws.elb.conftest import Classic


async def attributes(classic: Classic) -> dict[str, Any]:
    return (await classic.of("describe_load_balancer_attributes"))["LoadBalancerAttributes"]


async def test_attributes_have_aws_defaults(httpd: Classic) -> None:
    assert await attributes(httpd) == {
        "CrossZoneLoadBalancing": {"Enabled": False},
        "AccessLog": {"Enabled": False},
        "ConnectionDraining": {"Enabled": False, "Timeout": 300},
        "ConnectionSettings": {"IdleTimeout": 60},
        "AdditionalAttributes": [{"Key": "elb.http.desyncmitigationmode", "Value": "defensive"}],
    }


async def test_some_are_set_and_the_others_stay(httpd: Classic) -> None:
    change = {
        "ConnectionDraining": {"Enabled": True, "Timeout": 20},
        "CrossZoneLoadBalancing": {"Enabled": True},
    }
    told = await httpd.of("modify_load_balancer_attributes", LoadBalancerAttributes=change)
    assert (told["LoadBalancerName"], told["LoadBalancerAttributes"]) == ("httpd", change)
    log = {"Enabled": True, "S3BucketName": "b", "EmitInterval": 5, "S3BucketPrefix": "p"}
    more = {
        "AccessLog": log,
        "ConnectionSettings": {"IdleTimeout": 9},
        "AdditionalAttributes": [{"Key": "elb.http.desyncmitigationmode", "Value": "monitor"}],
    }
    await httpd.of("modify_load_balancer_attributes", LoadBalancerAttributes=more)
    assert await attributes(httpd) == {**change, **more}


async def test_what_an_attribute_cannot_be_is_refused_and_limits_are_told(httpd: Classic) -> None:
    desync = {"Key": "elb.http.desyncmitigationmode", "Value": "x"}
    for change, code in (
        ({"ConnectionDraining": {"Enabled": True, "Timeout": 0}}, "ValidationError"),
        ({"ConnectionSettings": {"IdleTimeout": 3601}}, "ValidationError"),
        ({"AccessLog": {"Enabled": True}}, "InvalidConfigurationRequest"),
        ({"AccessLog": {"Enabled": False, "EmitInterval": 7}}, "InvalidConfigurationRequest"),
        ({"AdditionalAttributes": [{"Key": "x", "Value": "1"}]}, "LoadBalancerAttributeNotFound"),
        ({"AdditionalAttributes": [desync]}, "InvalidConfigurationRequest"),
    ):
        operation = "modify_load_balancer_attributes"
        found = await httpd.refusal(operation, LoadBalancerAttributes=change)
        assert found[0] == code, change
    limits = (await httpd.ask("describe_account_limits"))["Limits"]
    assert {"Name": "classic-listeners", "Max": "100"} in limits
