"""The error tree. Core raises nothing for expected outcomes; these are for the edges.

PortwayError
├── UserError              yours: exit 2, HTTP 4xx
│   ├── ManifestError      the file is wrong: file:line:column, field path, hint
│   │   └── PolicyError        the file asks for more than this caller may
│   └── RequestError       the request is wrong: what, hint, HTTP status
│       └── ImageMissingError  an image is not there: fetch it, ask again
└── WorldError             the world's: exit 1, HTTP 5xx; retried with a back-off when `retryable`
    ├── EngineError
    ├── BalancerError
    └── StoreError

What is ours (a bug) is an assertion and is never caught on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class PortwayError(Exception):
    """Base of every error portway raises on purpose; `exit_code` is what the CLI ends with."""

    exit_code = 1
    http_status = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UserError(PortwayError):
    """The caller can mend this."""

    exit_code = 2
    http_status = 422


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong (or odd) in a manifest.

    `path` is the field (services.web.ports[0]); `line` and `column` count from 1, 0 when unknown.
    """

    message: str
    path: str = ""
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: " if self.line else ""
        if not where and self.file:
            where = f"{self.file}: "
        field = f"{self.path}: " if self.path else ""
        hint = f"\n  {self.hint}" if self.hint else ""
        return f"{where}{field}{self.message}{hint}"


class ManifestError(UserError):
    """A manifest that cannot be used; carries every problem found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class PolicyError(ManifestError):
    """A manifest that asks for what the policy does not allow this caller."""

    http_status = 403


class RequestError(UserError):
    """A request that cannot be carried out as asked; `http_status` says which kind (404, 409, 422...)."""

    def __init__(self, message: str, *, hint: str = "", http_status: int = 422) -> None:
        super().__init__(message, hint=hint)
        self.http_status = http_status


class ImageMissingError(RequestError):
    """The request names an image that is not on the machine; once `image` is fetched it can be asked again."""

    code = "image_missing"

    def __init__(self, message: str, *, image: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.image = image


class WorldError(PortwayError):
    """Something outside portway failed. `retryable` says whether trying again later can help."""

    http_status = 503

    def __init__(self, message: str, *, hint: str = "", retryable: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.retryable = retryable


class EngineError(WorldError):
    """The engine refused or failed. `kind` lets the planner answer (see EngineErrorKind)."""

    def __init__(
        self, message: str, *, hint: str = "", retryable: bool = True, kind: str = "other"
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable)
        self.kind = kind


class EngineErrorKind:
    """The failures an engine tells apart; everything else is OTHER."""

    OTHER = "other"
    PORT_TAKEN = "port_taken"
    IMAGE_MISSING = "image_missing"
    BUILD_FAILED = "build_failed"
    BAD_COMMAND = "bad_command"
    UNAVAILABLE = "unavailable"
    NOT_FOUND = "not_found"


class BalancerError(WorldError):
    """The balancer refused or failed."""


class StoreError(WorldError):
    """What must survive a restart could not be written or read."""
