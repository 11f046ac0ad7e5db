"""STS: caller identity, and credentials that end. A role that is assumed gives no more than its key has."""

from __future__ import annotations

from typing import Any

from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation


@operation("sts", "GetCallerIdentity")
async def get_caller_identity(face: Face, _: Request) -> dict[str, Any]:
    """Whose key signed the request."""
    caller = face.caller
    return {"UserId": caller.user_id, "Account": face.account_id, "Arn": caller.arn}
