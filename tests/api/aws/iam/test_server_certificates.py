"""IAM server certificates, with boto3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.aws.conftest import ServedFace
from tests.api.aws.pems import pair


async def uploaded(face: ServedFace, name: str, **members: Any) -> dict[str, Any]:
    certificate, key = pair()
    given = {"ServerCertificateName": name, "CertificateBody": certificate, "PrivateKey": key}
    answer = await face.ask("iam", "upload_server_certificate", **{**given, **members})
    return answer["ServerCertificateMetadata"]


async def test_a_certificate_is_given_back_without_its_key(face: ServedFace) -> None:
    certificate, key = pair()
    made = await uploaded(face, "c", CertificateBody=certificate, PrivateKey=key, Path="/p/")
    assert made["Arn"] == "arn:aws:iam::000000000000:server-certificate/p/c"
    got = (await face.ask("iam", "get_server_certificate", ServerCertificateName="c"))["ServerCertificate"]  # fmt: skip
    assert got["ServerCertificateMetadata"] == made
    assert got["CertificateBody"].strip() == certificate.strip()
    assert "PRIVATE" not in str(got)
    listed = await face.ask("iam", "list_server_certificates", PathPrefix="/p/")
    assert listed["ServerCertificateMetadataList"] == [made]


async def test_what_is_no_certificate_or_of_another_key_is_refused(face: ServedFace) -> None:
    for members, code in (
        ({"CertificateBody": "nonsense"}, "MalformedCertificate"),
        ({"PrivateKey": pair()[1]}, "KeyPairMismatch"),
    ):
        with pytest.raises(ClientError) as caught:
            await uploaded(face, "c", **members)
        assert caught.value.response["Error"]["Code"] == code


async def test_a_name_is_taken_once_and_can_be_changed(face: ServedFace) -> None:
    await uploaded(face, "c")
    await uploaded(face, "d")
    with pytest.raises(ClientError, match="already exists"):
        await uploaded(face, "c")
    change = {"ServerCertificateName": "c", "NewServerCertificateName": "d"}
    with pytest.raises(ClientError, match="already exists"):
        await face.ask("iam", "update_server_certificate", **change)
    change["NewServerCertificateName"] = "e"
    await face.ask("iam", "update_server_certificate", **change, NewPath="/x/")
    listed = await face.ask("iam", "list_server_certificates")
    arns = [each["Arn"] for each in listed["ServerCertificateMetadataList"]]
    assert arns == [
        "arn:aws:iam::000000000000:server-certificate/d",
        "arn:aws:iam::000000000000:server-certificate/x/e",
    ]


async def test_a_deleted_certificate_is_gone(face: ServedFace) -> None:
    await uploaded(face, "c")
    await face.ask("iam", "delete_server_certificate", ServerCertificateName="c")
    with pytest.raises(ClientError, match="Server Certificate with name c cannot be found"):
        await face.ask("iam", "delete_server_certificate", ServerCertificateName="c")
