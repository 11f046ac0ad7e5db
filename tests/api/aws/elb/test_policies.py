"""Policies of classic load balancers."""

from __future__ import annotations

from portway.api.aws.elb.policy_types import DEFAULT_SSL_POLICY
from tests.api.aws.elb.conftest import HTTP, Classic


async def made(classic: Classic, name: str, type_name: str, **attributes: str) -> None:
    given = [{"AttributeName": k, "AttributeValue": v} for k, v in attributes.items()]
    await classic.of("create_load_balancer_policy", PolicyName=name, PolicyTypeName=type_name, PolicyAttributes=given)  # fmt: skip


async def test_a_policy_is_there_and_does_nothing_until_a_listener_is_given_it(
    httpd: Classic,
) -> None:
    for _ in range(2):  # the same again is the same
        await httpd.of("create_lb_cookie_stickiness_policy", PolicyName="affinity")
    await httpd.of("create_app_cookie_stickiness_policy", PolicyName="app", CookieName="SID")
    shown = await httpd.described()
    assert shown["Policies"] == {
        "AppCookieStickinessPolicies": [{"PolicyName": "app", "CookieName": "SID"}],
        "LBCookieStickinessPolicies": [{"PolicyName": "affinity", "CookieExpirationPeriod": 0}],
        "OtherPolicies": [],
    }
    assert shown["ListenerDescriptions"][0]["PolicyNames"] == []
    found = await httpd.refusal("create_lb_cookie_stickiness_policy", PolicyName="affinity", CookieExpirationPeriod=5)  # fmt: skip
    assert found[0] == "DuplicatePolicyName"


async def test_the_policies_of_a_listener_are_replaced_and_one_in_use_stays(httpd: Classic) -> None:
    await httpd.of("create_load_balancer_listeners", Listeners=[HTTP])
    await httpd.of("create_lb_cookie_stickiness_policy", PolicyName="one", CookieExpirationPeriod=5)
    await httpd.of("create_app_cookie_stickiness_policy", PolicyName="two", CookieName="SID")
    for names in (["one"], ["two"]):
        await httpd.of("set_load_balancer_policies_of_listener", LoadBalancerPort=8080, PolicyNames=names)  # fmt: skip
    assert (await httpd.described())["ListenerDescriptions"][1]["PolicyNames"] == ["two"]
    code, told = await httpd.refusal("delete_load_balancer_policy", PolicyName="two")
    assert (code, "in use" in told) == ("InvalidConfigurationRequest", True)
    await httpd.of("set_load_balancer_policies_of_listener", LoadBalancerPort=8080, PolicyNames=[])
    for _ in range(2):
        await httpd.of("delete_load_balancer_policy", PolicyName="two")
    told = await httpd.of("describe_load_balancer_policies")
    assert [p["PolicyName"] for p in told["PolicyDescriptions"]] == ["one"]


async def test_what_does_not_fit_a_listener_is_refused(httpd: Classic) -> None:
    await httpd.of("create_load_balancer_listeners", Listeners=[HTTP])
    await httpd.of("create_lb_cookie_stickiness_policy", PolicyName="cookie")
    await httpd.of("create_app_cookie_stickiness_policy", PolicyName="app", CookieName="SID")
    await made(httpd, "proxy", "ProxyProtocolPolicyType", ProxyProtocol="true")
    await made(httpd, "tls", "SSLNegotiationPolicyType", **{"Protocol-TLSv1.2": "true"})
    for number, names, code in (
        (8080, ["nope"], "PolicyNotFound"),
        (81, [], "ListenerNotFound"),
        (80, ["cookie"], "InvalidConfigurationRequest"),
        (8080, ["tls"], "InvalidConfigurationRequest"),
        (8080, ["proxy"], "InvalidConfigurationRequest"),
        (8080, ["cookie", "app"], "InvalidConfigurationRequest"),
    ):
        given = {"LoadBalancerPort": number, "PolicyNames": names}
        found = await httpd.refusal("set_load_balancer_policies_of_listener", **given)
        assert found[0] == code, names


async def test_instance_ports_are_told_the_client_by_a_policy(httpd: Classic) -> None:
    await made(httpd, "proxy", "ProxyProtocolPolicyType", ProxyProtocol="True")
    operation = "set_load_balancer_policies_for_backend_server"
    await httpd.of(operation, InstancePort=3245, PolicyNames=["proxy"])
    shown = (await httpd.described())["BackendServerDescriptions"]
    assert shown == [{"InstancePort": 3245, "PolicyNames": ["proxy"]}]
    await httpd.of("create_lb_cookie_stickiness_policy", PolicyName="cookie")
    for given in (
        {"InstancePort": 1, "PolicyNames": ["proxy"]},
        {"InstancePort": 3245, "PolicyNames": ["cookie"]},
    ):
        assert (await httpd.refusal(operation, **given))[0] == "InvalidConfigurationRequest"
    await httpd.of(operation, InstancePort=3245, PolicyNames=[])
    assert (await httpd.described())["BackendServerDescriptions"] == []


async def test_what_is_no_policy_is_refused(httpd: Classic) -> None:
    misfit, ssl = "InvalidConfigurationRequest", "SSLNegotiationPolicyType"
    for type_name, attributes, code, told in (
        ("NoSuchType", {}, "PolicyTypeNotFound", "NoSuchType"),
        ("BackendServerAuthenticationPolicyType", {}, "ValidationError", "does not check the cert"),
        ("PublicKeyPolicyType", {"PublicKey": "x"}, "ValidationError", "portway does not do"),
        ("ProxyProtocolPolicyType", {}, misfit, "ProxyProtocol"),
        ("ProxyProtocolPolicyType", {"ProxyProtocol": "2"}, misfit, "true or"),
        ("LBCookieStickinessPolicyType", {"X": "2"}, misfit, "no attribute X"),
        ("AppCookieStickinessPolicyType", {"CookieName": "a b"}, misfit, "cookie"),
        (ssl, {"Reference-Security-Policy": "x"}, misfit, "no security policy x"),
    ):
        given = [{"AttributeName": k, "AttributeValue": v} for k, v in attributes.items()]
        found = await httpd.refusal("create_load_balancer_policy", PolicyName="p", PolicyTypeName=type_name, PolicyAttributes=given)  # fmt: skip
        assert found[0] == code, attributes
        assert told in found[1]
    named = {"PolicyName": "a b", "PolicyTypeName": ssl}
    assert (await httpd.refusal("create_load_balancer_policy", **named))[0] == "ValidationError"


async def test_security_policies_are_ready_and_types_are_told(httpd: Classic) -> None:
    ready = await httpd.ask("describe_load_balancer_policies", PolicyNames=[DEFAULT_SSL_POLICY])
    [policy] = ready["PolicyDescriptions"]
    attributes = {a["AttributeName"]: a["AttributeValue"] for a in policy["PolicyAttributeDescriptions"]}  # fmt: skip
    assert attributes["Protocol-TLSv1.2"] == "true"
    assert attributes["Protocol-SSLv3"] == "false"
    reference = {"Reference-Security-Policy": "ELBSecurityPolicy-TLS-1-2-2017-01"}
    await made(httpd, "strict", "SSLNegotiationPolicyType", **reference)
    told = await httpd.of("describe_load_balancer_policies", PolicyNames=["strict"])
    assert len(told["PolicyDescriptions"][0]["PolicyAttributeDescriptions"]) == len(attributes)
    assert (await httpd.refusal("describe_load_balancer_policies", PolicyNames=["x"]))[0] == "PolicyNotFound"  # fmt: skip
    types = (await httpd.ask("describe_load_balancer_policy_types"))["PolicyTypeDescriptions"]
    assert len(types) == 6
    [one] = (await httpd.ask("describe_load_balancer_policy_types", PolicyTypeNames=["ProxyProtocolPolicyType"]))["PolicyTypeDescriptions"]  # fmt: skip
    assert one["PolicyAttributeTypeDescriptions"][0]["Cardinality"] == "ONE"
    missing = await httpd.refusal("describe_load_balancer_policy_types", LoadBalancerName=None, PolicyTypeNames=["x"])  # fmt: skip
    assert missing[0] == "PolicyTypeNotFound"
