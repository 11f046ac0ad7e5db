"""Values and errors -> answers as Marathon gives them. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from portway.api.native.answers import explained
from portway.core.errors import PortwayError
from portway.manifests.marathon.refusal import MarathonRefusal

HEADERS = {
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "0",
}


def encode(value: object) -> bytes:
    """A value as JSON; msgspec.Raw parts go in as they are."""
    return msgspec.json.encode(value, enc_hook=_plain)


def answer(
    value: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A value as a JSON answer."""
    return Response(
        encode(value),
        status_code=status,
        media_type="application/json",
        headers=dict(headers or {}),
    )


def nothing(status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer without a body."""
    return Response(b"", status_code=status, headers=dict(headers or {}))


def refusal(refused: MarathonRefusal) -> Response:
    """A refusal as an answer."""
    return answer(refused.body, status=refused.status)


def refusal_of(error: PortwayError, headers: Mapping[str, str] | None = None) -> Response:
    """An error of portway's own in Marathon's shape: the sentence and what to do about it."""
    return answer({"message": _sentence(error)}, status=error.http_status, headers=headers)


def failure(error: Exception, *, where: str) -> Response:
    """Whatever went wrong, told without a traceback."""
    return refusal_of(explained(error, where=where))


def _sentence(error: PortwayError) -> str:
    told = error.message if error.message.endswith((".", "?", "!")) else f"{error.message}."
    return f"{told} {error.hint}" if error.hint else told


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)  # type: ignore[reportUnknownArgumentType]
    raise NotImplementedError(f"No JSON for {type(value).__name__}")
