"""Views and errors -> JSON answers. Nothing here decides what an operation does, and no traceback gets out."""

from __future__ import annotations

import secrets
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import msgspec
import structlog
from starlette.responses import Response

from portway.core.errors import (
    ImageMissingError,
    ManifestError,
    PortwayError,
    Problem,
    RequestError,
    WorldError,
)

log = structlog.get_logger("portway.api")


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorView:
    """Why it was refused or failed: a sentence, what to do, and for a manifest or a body every field that is wrong.

    `code` is there where a program can do something about it: "image_missing" = POST `image` to pulls, ask again.
    """

    status: int
    message: str
    hint: str = ""
    problems: tuple[Problem, ...] = ()
    code: str | msgspec.UnsetType = msgspec.UNSET
    image: str | msgspec.UnsetType = msgspec.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """Every answer that is not a success; also the last line of a stream that failed midway."""

    error: ErrorView


class FieldError(RequestError):
    """A body or query that is wrong; carries the fields that are."""

    def __init__(self, problems: Sequence[Problem], *, what: str, hint: str = "") -> None:
        self.problems = tuple(problems)
        told = (f"{p.path}: {p.message}" if p.path else p.message for p in self.problems)
        hints = (problem.hint for problem in self.problems if problem.hint)
        super().__init__(f"{what} is wrong: {'; '.join(told)}.", hint=hint or next(hints, ""))


class ServerStopping(WorldError):
    """The server goes down while a stream or a command is open."""

    def __init__(self, consequence: str) -> None:
        super().__init__(
            f"The portway server is stopping, so {consequence}.",
            hint="What runs goes on running. Start the server again with `portway server start`.",
        )


def encode(value: object) -> bytes:
    """A view as JSON."""
    return msgspec.json.encode(value, enc_hook=_encode_other)


def answer(value: object, *, status: int = 200) -> Response:
    """A view as a JSON answer."""
    return Response(encode(value) + b"\n", status_code=status, media_type="application/json")


def refusal(error: PortwayError, *, headers: Mapping[str, str] | None = None) -> Response:
    """An error as a JSON answer with its own HTTP status."""
    response = answer(ErrorAnswer(error=error_view(error)), status=error.http_status)
    response.headers.update(headers or {})
    return response


def error_view(error: PortwayError) -> ErrorView:
    """What the caller is told of an error."""
    problems: tuple[Problem, ...] = ()
    if isinstance(error, ManifestError | FieldError):
        problems = error.problems
    view = ErrorView(
        status=error.http_status, message=error.message, hint=error.hint, problems=problems
    )
    if isinstance(error, ImageMissingError):
        return replace(view, code=error.code, image=error.image)
    return view


def explained(error: Exception, *, where: str) -> PortwayError:
    """The error itself when it is one of ours; anything else is logged whole and told only as an id."""
    if isinstance(error, PortwayError):
        return error
    error_id = secrets.token_hex(4)
    # As text, because a log that renders local variables would show bodies, and with them secrets.
    trace = "".join(traceback.format_exception(error))
    log.error("request_failed", error_id=error_id, where=where, trace=trace)
    mistake = PortwayError(
        f"portway itself made a mistake (error {error_id}).",
        hint="What runs goes on running. The server's log has the details under this id; please report them.",
    )
    mistake.http_status = 500
    return mistake


def _encode_other(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    raise NotImplementedError(f"No JSON for {type(value).__name__}")
