"""SigV4: whether a request was signed with the secret of the key it names. Works on what was sent; knows no key store.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
WINDOW_MS = 5 * 60 * 1000
_EXPIRES_MAX_S = 7 * 24 * 3600
_PARTS = re.compile(r"\s*(Credential|SignedHeaders|Signature)=([^\s,]+)\s*")
_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SPACES = re.compile(r"\s+")
_HEX = re.compile(r"[0-9a-f]{64}")


class Incomplete(Exception):
    """The request is signed, but not as SigV4 asks; the message says what is amiss."""


class Mismatch(Exception):
    """The signature is wrong, or was made at another time."""


class Expired(Mismatch):
    """It was made too long ago, or not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentRequest:
    """A request as it arrived: the path and query as they were written, header names in lower case."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The value of a header that must not be there twice; Incomplete when it is."""
        found = [value for given, value in self.headers if given == name]
        if len(found) > 1:
            raise Incomplete(f"The header {name} is there more than once.")
        return found[0] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a request says of how it was signed. `expires_s` only where it was presigned."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    signed_at: str
    session_token: str = ""
    expires_s: int | None = None

    @property
    def scope(self) -> str:
        """The credential scope: the day, region and service that the signing key was made for."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def read_signature(request: SentRequest) -> Signature | None:
    """What was sent as signature, in the header or the query; None when there is none; Incomplete when it is no SigV4."""
    given = request.header("authorization")
    presigned = dict(_pairs(request.query))
    if "X-Amz-Algorithm" in presigned or "X-Amz-Signature" in presigned:
        if given is not None:
            raise Incomplete("The request is signed in its header and in its query at once.")
        return _from_query(presigned)
    if given is None or not given.startswith("AWS4-"):
        return None
    return _from_header(request, given)


def check_signature(
    request: SentRequest, signature: Signature, secret: str, *, now_ms: int
) -> None:
    """Mismatch or Incomplete unless the request, as it arrived, was signed with `secret` and lately."""
    _check_signed_headers(request, signature)
    # The signature before the clock: whoever has no key learns nothing of the server's time.
    payload = _payload_hash(request, signature)
    wanted = signature.signature.encode()
    right = False
    for query in _canonical_queries(request.query):
        text = _string_to_sign(request, signature, query, payload)
        key = _signing_key(secret, signature.date, signature.region, signature.service)
        right |= hmac.compare_digest(_hmac(key, text).hex().encode(), wanted)
    if not right:
        raise Mismatch(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. "
            "Consult the service documentation for details."
        )
    _check_time(signature, now_ms)


def _from_header(request: SentRequest, given: str) -> Signature:
    algorithm, _, rest = given.partition(" ")
    if algorithm != ALGORITHM:
        raise Incomplete(f"Unsupported AWS 'algorithm': '{algorithm[:40]}'.")
    parts: dict[str, str] = {}
    for part in rest.split(","):
        found = _PARTS.fullmatch(part)
        if found is None or found[1] in parts:
            raise Incomplete("The Authorization header is not Credential=, SignedHeaders=, Signature=.")  # fmt: skip
        parts[found[1]] = found[2]
    for name in ("Credential", "Signature", "SignedHeaders"):
        if name not in parts:
            raise Incomplete(f"Authorization header requires '{name}' parameter.")
    signed_at = request.header("x-amz-date")
    if signed_at is None:
        raise Incomplete("Authorization header requires existence of the 'X-Amz-Date' header.")
    return _signature(
        parts["Credential"],
        parts["SignedHeaders"],
        parts["Signature"],
        signed_at=signed_at,
        session_token=request.header("x-amz-security-token") or "",
    )


def _from_query(given: Mapping[str, str]) -> Signature:
    for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"):
        if f"X-Amz-{name}" not in given:
            raise Incomplete(f"AWS query-string parameters must include 'X-Amz-{name}'.")
    if given["X-Amz-Algorithm"] != ALGORITHM:
        raise Incomplete("Unsupported AWS 'algorithm'.")
    expires = given["X-Amz-Expires"]
    if not re.fullmatch(r"[0-9]{1,7}", expires) or not 0 < int(expires) <= _EXPIRES_MAX_S:
        raise Incomplete("X-Amz-Expires must be from 1 to 604800 seconds.")
    return _signature(
        given["X-Amz-Credential"],
        given["X-Amz-SignedHeaders"],
        given["X-Amz-Signature"],
        signed_at=given["X-Amz-Date"],
        session_token=given.get("X-Amz-Security-Token", ""),
        expires_s=int(expires),
    )


def _signature(
    credential: str,
    signed_headers: str,
    signature: str,
    *,
    signed_at: str,
    session_token: str,
    expires_s: int | None = None,
) -> Signature:
    scope = credential.split("/")
    if len(scope) != 5 or not all(scope) or scope[4] != "aws4_request":
        raise Incomplete("Credential must be KEY/yyyymmdd/region/service/aws4_request.")
    if not _HEX.fullmatch(signature):
        raise Mismatch("The signature is not 64 hexadecimal digits.")
    if not _DATE.fullmatch(signed_at) or signed_at[:8] != scope[1]:
        raise Incomplete("X-Amz-Date must be yyyymmddThhmmssZ, of the day in the Credential.")
    names = tuple(name.lower() for name in signed_headers.split(";"))
    if list(names) != sorted(set(names)) or "" in names:
        raise Incomplete("SignedHeaders must be names in order, each once.")
    return Signature(
        access_key_id=scope[0],
        date=scope[1],
        region=scope[2],
        service=scope[3],
        signed_headers=names,
        signature=signature,
        signed_at=signed_at,
        session_token=session_token,
        expires_s=expires_s,
    )


def _check_signed_headers(request: SentRequest, signature: Signature) -> None:
    present = {name for name, _ in request.headers}
    if "host" not in signature.signed_headers:
        raise Incomplete("'Host' must be a signed header.")
    for name in signature.signed_headers:
        if name not in present:
            raise Incomplete(f"The signed header '{name[:80]}' is not in the request.")
    for name in sorted(present):
        if name.startswith("x-amz-") and name not in signature.signed_headers:
            raise Incomplete(f"The header '{name[:80]}' is in the request and not signed.")


def _payload_hash(request: SentRequest, signature: Signature) -> str:
    given = request.header("x-amz-content-sha256")
    if given is None and signature.expires_s is not None:
        given = dict(_pairs(request.query)).get("X-Amz-Content-Sha256")
    if given == UNSIGNED:
        return UNSIGNED
    actual = hashlib.sha256(request.body).hexdigest()
    if given is not None and not hmac.compare_digest(given.encode(), actual.encode()):
        raise Mismatch("The provided 'x-amz-content-sha256' header does not match what was computed.")  # fmt: skip
    return actual


def _string_to_sign(
    request: SentRequest, signature: Signature, query: str, payload_hash: str
) -> str:
    # Not S3: the path is encoded once more, as it was written.
    path = quote(request.path or "/", safe="/~-._")
    headers = "".join(
        f"{name}:{_folded(value for given, value in request.headers if given == name)}\n"
        for name in signature.signed_headers
    )
    names = ";".join(signature.signed_headers)
    canonical = "\n".join([request.method, path, query, headers, names, payload_hash])
    digest = hashlib.sha256(canonical.encode("latin-1", "replace")).hexdigest()
    return "\n".join([ALGORITHM, signature.signed_at, signature.scope, digest])


def _folded(values: Iterable[str]) -> str:
    return ",".join(_SPACES.sub(" ", value.strip()) for value in values)


def _canonical_queries(query: str) -> list[str]:
    """Sorted, without the signature: as it was written, and as the rule has it where that differs.

    SDKs write a space as + or %20, and sign what they wrote.
    """
    written = [part.partition("=")[::2] for part in query.split("&") if part]
    kept = [pair for pair in written if pair[0] != "X-Amz-Signature"]
    by_rule = [(_encoded(name), _encoded(value)) for name, value in kept]
    forms = ["&".join(f"{name}={value}" for name, value in sorted(pairs)) for pairs in (kept, by_rule)]  # fmt: skip
    return list(dict.fromkeys(forms))


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")


def _pairs(query: str) -> list[tuple[str, str]]:
    written = [part.partition("=") for part in query.split("&") if part]
    return [(_decoded(name), _decoded(value)) for name, _, value in written]


def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace")


def _check_time(signature: Signature, now_ms: int) -> None:
    signed_ms = _moment_ms(signature.signed_at)
    last_ms = signed_ms + (WINDOW_MS if signature.expires_s is None else signature.expires_s * 1000)
    now = _amz_date(now_ms)
    if signed_ms > now_ms + WINDOW_MS:
        latest = _amz_date(now_ms + WINDOW_MS)
        raise Expired(f"Signature not yet current: {signature.signed_at} is still later than {latest} ({now} + 5 min.)")  # fmt: skip
    if now_ms > last_ms:
        if signature.expires_s is not None:
            raise Expired("Request has expired.")
        earliest = _amz_date(now_ms - WINDOW_MS)
        raise Expired(f"Signature expired: {signature.signed_at} is now earlier than {earliest} ({now} - 5 min.)")  # fmt: skip


def _moment_ms(date: str) -> int:
    try:
        moment = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise Incomplete("X-Amz-Date is not a date.") from None
    return int(moment.timestamp() * 1000)


def _amz_date(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")


@lru_cache(maxsize=64)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
