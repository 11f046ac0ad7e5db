"""ACM certificates: imported, described, renewed by importing them again under their ARN."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from portway.api.aws.acm.details import details_of
from portway.api.aws.certificates import (
    ACM_KIND,
    is_mismatch,
    parts_of,
    read_given,
    tell_changed,
    users_of,
)
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.objects import Body, Tags, changed, merged_tags, without_tags
from portway.api.aws.operation import Request, operation
from portway.api.aws.paging import page
from portway.core.errors import RequestError
from portway.core.stack import Certificate
from portway.store.base import Document

_TAGS_MAX = 50
_PAGE_SIZE = 1000


@operation("acm", "ImportCertificate")
async def import_certificate(face: Face, request: Request) -> dict[str, Any]:
    """Keep a certificate with its key; under an ARN that exists, replace it and what listeners serve of it."""
    texts = [_text(request.get(member, b"")) for member in ("Certificate", "PrivateKey", "CertificateChain")]  # fmt: skip
    certificate, key, chain = texts
    parts = parts_of(certificate, chain, _read(face, certificate, key, chain))
    arn = request.get("CertificateArn")
    if arn is not None:
        if request.get("Tags"):
            told = "Tagging is not permitted on re-import."
            raise AwsError("ValidationException", told)
        now_ms = face.now_ms()
        await _change(face, arn, lambda body: {**body, **parts, "ImportedAt": now_ms})
        await tell_changed(face, arn)
        return {"CertificateArn": arn}
    tags = _checked_tags(merged_tags([], request.get("Tags", [])))
    name = face.new_id(16)
    arn = face.arn("acm", "certificate/" + "-".join((name[:8], name[8:12], name[12:16], name[16:20], name[20:])))  # fmt: skip
    now_ms = face.now_ms()
    body = {"Arn": arn, "Tags": tags, "CreatedAt": now_ms, "ImportedAt": now_ms, **parts}
    await face.documents.put(ACM_KIND, arn, body, 0)
    return {"CertificateArn": arn}


@operation("acm", "DescribeCertificate")
async def describe_certificate(face: Face, request: Request) -> dict[str, Any]:
    """Everything about a certificate but its text."""
    body = (await _find(face, request["CertificateArn"])).body
    users = await users_of(face, body["Arn"])
    details = details_of(body["Body"])
    shown = {
        "CertificateArn": body["Arn"],
        "DomainName": body["Domains"][0],
        "SubjectAlternativeNames": body["Domains"],
        **details,
        "CreatedAt": body["CreatedAt"],
        "ImportedAt": body["ImportedAt"],
        "Status": _status(face, body),
        "InUseBy": users,
        "Type": "IMPORTED",
        "RenewalEligibility": "INELIGIBLE",
        "Options": {"CertificateTransparencyLoggingPreference": "DISABLED"},
    }
    return {"Certificate": shown}


@operation("acm", "ListCertificates", ignores=("Includes", "CertificateKeyPairOrigins"))
async def list_certificates(face: Face, request: Request) -> dict[str, Any]:
    """Certificates by their status."""
    wanted = request.get("CertificateStatuses")
    found = [
        document.body
        for document in await face.documents.list(ACM_KIND)
        if not wanted or _status(face, document.body) in wanted
    ]
    taken, token = page(
        found,
        key=_order(request),
        size=request.get("MaxItems", _PAGE_SIZE),
        token=request.get("NextToken"),
        scope=f"{wanted} {request.get('SortBy')}",
        code="ValidationException",
        message="The NextToken is not valid.",
    )
    descending = request.get("SortOrder") == "DESCENDING"
    if descending and request.get("SortBy"):
        taken.reverse()
    return {
        "CertificateSummaryList": [await _summary(face, body) for body in taken],
        "NextToken": token,
    }


@operation("acm", "GetCertificate")
async def get_certificate(face: Face, request: Request) -> dict[str, Any]:
    """The text of a certificate and of its chain."""
    body = (await _find(face, request["CertificateArn"])).body
    return {"Certificate": body["Body"], "CertificateChain": body["Chain"] or None}


@operation("acm", "DeleteCertificate")
async def delete_certificate(face: Face, request: Request) -> dict[str, Any]:
    """Forget a certificate that nothing serves."""
    found = await _find(face, request["CertificateArn"])
    if await users_of(face, found.key):
        told = f"Certificate {found.key} in account {face.account_id} is in use."
        raise AwsError("ResourceInUseException", told)
    await face.documents.delete(ACM_KIND, found.key)
    return {}


@operation("acm", "AddTagsToCertificate")
async def add_tags_to_certificate(face: Face, request: Request) -> dict[str, Any]:
    """Add tags to a certificate."""

    def change(body: Body) -> Body:
        return {**body, "Tags": _checked_tags(merged_tags(body["Tags"], request["Tags"]))}

    await _change(face, request["CertificateArn"], change)
    return {}


@operation("acm", "RemoveTagsFromCertificate")
async def remove_tags_from_certificate(face: Face, request: Request) -> dict[str, Any]:
    """Remove tags from a certificate; one given with a value goes only where it has that value."""

    def change(body: Body) -> Body:
        have = {tag["Key"]: tag["Value"] for tag in body["Tags"]}
        gone = [t["Key"] for t in request["Tags"] if t.get("Value") in (None, have.get(t["Key"]))]
        return {**body, "Tags": without_tags(body["Tags"], gone)}

    await _change(face, request["CertificateArn"], change)
    return {}


@operation("acm", "ListTagsForCertificate")
async def list_tags_for_certificate(face: Face, request: Request) -> dict[str, Any]:
    """The tags of a certificate."""
    return {"Tags": (await _find(face, request["CertificateArn"])).body["Tags"]}


async def _summary(face: Face, body: Mapping[str, Any]) -> dict[str, Any]:
    details = details_of(body["Body"])
    return {
        "CertificateArn": body["Arn"],
        "DomainName": body["Domains"][0],
        "SubjectAlternativeNameSummaries": body["Domains"][:100],
        "HasAdditionalSubjectAlternativeNames": len(body["Domains"]) > 100,
        "Status": _status(face, body),
        "Type": "IMPORTED",
        "KeyAlgorithm": details["KeyAlgorithm"],
        "InUse": bool(await users_of(face, body["Arn"])),
        "RenewalEligibility": "INELIGIBLE",
        "NotBefore": details["NotBefore"],
        "NotAfter": details["NotAfter"],
        "CreatedAt": body["CreatedAt"],
        "ImportedAt": body["ImportedAt"],
    }


def _order(request: Request) -> Callable[[Mapping[str, Any]], str]:
    if request.get("SortBy") != "CREATED_AT":
        return lambda body: body["Arn"]
    if request.get("SortOrder") == "DESCENDING":
        return lambda body: f"{10**15 - body['CreatedAt']:016d} {body['Arn']}"
    return lambda body: f"{body['CreatedAt']:016d} {body['Arn']}"


def _status(face: Face, body: Mapping[str, Any]) -> str:
    return "EXPIRED" if body["Expiration"] <= face.now_ms() else "ISSUED"


def _read(face: Face, certificate: str, key: str, chain: str) -> Certificate:
    try:
        return read_given(certificate, key, chain, now_ms=face.now_ms())
    except RequestError as error:
        told = f"{error.message} {error.hint}".strip()
        if is_mismatch(error):
            told = f"The private key does not match the certificate. {told}"
        raise AwsError("ValidationException", told) from None


def _text(given: bytes) -> str:
    return given.decode("utf-8", "replace")


def _checked_tags(tags: Tags) -> Tags:
    if len(tags) > _TAGS_MAX:
        raise AwsError("TooManyTagsException", f"A certificate can have at most {_TAGS_MAX} tags.")
    return tags


async def _find(face: Face, arn: str) -> Document:
    found = await face.documents.get(ACM_KIND, arn)
    if found is None:
        raise _unknown(face, arn)
    return found


async def _change(face: Face, arn: str, change: Callable[[Body], Body]) -> None:
    if await changed(face.documents, ACM_KIND, arn, change) is None:
        raise _unknown(face, arn)


def _unknown(face: Face, arn: str) -> AwsError:
    told = f"Could not find certificate {arn} in account {face.account_id}."
    return AwsError("ResourceNotFoundException", told)
