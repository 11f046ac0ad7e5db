"""Service ports as Marathon assigns them: lowest first, never moved, an app's own ones first. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from portway.core.lease import PortRange

SERVICE_PORTS = PortRange(first=10000, last=20000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhausted:
    """No service port is left, in Marathon's words; its text shows the range as if the last were not part of it."""

    within: PortRange

    @property
    def message(self) -> str:
        return f"All ports in the range [{self.within.first}-{self.within.last}) are already in use"


def assign_service_ports(
    wanted: Mapping[str, Sequence[int]],
    *,
    previous: Mapping[str, Sequence[int]],
    used: Collection[int],
    within: PortRange = SERVICE_PORTS,
) -> dict[str, tuple[int, ...]] | Exhausted:
    """The service ports of the apps that are new or changed, by path, every 0 replaced.

    `previous`: those these apps had before; `used`: those of all apps before and after the change, and of whoever else
    is served. Numbers that are given stay as they are, whatever the range.
    """
    taken = {*used, *_numbers(wanted), *_numbers(previous)}
    free = (n for n in range(within.first, within.last + 1) if n not in taken)
    assigned: dict[str, tuple[int, ...]] = {}
    for path, numbers in wanted.items():
        own = (n for n in previous.get(path, ()) if n in within and n not in numbers)
        found = tuple(number or _next(own, free) for number in numbers)
        if 0 in found:
            return Exhausted(within=within)
        assigned[path] = found
    return assigned


def _numbers(by_path: Mapping[str, Sequence[int]]) -> Iterator[int]:
    return (number for numbers in by_path.values() for number in numbers)


def _next(own: Iterator[int], free: Iterator[int]) -> int:
    return next(own, 0) or next(free, 0)
