"""Certificates that load balancers may serve: found by ARN, and known to be in use."""

from __future__ import annotations

from typing import Any

import pytest

from portway.api.aws import certificates
from portway.api.aws.certificates import (
    ACM_KIND,
    IAM_KIND,
    CertificateUser,
    find_certificate,
    is_mismatch,
    parts_of,
    read_given,
    register_user,
    tell_changed,
    users_of,
)
from portway.api.aws.face import Face
from portway.controller.clock import SystemClock
from portway.core.errors import RequestError
from portway.store.documents import MemoryDocuments
from tests.api.aws.faces import made_face
from tests.api.aws.pems import pair

NOW_MS = SystemClock().now_ms()
ACM = "arn:aws:acm:us-east-1:000000000000:certificate/1"
IAM = "arn:aws:iam::000000000000:server-certificate/web"


async def kept(documents: MemoryDocuments) -> tuple[str, str]:
    """The texts of a certificate that is kept under both ARNs."""
    body, key = pair("a.example.com")
    parts = parts_of(body, "", read_given(body, key, "", now_ms=NOW_MS))
    await documents.put(ACM_KIND, ACM, {**parts, "Arn": ACM})
    await documents.put(IAM_KIND, "web", {**parts, "Arn": IAM})
    return body, key


@pytest.mark.parametrize("arn", [ACM, IAM])
async def test_a_certificate_is_found_by_the_arn_of_either_service(arn: str) -> None:
    documents = MemoryDocuments()
    await kept(documents)
    found = await find_certificate(documents, arn, target="t", now_ms=NOW_MS)
    assert found is not None
    assert found.target == "t"
    assert "a.example.com" in found.domains
    assert await find_certificate(documents, f"{arn}2", target="t", now_ms=NOW_MS) is None


async def test_one_that_has_expired_is_served_no_more() -> None:
    documents = MemoryDocuments()
    await kept(documents)
    found = await find_certificate(documents, ACM, target="t", now_ms=NOW_MS)
    assert found is not None
    with pytest.raises(RequestError):
        await find_certificate(documents, ACM, target="t", now_ms=found.expires_at_ms + 1)


def test_the_key_of_another_certificate_is_told_from_other_mistakes() -> None:
    body, _ = pair("a.example.com")
    _, other = pair("b.example.com")
    with pytest.raises(RequestError) as caught:
        read_given(body, other, "", now_ms=NOW_MS)
    assert is_mismatch(caught.value)
    with pytest.raises(RequestError) as caught:
        read_given("no certificate", other, "", now_ms=NOW_MS)
    assert not is_mismatch(caught.value)


async def test_all_that_serve_a_certificate_are_asked_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(certificates, "_users", [])
    monkeypatch.setattr(certificates, "_USING_SERVICES", ())
    told: list[Any] = []

    def user(name: str) -> CertificateUser:
        async def uses(face: Face, arn: str) -> list[str]:
            return [name] if arn == ACM else []

        async def changed(face: Face, arn: str) -> None:
            told.append((name, arn))

        return CertificateUser(uses=uses, changed=changed)

    for name in ("alb", "elb"):
        register_user(user(name))
    face = made_face()
    assert await users_of(face, ACM) == ["alb", "elb"]
    assert await users_of(face, IAM) == []
    await tell_changed(face, ACM)
    assert told == [("alb", ACM), ("elb", ACM)]
