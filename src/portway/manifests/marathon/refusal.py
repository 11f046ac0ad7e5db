"""What Marathon answers to a definition that it does not take: a status and a body, to the letter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from portway.core.errors import UserError

Where = tuple[str | int, ...]

UNREADABLE = "Invalid JSON"
INVALID = "Object is not valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One thing wrong at one place; `where` is the way to it, () the object itself."""

    where: Where
    error: str

    @property
    def path(self) -> str:
        """The place as Marathon writes it: /container/portMappings(0)."""
        return path_of(self.where)


def path_of(where: Where) -> str:
    """Members are /name, elements (index); the object itself is /."""
    text = "".join(f"({part})" if isinstance(part, int) else f"/{part}" for part in where)
    return text or "/"


class MarathonRefusal(UserError):
    """The answer to a request that is not taken. `body` is its JSON; `violations` what is wrong, where that is known."""

    def __init__(self, status: int, body: Any, violations: Sequence[Violation] = ()) -> None:
        self.status = self.http_status = status
        self.body = body
        self.violations = tuple(violations)
        told = "; ".join(f"{each.path}: {each.error}" for each in self.violations)
        message = str(body.get("message", ""))
        super().__init__(f"{message}: {told}" if told else message)


def unreadable(violations: Sequence[Violation]) -> MarathonRefusal:
    """Types, ranges, patterns or words that are none of a field's."""
    return MarathonRefusal(422, {"message": UNREADABLE, "details": _details(violations)}, violations)  # fmt: skip


def invalid(violations: Sequence[Violation]) -> MarathonRefusal:
    """Fields that are fine by themselves and break a rule."""
    return MarathonRefusal(422, {"message": INVALID, "details": _details(violations)}, violations)


def illegal(message: str) -> MarathonRefusal:
    """An argument that is not legal."""
    return MarathonRefusal(422, {"message": message})


def not_normal(message: str) -> MarathonRefusal:
    """Deprecated and new fields that cannot be brought together; Marathon calls it its own failure."""
    return MarathonRefusal(500, {"message": message})


def malformed(details: str) -> MarathonRefusal:
    """A body that is no JSON."""
    return MarathonRefusal(400, {"message": UNREADABLE, "details": details})


def nothing_given() -> MarathonRefusal:
    """An empty body."""
    details = "No content to map due to end-of-input"
    return MarathonRefusal(400, {"message": "Please specify data in JSON format", "details": details})  # fmt: skip


def refuse_if(violations: Iterable[Violation]) -> None:
    """MarathonRefusal when there is any."""
    found = tuple(dict.fromkeys(violations))
    if found:
        raise invalid(found)


def _details(violations: Sequence[Violation]) -> list[dict[str, Any]]:
    """One entry for each place, in the order of the places."""
    told: dict[str, list[str]] = {}
    for each in violations:
        errors = told.setdefault(each.path, [])
        if each.error not in errors:
            errors.append(each.error)
    return [{"path": path, "errors": errors} for path, errors in told.items()]
