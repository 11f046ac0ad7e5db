"""SigV4: what botocore signs is accepted, and whatever is changed of it afterwards is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from portway.api.aws.wire.sigv4 import (
    Expired,
    Incomplete,
    Mismatch,
    SentRequest,
    check_signature,
    read_signature,
)

KEY, SECRET = "AKIAAAAAAAAAAAAAAAAA", "secret/+x"
URL = "http://127.0.0.1:4566/"
HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListClusters",
}


def signed_ms(request: SentRequest) -> int:
    """The moment it says it was signed at."""
    signature = read_signature(request)
    assert signature is not None
    moment = datetime.strptime(signature.signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def sent(request: AWSRequest) -> SentRequest:
    """A signed request as a server gets it."""
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    headers = [(name.lower(), _text(value)) for name, value in prepared.headers.items()]
    if "host" not in {name for name, _ in headers}:
        headers.append(("host", parts.netloc))
    body = prepared.body if isinstance(prepared.body, bytes) else (prepared.body or "").encode()
    return SentRequest(
        method=prepared.method,
        path=parts.path or "/",
        query=parts.query,
        headers=headers,
        body=body,
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def signed(
    *, body: str = "{}", token: str | None = None, url: str = URL, method: str = "POST"
) -> SentRequest:
    request = AWSRequest(method=method, url=url, data=body, headers=dict(HEADERS))
    SigV4Auth(Credentials(KEY, SECRET, token), "ecs", "us-east-1").add_auth(request)
    return sent(request)


def presigned(expires_s: int = 60) -> SentRequest:
    url = "http://127.0.0.1:4566/?Action=GetCallerIdentity&Version=2011-06-15&x=a%20b"
    request = AWSRequest(method="GET", url=url)
    SigV4QueryAuth(Credentials(KEY, SECRET, "tok+/="), "sts", "us-east-1", expires_s).add_auth(
        request
    )
    return sent(request)


def check(request: SentRequest, *, secret: str = SECRET, at_ms: int | None = None) -> None:
    signature = read_signature(request)
    assert signature is not None
    check_signature(
        request, signature, secret, now_ms=signed_ms(request) if at_ms is None else at_ms
    )


@given(body=st.text(max_size=50), path=st.sampled_from(["", "a%20b/", "%C3%A9", "a//b", "~x"]))
def test_what_botocore_signs_is_accepted(body: str, path: str) -> None:
    check(signed(body=body, url=URL + path.replace("//", "/")))


def test_a_query_is_signed_however_its_spaces_are_written() -> None:
    check(signed(url=URL + "?b=2&a=1&a=0&c=x%20y&d=%C3%A9&e=%2B"))


def test_a_session_token_is_part_of_what_is_signed() -> None:
    request = signed(token="tok")
    check(request)
    without = [pair for pair in request.headers if pair[0] != "x-amz-security-token"]
    with pytest.raises(Incomplete, match="is not in the request"):
        check(replace(request, headers=without))


def test_a_presigned_query_is_accepted_until_it_expires() -> None:
    request = presigned()
    signature = read_signature(request)
    assert signature is not None
    assert signature.session_token == "tok+/="
    check(request, at_ms=signed_ms(request) + 60_000)
    with pytest.raises(Expired):
        check(request, at_ms=signed_ms(request) + 60_001)


def headers_with(request: SentRequest, name: str, value: str) -> list[tuple[str, str]]:
    return [(n, value if n == name else v) for n, v in request.headers]


TAMPERED: list[tuple[str, Callable[[SentRequest], SentRequest]]] = [
    ("body", lambda r: replace(r, body=b'{"maxResults": 1}')),
    ("method", lambda r: replace(r, method="PUT")),
    ("path", lambda r: replace(r, path="/x")),
    ("query", lambda r: replace(r, query="Action=x")),
    ("host", lambda r: replace(r, headers=headers_with(r, "host", "127.0.0.1:4567"))),
    ("target", lambda r: replace(r, headers=headers_with(r, "x-amz-target", "X.DeleteCluster"))),
    ("type", lambda r: replace(r, headers=headers_with(r, "content-type", "text/plain"))),
    ("another header", lambda r: replace(r, headers=[*r.headers, ("x-amz-new", "1")])),
    ("a second host", lambda r: replace(r, headers=[*r.headers, ("host", "evil")])),
    ("a second target", lambda r: replace(r, headers=[*r.headers, ("x-amz-target", "evil")])),
    ("region", lambda r: in_authorization(r, "us-east-1", "us-west-2")),
    ("service", lambda r: in_authorization(r, "/ecs/", "/iam/")),
    ("signed headers", lambda r: in_authorization(r, "content-type;", "")),
    ("without host", lambda r: in_authorization(r, "host;", "")),
    ("signature", lambda r: in_authorization(r, "Signature=", "Signature=0")),
    ("payload hash", lambda r: replace(r, headers=[*r.headers, ("x-amz-content-sha256", "0" * 64)])),
]  # fmt: skip


def in_authorization(request: SentRequest, old: str, new: str) -> SentRequest:
    value = dict(request.headers)["authorization"]
    assert old in value
    return replace(request, headers=headers_with(request, "authorization", value.replace(old, new, 1)))  # fmt: skip


@pytest.mark.parametrize(("what", "change"), TAMPERED, ids=[name for name, _ in TAMPERED])
def test_what_was_changed_on_the_way_is_refused(
    what: str, change: Callable[[SentRequest], SentRequest]
) -> None:
    with pytest.raises((Mismatch, Incomplete)):
        check(change(signed()))


def test_another_secret_is_refused() -> None:
    with pytest.raises(Mismatch, match="does not match the signature you provided"):
        check(signed(), secret=SECRET + "x")


@pytest.mark.parametrize(("after_ms", "refused"), [(-300_001, "not yet current"), (-300_000, ""), (300_000, ""), (300_001, "expired")])  # fmt: skip
def test_a_signature_holds_for_five_minutes_around_its_time(after_ms: int, refused: str) -> None:
    request = signed()
    if not refused:
        check(request, at_ms=signed_ms(request) + after_ms)
        return
    with pytest.raises(Expired, match=refused):
        check(request, at_ms=signed_ms(request) + after_ms)


@pytest.mark.parametrize(
    "authorization",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA512 Credential=a",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=K/2/r/s/aws4_request, Credential=K/2/r/s/aws4_request",
        "AWS4-HMAC-SHA256 Credential=K/20261121/r/s/aws4_request, SignedHeaders=x;host, Signature=" + "0" * 64,
    ],
)  # fmt: skip
def test_a_signature_that_is_not_whole_is_incomplete(authorization: str) -> None:
    request = SentRequest(
        method="POST",
        path="/",
        query="",
        headers=[("authorization", authorization), ("x-amz-date", "20261121T000000Z")],
    )
    with pytest.raises(Incomplete):
        read_signature(request)


@pytest.mark.parametrize("header", ["Bearer x", "Basic eDp5", ""])
def test_another_kind_of_authorization_is_no_signature(header: str) -> None:
    request = SentRequest(method="POST", path="/", query="", headers=[("authorization", header)])
    assert read_signature(request) is None


@given(header=st.text(max_size=200), date=st.text(max_size=20), query=st.text(max_size=100))
def test_no_text_makes_the_reader_fail_with_anything_else(
    header: str, date: str, query: str
) -> None:
    request = SentRequest(
        method="POST",
        path="/",
        query=query,
        headers=[("authorization", f"AWS4-HMAC-SHA256 {header}"), ("x-amz-date", date)],
    )
    try:
        signature = read_signature(request)
    except (Incomplete, Mismatch):
        return
    assert signature is None or signature.access_key_id
