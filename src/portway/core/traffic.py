"""Traffic: what the balancer counted, as one value that can be added up and compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Counts since a listener exists; they only ever grow. A TCP connection counts as one request."""

    requests: int = 0
    not_connected: int = 0  # no instance could be connected to, retries included
    broken_off: int = 0  # the connection to the instance failed before the answer was whole
    errors_5xx: int = 0  # answers of 500 and above, whoever gave them
    denied: int = 0  # not let through: malformed or forbidden
    malformed: int = 0  # no request at all, or one that never came whole
    retried: int = 0  # connections tried again
    redispatched: int = 0  # of those, at another instance
    client_aborts: int = 0
    server_aborts: int = 0

    @property
    def failed(self) -> int:
        """Requests that reached no instance, or whose instance broke off."""
        return self.not_connected + self.broken_off

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(**{name: getattr(self, name) + getattr(other, name) for name in _NAMES})

    def since(self, before: Traffic) -> Traffic:
        """What was counted after `before`; never less than nothing."""
        return Traffic(
            **{name: max(0, getattr(self, name) - getattr(before, name)) for name in _NAMES}
        )


_NAMES = tuple(field.name for field in fields(Traffic))


def total(parts: Iterable[Traffic]) -> Traffic:
    """All of them together."""
    return sum(parts, Traffic())
