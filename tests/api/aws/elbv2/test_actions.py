"""Actions are read, checked, and told as they were given."""

from __future__ import annotations

from typing import Any

import pytest

from portway.api.aws.elbv2.actions import read_action, shown_action
from portway.api.aws.errors import AwsError
from portway.core.rules import Forward, Redirect, Respond


def redirect(**config: str) -> list[dict[str, Any]]:
    return [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", **config}}]


def forward(*pools: tuple[str, int], **config: Any) -> list[dict[str, Any]]:
    groups = [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in pools]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups, **config}}]


STICKY = {"TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60}}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([{"Type": "forward", "TargetGroupArn": "a"}], Forward(pools=(("a", 1),))),
        (forward(("a", 3), ("b", 0), **STICKY), Forward(pools=(("a", 3), ("b", 0)), sticky_s=60)),
        (redirect(Protocol="HTTPS", Port="443"), Redirect(status=301, protocol="HTTPS", port_text="443")),
        (
            [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503", "MessageBody": "x"}}],
            Respond(status=503, body="x"),
        ),
    ],
)  # fmt: skip
def test_an_action_is_read_and_told(given: list[dict[str, Any]], expected: object):
    action = read_action(given, "HTTP")
    assert action == expected
    assert read_action([shown_action(action)], "HTTP") == expected


@pytest.mark.parametrize(
    "given",
    [
        [],
        [{"Type": "forward"}],
        [{"Type": "authenticate-oidc"}],
        [{"Type": "jwt-validation"}],
        forward(("a", 1000)),
        forward(("a", 1), ("a", 2)),
        forward(*((str(n), 1) for n in range(6))),
        forward(("a", 1), TargetGroupStickinessConfig={"Enabled": True}),
        redirect(),
        redirect(Path="no-slash"),
        redirect(Port="0"),
        [{"Type": "redirect"}],
        [{"Type": "fixed-response"}],
        [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "ContentType": "image/png"}}],
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_action_is_refused(given: list[dict[str, Any]]):
    with pytest.raises(AwsError):
        read_action(given, "HTTP")


def test_a_redirect_never_leaves_https_and_streams_are_only_forwarded():
    with pytest.raises(AwsError, match="HTTPS to HTTP"):
        read_action(redirect(Protocol="HTTP"), "HTTPS")
    with pytest.raises(AwsError, match="not valid with listener protocol 'TCP'"):
        read_action(redirect(Protocol="HTTPS"), "TCP")


def fixed(**config: str) -> list[dict[str, Any]]:
    return [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", **config}}]


@pytest.mark.parametrize(
    "given",
    [
        redirect(Host="a\nb"),
        redirect(Host="a b"),
        redirect(Path="/a\r\nSet-Cookie: x"),
        redirect(Query="é"),
        redirect(Host=""),
        redirect(Host="a" * 129),
        redirect(Path="/#{paths}"),
        redirect(Query="#{Host}"),
        fixed(StatusCode="302"),
        fixed(StatusCode="2000"),
        fixed(StatusCode="abc"),
        fixed(MessageBody="x" * 1025),
        fixed(MessageBody="\0"),
    ],
    ids=ascii,
)
def test_characters_and_lengths_that_alb_refuses_are_a_validation_error(
    given: list[dict[str, Any]],
):
    with pytest.raises(AwsError) as caught:
        read_action(given, "HTTP")
    assert caught.value.code == "ValidationError"


@pytest.mark.parametrize(
    "given",
    [
        redirect(Path="/new/#{path}", Query="from=#{host}&#{query}"),
        redirect(Host="#{host}.example.com", Query=""),
        fixed(MessageBody="x" * 1024),
        fixed(MessageBody="two\nlines, é"),
    ],
    ids=ascii,
)
def test_what_alb_takes_is_taken(given: list[dict[str, Any]]):
    assert read_action(given, "HTTP")
