"""Moments as people write them: "14:25", "yesterday 14:25", "2026-11-21 14:25:10", ISO 8601, "10m ago".

What names no zone is meant in that of this machine (or in `home`, for tests), as it was then: summer time or not.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

from portway.core.errors import RequestError

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_WORDS = {
    "sec": "s",
    "min": "m",
    "hour": "h",
    "day": "d",
    "week": "w",
    "second": "s",
    "minute": "m",
}
_AGO = re.compile(r"((?:[0-9]+\s*[a-z]+\s*)+)ago")
_PART = re.compile(r"([0-9]+)\s*([a-z]+)")
_CLOCK = re.compile(r"(?:(today|yesterday)\s+)?([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
_DATE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ t][0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?\s*(z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_HINT = 'Write 14:25, "yesterday 14:25", "2026-11-21 14:25:10", 2026-11-21T14:25:10Z, or "10m ago".'


def parse_moment(text: str, *, now: datetime, home: tzinfo | None = None) -> datetime:
    """The moment, in the zone at home; RequestError for what is no moment or has not come yet."""
    wanted = text.strip().lower()
    found = _ago(wanted, now) or _clock(wanted, now, home) or _date(wanted, home)
    if wanted == "now":
        found = now
    if found is None:
        raise RequestError(f'"{text}" is not a time that can be read.', hint=_HINT)
    if found > now:
        yesterday = wanted if _CLOCK.fullmatch(wanted) and " " not in wanted else ""
        hint = f'Yesterday was "yesterday {yesterday}".' if yesterday else f"It is {told(now)}."
        raise RequestError(f"{told(found)} is in the future.", hint=hint)
    return found


def parse_window(text: str) -> timedelta:
    """ "10m", "90s", "1h30m"; RequestError for anything else."""
    seconds = _seconds(text.strip().lower())
    if not seconds:
        raise RequestError(f'"{text}" is not a length of time.', hint="Write 30s, 10m or 1h30m.")
    return timedelta(seconds=seconds)


def milliseconds(moment: datetime) -> int:
    """The moment as the API takes it."""
    return int(moment.timestamp() * 1000)


def told(moment: datetime) -> str:
    """The moment with its zone, to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S} {moment.tzname() or ''}".rstrip()


def _ago(text: str, now: datetime) -> datetime | None:
    match = _AGO.fullmatch(text)
    seconds = _seconds(match[1]) if match else None
    try:
        return now - timedelta(seconds=seconds) if seconds is not None else None
    except OverflowError:
        return None


def _seconds(text: str) -> int | None:
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        return None
    total = 0
    for count, word in parts:
        unit = word if word in _UNITS_S else _WORDS.get(word.rstrip("s"), "")
        if not unit or len(count) > 9:
            return None
        total += int(count) * _UNITS_S[unit]
    return total


def _clock(text: str, now: datetime, home: tzinfo | None) -> datetime | None:
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    day = now - timedelta(days=1) if match[1] == "yesterday" else now
    hour, minute, second = int(match[2]), int(match[3]), int(match[4] or 0)
    try:
        return _at_home(day.replace(hour=hour, minute=minute, second=second, microsecond=0), home)
    except ValueError:
        return None


def _date(text: str, home: tzinfo | None) -> datetime | None:
    if not _DATE.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text.upper().replace(" Z", "Z"))
    except ValueError:
        return None
    return found.astimezone(home) if found.tzinfo else _at_home(found, home)


def _at_home(moment: datetime, home: tzinfo | None) -> datetime:
    """The same hands of the clock at home."""
    bare = moment.replace(tzinfo=None)
    return bare.replace(tzinfo=home) if home else bare.astimezone()
