"""STS: caller identity, and credentials that end. A role that is assumed gives no more than its key has."""

from __future__ import annotations

from typing import Any

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.keys import AccessKey, SessionCredentials, open_session
from portway.api.aws.operation import Request, operation

_SESSION_S = 12 * 3600
_ROLE_S = 3600


@operation("sts", "GetCallerIdentity")
async def get_caller_identity(face: Face, _: Request) -> dict[str, Any]:
    """Whose key signed the request."""
    caller = face.caller
    return {"UserId": caller.user_id, "Account": face.account_id, "Arn": caller.arn}


@operation(
    "sts", "GetSessionToken", ignores=("SerialNumber", "TokenCode", "MinimumSessionTokenSize")
)
async def get_session_token(face: Face, request: Request) -> dict[str, Any]:
    """Credentials like the caller's own, which end (after twelve hours)."""
    if face.caller.is_session:
        raise AwsError("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
    duration_s = request.get("DurationSeconds", _SESSION_S)
    expires_at_ms = face.now_ms() + duration_s * 1000
    made = open_session(_key(face), expires_at_ms=expires_at_ms)
    return {"Credentials": _shown(made)}


@operation(
    "sts",
    "AssumeRole",
    ignores=(
        "PolicyArns", "Policy", "Tags", "TransitiveTagKeys", "ExternalId", "SerialNumber", "TokenCode",
        "ProvidedContexts", "MinimumSessionTokenSize",
    ),
)  # fmt: skip
async def assume_role(face: Face, request: Request) -> dict[str, Any]:
    """Credentials in the name of a role that is kept. They may do what the key they came from may: no policy is evaluated."""
    arn, session = request["RoleArn"], request["RoleSessionName"]
    name = arn.rpartition("/")[2]
    role = await face.documents.get("aws/iam/role", name)
    if role is None or role.body["Arn"] != arn:
        told = f"User: {face.caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}"
        raise AwsError("AccessDenied", told, 403)
    duration_s = request.get("DurationSeconds", _ROLE_S)
    if duration_s > role.body["MaxSessionDuration"]:
        told = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise AwsError("ValidationError", told, 400)
    assumed = face.arn("sts", f"assumed-role/{name}/{session}", is_global=True)
    user_id = f"{role.body['RoleId']}:{session}"
    made = open_session(
        _key(face),
        expires_at_ms=face.now_ms() + duration_s * 1000,
        arn=assumed,
        user_id=user_id,
    )
    return {
        "Credentials": _shown(made),
        "AssumedRoleUser": {"AssumedRoleId": user_id, "Arn": assumed},
        "SourceIdentity": request.get("SourceIdentity"),
    }


def _key(face: Face) -> AccessKey:
    """The key the caller's credentials come from; where nothing is verified, the server's own."""
    caller = face.caller
    found = face.keys.find(caller.key_id) if caller.key_id else None
    return found or face.keys.default(now_ms=face.now_ms())


def _shown(made: SessionCredentials) -> dict[str, Any]:
    return {
        "AccessKeyId": made.access_key_id,
        "SecretAccessKey": made.secret,
        "SessionToken": made.token,
        "Expiration": made.expires_at_ms,
    }
