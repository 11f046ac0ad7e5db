"""Timestamps: Unix milliseconds as each protocol writes them. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_LAST_MS = 253_402_300_799_999  # the year 9999
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?")


def iso_text(at_ms: int) -> str:
    """2026-11-21T16:39:30.123Z"""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def epoch_number(at_ms: int) -> float | int:
    """Seconds, with a fraction where there is one."""
    return at_ms // 1000 if at_ms % 1000 == 0 else at_ms / 1000


def read_time(value: object) -> int | None:
    """Milliseconds out of epoch seconds (a number or a text), ISO 8601 or an HTTP date; None when it is none of them."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _in_range(value)
    if isinstance(value, datetime):
        return _of_datetime(value)
    if not isinstance(value, str) or len(value) > 64:
        return None
    if _NUMBER.fullmatch(value):
        return _in_range(float(value))
    try:
        return _of_datetime(datetime.fromisoformat(value))
    except (ValueError, OverflowError):
        pass
    try:
        return _of_datetime(parsedate_to_datetime(value))
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _in_range(seconds: float) -> int | None:
    # Not `seconds * 1000` of an infinity or a number of a thousand digits.
    if not -_LAST_MS <= seconds * 1000 <= _LAST_MS:
        return None
    return round(seconds * 1000)


def _of_datetime(moment: datetime) -> int | None:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return round(aware.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
