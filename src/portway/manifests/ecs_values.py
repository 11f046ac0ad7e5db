"""Values as task definitions write them: sizes of tasks, ranges of ports."""

from __future__ import annotations

import re

MIB = 1024 * 1024
CPU_UNITS = 1024  # of one processor

_CPU = re.compile(r"([0-9]{0,4}\.?[0-9]{1,3}) ?vcpu", re.IGNORECASE)
_MEMORY = re.compile(r"([0-9]{0,5}\.?[0-9]{1,3}) ?gb", re.IGNORECASE)
_WHOLE = re.compile(r"[0-9]{1,8}")
_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")


def cpu_units(text: str) -> int | None:
    """The units of "256" or ".25 vCPU"; None when it is neither."""
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return int(text) or None
    found = _CPU.fullmatch(text)
    return round(float(found.group(1)) * CPU_UNITS) or None if found else None


def memory_mib(text: str) -> int | None:
    """The MiB of "512" or "0.5 GB"; None when it is neither."""
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return int(text) or None
    found = _MEMORY.fullmatch(text)
    return round(float(found.group(1)) * 1024) or None if found else None


def port_range(text: str) -> tuple[int, int] | None:
    """First and last of "8000-8010"; None when it is no range of ports, or of one alone."""
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    first, last = int(found.group(1)), int(found.group(2))
    return (first, last) if 1 <= first < last <= 65535 else None
