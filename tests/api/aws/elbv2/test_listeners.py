"""Listeners and their certificates, with boto3."""

from __future__ import annotations

from typing import Any

from tests.api.aws.elbv2.conftest import ANSWER, Elb, forward
from tests.api.aws.pems import pair


async def certificate(elb: Elb, name: str) -> str:
    body, key = pair(f"{name}.example.com")
    given = {"ServerCertificateName": name, "CertificateBody": body, "PrivateKey": key}
    made = await elb.face.ask("iam", "upload_server_certificate", **given)
    return made["ServerCertificateMetadata"]["Arn"]


async def balancer(elb: Elb, **members: Any) -> str:
    return (await elb.balancer(**members))["LoadBalancerArn"]


async def test_a_forward_is_told_in_both_members(elb: Elb):
    of, arn = await balancer(elb), (await elb.group())["TargetGroupArn"]
    made = await elb.listener(of, DefaultActions=forward(arn))
    [action] = made["DefaultActions"]
    assert action["TargetGroupArn"] == arn
    assert action["ForwardConfig"]["TargetGroups"] == [{"TargetGroupArn": arn, "Weight": 1}]
    found = await elb.ask("describe_listeners", LoadBalancerArn=of)
    assert found["Listeners"] == [made]
    assert (await elb.listener(of, DefaultActions=forward(arn)))["ListenerArn"] == made["ListenerArn"]  # fmt: skip


async def test_what_cannot_be_a_listener_is_refused(elb: Elb):
    of, tcp = await balancer(elb), (await elb.group("tcp", Protocol="TCP"))["TargetGroupArn"]
    await elb.listener(of, DefaultActions=ANSWER)
    unknown = tcp.replace("tcp", "other")
    for members, code in (
        ({"DefaultActions": ANSWER, "Protocol": "HTTP", "Port": 80, "Tags": [{"Key": "a"}]}, "DuplicateListener"),
        ({"DefaultActions": forward(tcp)}, "IncompatibleProtocols"),
        ({"DefaultActions": forward(unknown)}, "TargetGroupNotFound"),
        ({"DefaultActions": ANSWER, "Protocol": "TCP"}, "ValidationError"),
        ({"DefaultActions": ANSWER, "Protocol": "HTTPS"}, "CertificateNotFound"),
        ({"DefaultActions": ANSWER, "SslPolicy": "ELBSecurityPolicy-2016-08"}, "InvalidConfigurationRequest"),
        ({"DefaultActions": [*ANSWER, *ANSWER]}, "InvalidLoadBalancerAction"),
    ):  # fmt: skip
        given = {"LoadBalancerArn": of, "Protocol": "HTTP", "Port": 81, **members}
        assert (await elb.refusal("create_listener", **given))[0] == code, members


async def test_authentication_and_udp_are_refused_with_a_sentence(elb: Elb):
    of = await balancer(elb)
    login = {"Type": "authenticate-cognito", "AuthenticateCognitoConfig": {"UserPoolArn": "a", "UserPoolClientId": "b", "UserPoolDomain": "c"}}  # fmt: skip
    code, told = await elb.refusal("create_listener", LoadBalancerArn=of, Protocol="HTTP", Port=80, DefaultActions=[login, *ANSWER])  # fmt: skip
    assert code == "InvalidLoadBalancerAction"
    assert "portway does not do 'authenticate-cognito'" in told
    network = await balancer(elb, name="net", Type="network")
    code, told = await elb.refusal("create_listener", LoadBalancerArn=network, Protocol="UDP", Port=53, DefaultActions=ANSWER)  # fmt: skip
    assert "portway does not do protocol 'UDP' yet" in told


async def test_a_group_belongs_to_one_load_balancer(elb: Elb):
    one, other = await balancer(elb), await balancer(elb, name="other")
    arn = (await elb.group())["TargetGroupArn"]
    await elb.listener(one, DefaultActions=forward(arn))
    given = {"LoadBalancerArn": other, "Protocol": "HTTP", "Port": 80}
    refusal = await elb.refusal("create_listener", **given, DefaultActions=forward(arn))
    assert refusal[0] == "TargetGroupAssociationLimit"


async def test_certificates_are_served_by_name_and_kept_while_they_are(elb: Elb):
    of, first, second = await balancer(elb), await certificate(elb, "one"), await certificate(elb, "two")  # fmt: skip
    https = {"Protocol": "HTTPS", "port": 443, "DefaultActions": ANSWER}
    made = await elb.listener(of, Certificates=[{"CertificateArn": first}], **https)
    assert made["Certificates"] == [{"CertificateArn": first}]
    assert made["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    arn = made["ListenerArn"]
    await elb.ask("add_listener_certificates", ListenerArn=arn, Certificates=[{"CertificateArn": second}])  # fmt: skip
    told = (await elb.ask("describe_listener_certificates", ListenerArn=arn))["Certificates"]
    assert {each["CertificateArn"]: each["IsDefault"] for each in told} == {first: True, second: False}  # fmt: skip
    assert set(elb.face.operations.balancing.certificates) == {first, second}
    refusal = await elb.refusal("remove_listener_certificates", ListenerArn=arn, Certificates=[{"CertificateArn": first}])  # fmt: skip
    assert refusal[0] == "OperationNotPermitted"
    await elb.ask("remove_listener_certificates", ListenerArn=arn, Certificates=[{"CertificateArn": second}])  # fmt: skip
    assert set(elb.face.operations.balancing.certificates) == {first}
    bad = [{"CertificateArn": "arn:aws:iam::1:server-certificate/none"}]
    assert (await elb.refusal("add_listener_certificates", ListenerArn=arn, Certificates=bad))[0] == "CertificateNotFound"  # fmt: skip


async def test_a_listener_is_changed_in_part(elb: Elb):
    of, arn = await balancer(elb), (await elb.group())["TargetGroupArn"]
    made = await elb.listener(of, DefaultActions=ANSWER)
    one = {"ListenerArn": made["ListenerArn"]}
    [told] = (await elb.ask("modify_listener", **one, Port=8080))["Listeners"]
    assert (told["Port"], told["DefaultActions"]) == (8080, made["DefaultActions"])
    [told] = (await elb.ask("modify_listener", **one, DefaultActions=forward(arn)))["Listeners"]
    assert told["DefaultActions"][0]["Type"] == "forward"
    await elb.listener(of, port=80, DefaultActions=ANSWER)
    assert (await elb.refusal("modify_listener", **one, Port=80))[0] == "DuplicateListener"
    secure = [{"CertificateArn": await certificate(elb, "c")}]
    [told] = (await elb.ask("modify_listener", **one, Protocol="HTTPS", Certificates=secure))["Listeners"]  # fmt: skip
    assert told["Certificates"] == secure
    [told] = (await elb.ask("modify_listener", **one, Protocol="HTTP"))["Listeners"]
    assert "Certificates" not in told


async def test_a_tcp_listener_has_an_idle_timeout(elb: Elb):
    network = await balancer(elb, Type="network")
    group = (await elb.group(Protocol="TCP"))["TargetGroupArn"]
    made = await elb.listener(network, Protocol="TCP", DefaultActions=forward(group))
    one = {"ListenerArn": made["ListenerArn"]}
    told = await elb.ask("describe_listener_attributes", **one)
    assert told["Attributes"] == [{"Key": "tcp.idle_timeout.seconds", "Value": "350"}]
    change = [{"Key": "tcp.idle_timeout.seconds", "Value": "60"}]
    assert (await elb.ask("modify_listener_attributes", **one, Attributes=change))["Attributes"] == change  # fmt: skip


async def test_listeners_are_asked_for_by_something(elb: Elb):
    assert (await elb.refusal("describe_listeners"))[0] == "ValidationError"
