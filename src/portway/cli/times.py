"""Times for people: "3 minutes ago", "9 months from now". Pure: now is an argument."""

from __future__ import annotations

_UNITS = (
    ("year", 365 * 86_400),
    ("month", 30 * 86_400),
    ("week", 7 * 86_400),
    ("day", 86_400),
    ("hour", 3_600),
    ("minute", 60),
    ("second", 1),
)


def ago(at_ms: int | None, *, now_ms: int) -> str:
    """How long before (or after) now a moment is, in its largest whole unit; "never" for None."""
    if at_ms is None:
        return "never"
    seconds = (now_ms - at_ms) // 1000
    if seconds in (0, -1):
        return "just now"
    side = "ago" if seconds > 0 else "from now"
    return f"{_largest_unit(abs(seconds))} {side}"


def elapsed(duration_ms: int) -> str:
    """A duration as `1h2m`, `1m5s` or `7s`."""
    seconds = max(0, duration_ms // 1000)
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"


def _largest_unit(seconds: int) -> str:
    for name, size in _UNITS:
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}{'' if count == 1 else 's'}"
    return "0 seconds"
