"""ACM certificates, with boto3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from portway.api.aws.certificates import find_certificate
from portway.controller.clock import SystemClock
from tests.api.aws.conftest import ServedFace
from tests.api.aws.pems import pair


async def imported(face: ServedFace, domain: str = "example.com", **members: Any) -> str:
    certificate, key = pair(domain)
    given = {"Certificate": certificate.encode(), "PrivateKey": key.encode(), **members}
    return (await face.ask("acm", "import_certificate", **given))["CertificateArn"]


async def test_an_imported_certificate_is_described(face: ServedFace) -> None:
    arn = await imported(face, Tags=[{"Key": "a", "Value": "1"}])
    shown = (await face.ask("acm", "describe_certificate", CertificateArn=arn))["Certificate"]
    assert (shown["Type"], shown["Status"], shown["InUseBy"]) == ("IMPORTED", "ISSUED", [])
    assert shown["DomainName"] == "example.com"
    assert (shown["KeyAlgorithm"], shown["SignatureAlgorithm"]) == ("EC_prime256v1", "SHA256WITHECDSA")  # fmt: skip
    text = await face.ask("acm", "get_certificate", CertificateArn=arn)
    assert "BEGIN CERTIFICATE" in text["Certificate"]
    assert "PRIVATE" not in str(text)


async def test_a_certificate_imported_again_keeps_its_arn_and_has_its_new_text(
    face: ServedFace,
) -> None:
    arn = await imported(face)
    assert await imported(face, "other.com", CertificateArn=arn) == arn
    shown = (await face.ask("acm", "describe_certificate", CertificateArn=arn))["Certificate"]
    assert shown["DomainName"] == "other.com"
    with pytest.raises(ClientError, match="not permitted on re-import"):
        await imported(face, CertificateArn=arn, Tags=[{"Key": "a"}])


async def test_certificates_are_listed_by_when_they_were_made_and_in_pages(
    face: ServedFace,
) -> None:
    arns = [await imported(face) for _ in range(3)]
    for order, wanted in (("ASCENDING", arns), ("DESCENDING", arns[::-1])):
        found: list[str] = []
        token: dict[str, str] = {}
        for _ in range(3):
            page = await face.ask("acm", "list_certificates", SortBy="CREATED_AT", SortOrder=order, MaxItems=1, **token)  # fmt: skip
            found += [each["CertificateArn"] for each in page["CertificateSummaryList"]]
            token = {"NextToken": page.get("NextToken", "")}
        assert found == wanted
        assert not token["NextToken"]
    none = await face.ask("acm", "list_certificates", CertificateStatuses=["EXPIRED"])
    assert none["CertificateSummaryList"] == []


async def test_tags_are_added_and_removed(face: ServedFace) -> None:
    arn = await imported(face, Tags=[{"Key": "a", "Value": "1"}])
    tags = [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "3"}]
    await face.ask("acm", "add_tags_to_certificate", CertificateArn=arn, Tags=tags)
    gone = [{"Key": "a", "Value": "1"}, {"Key": "b"}]
    await face.ask("acm", "remove_tags_from_certificate", CertificateArn=arn, Tags=gone)
    left = await face.ask("acm", "list_tags_for_certificate", CertificateArn=arn)
    assert left["Tags"] == [{"Key": "a", "Value": "3"}]


async def test_what_is_no_certificate_is_refused_with_a_sentence(face: ServedFace) -> None:
    with pytest.raises(ClientError, match="not in PEM form"):
        await imported(face, Certificate=b"\xff")
    with pytest.raises(ClientError, match="does not match the certificate"):
        await imported(face, PrivateKey=pair()[1].encode())


async def test_a_deleted_certificate_is_gone(face: ServedFace) -> None:
    arn = await imported(face)
    await face.ask("acm", "delete_certificate", CertificateArn=arn)
    with pytest.raises(ClientError, match="Could not find certificate"):
        await face.ask("acm", "describe_certificate", CertificateArn=arn)


async def test_a_listener_gets_a_certificate_by_its_arn(face: ServedFace) -> None:
    arn, now_ms = await imported(face), SystemClock().now_ms()
    found = await find_certificate(face.documents, arn, target="s/a:443", now_ms=now_ms)
    assert found is not None
    assert (found.target, found.domains[0]) == ("s/a:443", "example.com")
    assert "PRIVATE KEY" in found.pem
    assert await find_certificate(face.documents, arn[:-1], target="x", now_ms=now_ms) is None
