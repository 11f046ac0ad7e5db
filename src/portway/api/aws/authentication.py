"""Who signed a request: a key of the home or a session that came from one. Each refusal in the words of its protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Caller
from portway.api.aws.keys import AccessKey, KeyFolder, read_session, session_secret
from portway.api.aws.wire.services import Protocol, Target
from portway.api.aws.wire.sigv4 import (
    Expired,
    Incomplete,
    Mismatch,
    SentRequest,
    Signature,
    check_signature,
)
from portway.api.roles import Role

# Signed for one region whatever the client's own is: they are everywhere the same.
_GLOBAL = frozenset({"iam", "sts"})
_READING = ("Describe", "List", "Get", "Filter", "BatchGet", "Search", "Test", "Lookup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """Checks signatures. Not `verify`: every caller is an administrator, and no signature is looked at."""

    keys: KeyFolder
    region: str
    account_id: str
    verify: bool
    now_ms: Callable[[], int]

    def caller(
        self, target: Target, request: SentRequest, signature: Signature | None, *, trusted: bool
    ) -> Caller:
        """Who asks; AwsError when nobody may be told. `trusted`: it came over the unix socket."""
        if not self.verify or (trusted and signature is None):
            return self._root()
        if signature is None:
            raise missing(target.protocol)
        key, caller = self._holder(target, signature)
        secret = key.secret
        if caller.is_session:
            secret = session_secret(key, signature.session_token)
        try:
            check_signature(request, signature, secret, now_ms=self.now_ms())
        except (Incomplete, Mismatch) as error:
            raise unsigned(target.protocol, error) from None
        self._check_scope(target, signature)
        return caller

    def nobody(self) -> Caller:
        """Who asks while it is not known yet."""
        return Caller(name="", role=Role.READ)

    def _root(self) -> Caller:
        arn = f"arn:aws:iam::{self.account_id}:root"
        return Caller(name="root", role=Role.ADMIN, arn=arn, user_id=self.account_id)

    def _holder(self, target: Target, signature: Signature) -> tuple[AccessKey, Caller]:
        if signature.session_token:
            return self._session(target, signature)
        key = self.keys.find(signature.access_key_id)
        if key is None:
            raise unknown_key(target.protocol)
        return key, Caller(
            name=key.name,
            role=key.role,
            access_key_id=key.access_key_id,
            key_id=key.access_key_id,
            arn=f"arn:aws:iam::{self.account_id}:user/{key.name}",
            user_id=key.access_key_id.replace("AKIA", "AIDA", 1),
        )

    def _session(self, target: Target, signature: Signature) -> tuple[AccessKey, Caller]:
        found = read_session(self.keys, signature.session_token)
        if found is None or found[0].access_key_id != signature.access_key_id:
            raise unknown_key(target.protocol)
        session, key = found
        if session.expires_at_ms <= self.now_ms():
            code = {Protocol.EC2: "RequestExpired", Protocol.QUERY: "ExpiredToken"}
            told = "The security token included in the request is expired"
            status = 403 if target.protocol is Protocol.QUERY else 400
            raise AwsError(code.get(target.protocol, "ExpiredTokenException"), told, status)
        arn = session.arn or f"arn:aws:iam::{self.account_id}:user/{key.name}"
        user_id = session.user_id or key.access_key_id.replace("AKIA", "AIDA", 1)
        caller = Caller(
            name=key.name,
            role=key.role,
            access_key_id=session.access_key_id,
            key_id=key.access_key_id,
            arn=arn,
            user_id=user_id,
            is_session=True,
        )
        return key, caller

    def _check_scope(self, target: Target, signature: Signature) -> None:
        service = target.service
        if service is None:
            return
        if signature.service != service.scope:
            told = f"Credential should be scoped to correct service: '{service.scope}'."
            raise _wrong_signature(target.protocol, told)
        if service.name not in _GLOBAL and signature.region != self.region:
            told = (
                f"Credential should be scoped to a valid region, not '{signature.region[:40]}'. "
                f"This portway is the region {self.region}: set AWS_REGION, or the server's aws_region."
            )
            raise _wrong_signature(target.protocol, told)


def check_role(caller: Caller, target: Target) -> None:
    """AwsError unless the caller may do this: who may only read describes, lists and gets."""
    if caller.role.covers(Role.DEPLOY) or target.operation.startswith(_READING):
        return
    scope = target.service.scope if target.service else "aws"
    told = (
        f"User: {caller.arn} is not authorized to perform: {scope}:{target.operation}. "
        f"The access key {caller.access_key_id} has the role {caller.role}."
    )
    match target.protocol:
        case Protocol.EC2:
            raise AwsError("UnauthorizedOperation", told, 403)
        case Protocol.QUERY:
            raise AwsError("AccessDenied", told, 403)
        case Protocol.JSON | Protocol.CBOR:
            raise AwsError("AccessDeniedException", told, 400)


def missing(protocol: Protocol) -> AwsError:
    """The refusal of a request without a signature."""
    hint = "`portway aws credentials` prints a key for this server."
    match protocol:
        case Protocol.EC2:
            return AwsError("AuthFailure", f"Request must contain a signature that conforms to AWS standards. {hint}", 401)  # fmt: skip
        case Protocol.QUERY:
            return AwsError("MissingAuthenticationToken", f"Request is missing Authentication Token. {hint}", 403)  # fmt: skip
        case Protocol.JSON | Protocol.CBOR:
            return AwsError("MissingAuthenticationTokenException", f"Missing Authentication Token. {hint}", 400)  # fmt: skip


def unknown_key(protocol: Protocol) -> AwsError:
    """The refusal of a key that is none of this server's."""
    told = "The security token included in the request is invalid."
    match protocol:
        case Protocol.EC2:
            told = "AWS was not able to validate the provided access credentials"
            return AwsError("AuthFailure", told, 401)
        case Protocol.QUERY:
            return AwsError("InvalidClientTokenId", told, 403)
        case Protocol.JSON | Protocol.CBOR:
            return AwsError("UnrecognizedClientException", told, 400)


def unsigned(protocol: Protocol, error: Incomplete | Mismatch) -> AwsError:
    """The refusal of a signature that is wrong, late or not one."""
    told = str(error)
    if isinstance(error, Incomplete):
        code = "IncompleteSignature" if protocol is Protocol.QUERY else "IncompleteSignatureException"  # fmt: skip
        return AwsError("AuthFailure" if protocol is Protocol.EC2 else code, told, 401 if protocol is Protocol.EC2 else 400)  # fmt: skip
    if isinstance(error, Expired) and protocol in (Protocol.QUERY, Protocol.EC2):
        return AwsError("RequestExpired", told, 400)
    return _wrong_signature(protocol, told)


def _wrong_signature(protocol: Protocol, told: str) -> AwsError:
    match protocol:
        case Protocol.EC2:
            return AwsError("AuthFailure", told, 401)
        case Protocol.QUERY:
            return AwsError("SignatureDoesNotMatch", told, 403)
        case Protocol.JSON | Protocol.CBOR:
            return AwsError("InvalidSignatureException", told, 400)
