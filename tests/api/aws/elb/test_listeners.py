"""Listeners of classic load balancers and their certificates."""

from __future__ import annotations

from typing import Any

import pytest

from portway.api.aws.elb.policy_types import DEFAULT_SSL_POLICY
from tests.api.aws.elb.conftest import HTTP, TCP, Classic
from tests.api.aws.pems import pair

NOBODY = "arn:aws:iam::1:server-certificate/none"


async def certificate(classic: Classic, name: str = "HttpdWeb443") -> str:
    """One in IAM: its ARN."""
    body, key = pair()
    given = {"ServerCertificateName": name, "CertificateBody": body, "PrivateKey": key}
    made = await classic.face.ask("iam", "upload_server_certificate", **given)
    return made["ServerCertificateMetadata"]["Arn"]


def ssl(arn: str = NOBODY, **members: Any) -> dict[str, Any]:
    given = {"Protocol": "SSL", "LoadBalancerPort": 443, "InstancePort": 56839}
    return {**given, "SSLCertificateId": arn, **members}


async def listeners(classic: Classic) -> dict[int, dict[str, Any]]:
    shown = (await classic.described())["ListenerDescriptions"]
    return {each["Listener"]["LoadBalancerPort"]: each for each in shown}


async def test_a_secure_listener_has_a_certificate_and_the_usual_policy(httpd: Classic) -> None:
    arn = await certificate(httpd)
    await httpd.of("create_load_balancer_listeners", Listeners=[ssl(arn)])
    shown = (await listeners(httpd))[443]
    assert shown == {
        "Listener": {**ssl(arn), "InstanceProtocol": "TCP"},
        "PolicyNames": [DEFAULT_SSL_POLICY],
    }
    assert (await httpd.described())["Policies"]["OtherPolicies"] == [DEFAULT_SSL_POLICY]
    with pytest.raises(Exception, match="DeleteConflict"):
        await httpd.face.ask("iam", "delete_server_certificate", ServerCertificateName="HttpdWeb443")  # fmt: skip


async def test_the_same_listener_again_is_there_and_another_on_its_port_is_refused(
    httpd: Classic,
) -> None:
    await httpd.of("create_load_balancer_listeners", Listeners=[TCP, HTTP])
    code, told = await httpd.refusal("create_load_balancer_listeners", Listeners=[{**TCP, "InstancePort": 9999}])  # fmt: skip
    assert code == "DuplicateListener"
    assert told.startswith("A listener already exists for httpd with LoadBalancerPort 80, but")
    assert sorted(await listeners(httpd)) == [80, 8080]


async def test_what_is_no_listener_is_refused_and_changes_nothing(httpd: Classic) -> None:
    for listener, code, told in (
        (ssl(), "CertificateNotFound", NOBODY),
        (ssl(SSLCertificateId=""), "ValidationError", "must be specified"),
        ({**HTTP, "SSLCertificateId": NOBODY}, "InvalidConfigurationRequest", "not for HTTP"),
        ({**HTTP, "Protocol": "UDP"}, "UnsupportedProtocol", "UDP"),
        ({**HTTP, "InstanceProtocol": "TCP"}, "ValidationError", "HTTP, HTTPS"),
        ({**HTTP, "LoadBalancerPort": 0}, "ValidationError", "LoadBalancerPort"),
    ):
        beside = {**HTTP, "LoadBalancerPort": 8081}
        found = await httpd.refusal("create_load_balancer_listeners", Listeners=[beside, listener])
        assert found[0] == code, listener
        assert told in found[1]
    assert list(await listeners(httpd)) == [80]


async def test_listeners_go_by_their_ports_and_once_more(httpd: Classic) -> None:
    for _ in range(2):
        await httpd.of("delete_load_balancer_listeners", LoadBalancerPorts=[80])
    assert await listeners(httpd) == {}


async def test_a_certificate_is_replaced_where_there_is_one(httpd: Classic) -> None:
    first, second = await certificate(httpd), await certificate(httpd, "other")
    await httpd.of("create_load_balancer_listeners", Listeners=[ssl(first)])
    await httpd.of("set_load_balancer_listener_ssl_certificate", LoadBalancerPort=443, SSLCertificateId=second)  # fmt: skip
    assert (await listeners(httpd))[443]["Listener"]["SSLCertificateId"] == second
    for number, arn, code in (
        (443, NOBODY, "CertificateNotFound"),
        (81, second, "ListenerNotFound"),
        (80, second, "InvalidConfigurationRequest"),
    ):
        found = await httpd.refusal("set_load_balancer_listener_ssl_certificate", LoadBalancerPort=number, SSLCertificateId=arn)  # fmt: skip
        assert found[0] == code
