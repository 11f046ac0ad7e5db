"""Garbage of any kind is refused in the words of its protocol, never with a 5xx."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portway.api.aws.endpoint import AwsEndpoint
from portway.api.aws.settings import AwsSettings
from portway.store.documents import MemoryDocuments
from tests.api.fakes import FakeOperations
from tests.features import examples

_WORDS = st.sampled_from(
    ["AmazonEC2ContainerServiceV20141113.ListClusters", "CertificateManager.ImportCertificate",
     "CertificateManager.ListCertificates", "X.Y", "", ".", "Logs_20140328.PutLogEvents"]
) | st.text(max_size=20)  # fmt: skip
_TYPES = st.sampled_from(["application/x-amz-json-1.1", "application/x-amz-json-1.0", "application/x-www-form-urlencoded", "application/cbor", ""])  # fmt: skip
_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["MaxItems", "Tags", "Certificate", "NextToken", "Includes", "x"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
_FORMS = st.lists(
    st.tuples(
        st.sampled_from(["Action", "Version", "RoleName", "Tags.member.1.Key", "Tags.member.x", "Tags",
                         "MaxItems", "Tags.member.1", "Marker", "X-Amz-Signature", "..", "DurationSeconds"]),
        st.sampled_from(["CreateRole", "ListRoles", "2010-05-08", "2011-06-15", "2016-11-15", "-1", "", "é", "GetSessionToken"])
        | st.text(max_size=6),
    ),
    max_size=8,
)  # fmt: skip


def _bodies() -> st.SearchStrategy[bytes]:
    import json
    from urllib.parse import urlencode

    import cbor2

    def encodable(pairs: list[tuple[str, str]]) -> bytes:
        return urlencode(pairs, errors="replace").encode()

    return (
        st.binary(max_size=60)
        | _TREES.map(lambda tree: json.dumps(tree).encode())
        | _TREES.map(cbor2.dumps)
        | _FORMS.map(encodable)
    )


async def answer_of(scope: dict[str, Any], body: bytes, *, verify: bool) -> tuple[int, bytes]:
    endpoint = AwsEndpoint(
        FakeOperations(),
        AwsSettings(
            documents=MemoryDocuments(),
            keys=_NOWHERE,
            now_ms=lambda: 1_800_000_000_000,
            verify_signatures=verify,
        ),
    )
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await endpoint({"type": "http", **scope}, receive, send)
    return sent[0]["status"], sent[1]["body"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Any) -> None:
    global _NOWHERE
    _NOWHERE = tmp_path / "aws-keys"


_NOWHERE: Any = None


@settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    target=st.none() | _WORDS,
    kind=_TYPES,
    authorization=st.none() | st.text(max_size=30).map(lambda text: f"AWS4-HMAC-SHA256 {text}"),
    query=st.text(max_size=20) | st.sampled_from(["Action=ListRoles", "X-Amz-Signature=1"]),
    path=st.sampled_from(["/", "/service/GraniteServiceVersion20100801/operation/PutMetricData"]),
    body=_bodies(),
    verify=st.booleans(),
)
async def test_no_request_is_answered_with_a_server_error(
    target: str | None,
    kind: str,
    authorization: str | None,
    query: str,
    path: str,
    body: bytes,
    verify: bool,
) -> None:
    headers = [(b"host", b"127.0.0.1:1"), (b"content-type", kind.encode())]
    if target is not None:
        headers.append((b"x-amz-target", target.encode("latin-1", "replace")))
    if authorization is not None:
        headers.append((b"authorization", authorization.encode("latin-1", "replace")))
    if path != "/":
        headers.append((b"smithy-protocol", b"rpc-v2-cbor"))
    scope = {
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode("ascii", "replace"),
        "headers": headers,
    }
    status, answer = await answer_of(scope, body, verify=verify)
    assert 200 <= status < 500, (status, answer)
    if verify:
        assert status >= 400
