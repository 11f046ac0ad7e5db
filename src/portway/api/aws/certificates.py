"""Certificates that were uploaded to IAM or imported into ACM: read, kept, found by ARN, and who serves them.

What keeps listeners registers here, so that a certificate in use is not deleted and a new one is served.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from portway.api.aws.face import Face
from portway.api.aws.operation import operations_of
from portway.controller.certificates import read_certificate
from portway.core.errors import RequestError
from portway.core.stack import Certificate
from portway.store.base import Document, Documents

IAM_KIND = "aws/iam/server-certificate"  # by name
ACM_KIND = "aws/acm/certificate"  # by ARN
_USING_SERVICES = ("elbv2", "elb")

Uses = Callable[[Face, str], Awaitable[list[str]]]
Changed = Callable[[Face, str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateUser:
    """Something that serves certificates. `uses`: the ARNs that serve this one; `changed`: it has a new text now."""

    uses: Uses
    changed: Changed


_users: list[CertificateUser] = []


def register_user(user: CertificateUser) -> None:
    """Called once, when the module that keeps listeners is imported."""
    _users.append(user)


async def users_of(face: Face, arn: str) -> list[str]:
    """The ARNs or names of what serves a certificate."""
    return [arn_of for user in _all_users() for arn_of in await user.uses(face, arn)]


async def tell_changed(face: Face, arn: str) -> None:
    """Have whatever serves a certificate serve its new text."""
    for user in _all_users():
        await user.changed(face, arn)


async def find_certificate(
    documents: Documents, arn: str, *, target: str, now_ms: int
) -> Certificate | None:
    """The certificate of an ARN as a listener's; None when there is none of that ARN.

    RequestError when it can be served no more: it has expired.
    """
    found = await _document(documents, arn)
    if found is None:
        return None
    return read_certificate(target, found.body["Pem"], "", now_ms=now_ms)


def read_given(certificate: str, key: str, chain: str, *, now_ms: int) -> Certificate:
    """What was given as one value; RequestError saying what is wrong with it."""
    return read_certificate("", f"{certificate}\n{chain}", key, now_ms=now_ms)


def is_mismatch(error: RequestError) -> bool:
    """Whether the key is of another certificate."""
    return "does not belong to" in error.message


def parts_of(certificate: str, chain: str, read: Certificate) -> dict[str, Any]:
    """What of a certificate is kept: the texts as they were given, and in `Pem`, with the key, what listeners serve."""
    return {
        "Body": certificate,
        "Chain": chain,
        "Pem": read.pem,
        "Domains": list(read.domains),
        "Expiration": read.expires_at_ms,
        "Fingerprint": read.fingerprint,
    }


async def _document(documents: Documents, arn: str) -> Document | None:
    if ":acm:" in arn:
        return await documents.get(ACM_KIND, arn)
    for document in await documents.list(IAM_KIND):
        if document.body["Arn"] == arn:
            return document
    return None


def _all_users() -> list[CertificateUser]:
    for service in _USING_SERVICES:
        operations_of(service)  # imported only when somebody asks: this is asking
    return _users
