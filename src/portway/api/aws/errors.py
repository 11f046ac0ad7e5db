"""AwsError: a refusal in AWS's words. The wire knows how each protocol writes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portway.core.errors import PortwayError, UserError, WorldError
from portway.store.base import DocumentChangedError


class AwsError(Exception):
    """What AWS answers instead of a result. `code` may be the model's shape name or its wire code.

    `status` None: what the model says of the code, else 400. `members`: further members of the error.
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int | None = None,
        *,
        members: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})


def from_portway(error: PortwayError, *, is_ecs: bool, is_json: bool) -> AwsError:
    """portway's own refusal as the general error of the service; the sentence and what to do stay."""
    told = f"{error.message} {error.hint}".strip()
    if isinstance(error, DocumentChangedError):
        code = "ConflictException" if is_json else "OperationConflict"
        return AwsError(code, told, 409 if not is_json else 400)
    if isinstance(error, UserError):
        code = "ClientException" if is_ecs else "ValidationException" if is_json else "ValidationError"  # fmt: skip
        return AwsError(code, told, 400)
    status = 503 if isinstance(error, WorldError) and not is_json else 500
    code = "ServerException" if is_ecs else "InternalServerError" if is_json else "ServiceUnavailable"  # fmt: skip
    return AwsError(code, told, status)
