"""IAM server certificates, which listeners serve by their ARN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portway.api.aws.certificates import (
    IAM_KIND,
    is_mismatch,
    parts_of,
    read_given,
    users_of,
)
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.iam.common import check_tags, iam_arn, listing, new_id
from portway.api.aws.objects import merged_tags
from portway.api.aws.operation import Request, operation
from portway.core.errors import RequestError
from portway.core.stack import Certificate
from portway.store.base import Document, DocumentChangedError

_METADATA = ("Path", "ServerCertificateName", "ServerCertificateId", "Arn", "UploadDate", "Expiration")  # fmt: skip


@operation("iam", "UploadServerCertificate")
async def upload_server_certificate(face: Face, request: Request) -> dict[str, Any]:
    """Keep a certificate with its key, once both are known to be good."""
    name, path = request["ServerCertificateName"], request.get("Path", "/")
    tags = merged_tags([], request.get("Tags", []))
    check_tags(tags)
    certificate, key = request["CertificateBody"], request["PrivateKey"]
    chain = request.get("CertificateChain", "")
    read = _read(face, certificate, key, chain)
    body = {
        "Path": path,
        "ServerCertificateName": name,
        "ServerCertificateId": new_id(face, "ASCA"),
        "Arn": iam_arn(face, "server-certificate", path, name),
        "UploadDate": face.now_ms(),
        "Tags": tags,
        **parts_of(certificate, chain, read),
    }
    try:
        made = await face.documents.put(IAM_KIND, name, body, 0)
    except DocumentChangedError:
        raise _taken(name) from None
    return {"ServerCertificateMetadata": _metadata(made.body), "Tags": tags or None}


@operation("iam", "GetServerCertificate")
async def get_server_certificate(face: Face, request: Request) -> dict[str, Any]:
    """A certificate without its key."""
    body = (await _find(face, request["ServerCertificateName"])).body
    return {
        "ServerCertificate": {
            "ServerCertificateMetadata": _metadata(body),
            "CertificateBody": body["Body"],
            "CertificateChain": body["Chain"] or None,
            "Tags": body["Tags"] or None,
        }
    }


@operation("iam", "ListServerCertificates")
async def list_server_certificates(face: Face, request: Request) -> dict[str, Any]:
    """Certificates under a path."""
    prefix = request.get("PathPrefix", "/")
    found = [
        document.body
        for document in await face.documents.list(IAM_KIND)
        if document.body["Path"].startswith(prefix)
    ]
    return listing(
        request,
        "ServerCertificateMetadataList",
        found,
        lambda body: body["ServerCertificateName"],
        _metadata,
    )


@operation("iam", "DeleteServerCertificate")
async def delete_server_certificate(face: Face, request: Request) -> dict[str, Any]:
    """Forget a certificate that nothing serves."""
    found = await _find(face, request["ServerCertificateName"])
    await _refuse_used(face, found)
    await face.documents.delete(IAM_KIND, found.key)
    return {}


@operation("iam", "UpdateServerCertificate")
async def update_server_certificate(face: Face, request: Request) -> dict[str, Any]:
    """Give a certificate another name or path, and so another ARN. One that is served keeps both."""
    found = await _find(face, request["ServerCertificateName"])
    name = request.get("NewServerCertificateName", found.key)
    path = request.get("NewPath", found.body["Path"])
    if (name, path) == (found.key, found.body["Path"]):
        return {}
    await _refuse_used(face, found)
    arn = iam_arn(face, "server-certificate", path, name)
    body = {**found.body, "Path": path, "ServerCertificateName": name, "Arn": arn}
    if name == found.key:
        await face.documents.put(IAM_KIND, name, body, found.version)
        return {}
    try:
        await face.documents.put(IAM_KIND, name, body, 0)
    except DocumentChangedError:
        raise _taken(name) from None
    await face.documents.delete(IAM_KIND, found.key)
    return {}


def _read(face: Face, certificate: str, key: str, chain: str) -> Certificate:
    try:
        return read_given(certificate, key, chain, now_ms=face.now_ms())
    except RequestError as error:
        code = "KeyPairMismatch" if is_mismatch(error) else "MalformedCertificate"
        raise AwsError(code, f"{error.message} {error.hint}".strip(), 400) from None


async def _find(face: Face, name: str) -> Document:
    found = await face.documents.get(IAM_KIND, name)
    if found is None:
        told = f"The Server Certificate with name {name} cannot be found."
        raise AwsError("NoSuchEntity", told, 404)
    return found


async def _refuse_used(face: Face, found: Document) -> None:
    users = await users_of(face, found.body["Arn"])
    if users:
        told = (
            f"Certificate: {found.body['ServerCertificateId']} is currently in use by {users[0]}."
        )
        raise AwsError("DeleteConflict", told, 409)


def _taken(name: str) -> AwsError:
    told = f"The Server Certificate with name {name} already exists."
    return AwsError("EntityAlreadyExists", told, 409)


def _metadata(body: Mapping[str, Any]) -> dict[str, Any]:
    return {member: body[member] for member in _METADATA}
