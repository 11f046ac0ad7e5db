"""Known holes of HAProxy, Docker and runc, by version. A table and a comparison; says nothing about what they mean here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

Version = tuple[int, int, int]
# A distribution keeps the version and mends the hole; only its own tracker knows.
_DISTRIBUTION = re.compile(r"deb\d|dfsg|\+ds|ubuntu|\.el\d|\.fc\d|alpine|-r\d+$|\.amzn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """A hole, and per branch the first version without it. A branch that is not named is judged by the nearest older
    one's: before the oldest it was never mended, after the newest it never was there. `first`: older ones never had it.
    """

    name: str
    what: str
    fixed: Mapping[tuple[int, int], int] = field(default_factory=dict)
    first: Version = (0, 0, 0)
    needs: str = ""  # only where this is built in or set up

    def hits(self, version: Version) -> bool:
        """Whether that version has it, as far as versions tell."""
        branch = version[:2]
        if version < self.first or branch > max(self.fixed):
            return False
        if branch in self.fixed:
            return version[2] < self.fixed[branch]
        return True


HAPROXY = (
    Hole(
        name="CVE-2021-40346",
        what="requests can be smuggled past its rules by an overlong header name",
        fixed={(2, 0): 25, (2, 2): 17, (2, 3): 14, (2, 4): 4},
        first=(2, 0, 0),
    ),
    Hole(
        name="CVE-2023-25725",
        what="headers can be hidden from it by an empty header name",
        fixed={(2, 0): 31, (2, 2): 29, (2, 4): 22, (2, 5): 12, (2, 6): 9, (2, 7): 3},
    ),
    Hole(
        name="CVE-2023-40225",
        what="an empty Content-Length is passed on, which some servers misread",
        fixed={(2, 0): 33, (2, 2): 31, (2, 4): 24, (2, 6): 15, (2, 7): 10, (2, 8): 2},
    ),
    Hole(
        name="CVE-2026-33555",
        what="a request over HTTP/3 can be smuggled behind a lone FIN",
        fixed={(2, 6): 25},
        first=(2, 6, 0),
        needs="QUIC",
    ),
)
DOCKER = (
    Hole(
        name="CVE-2024-41110",
        what="a request without a body gets past an authorization plugin",
        fixed={(23, 0): 15, (25, 0): 6, (26, 1): 5, (27, 1): 1},
        first=(18, 9, 0),
        needs="an authorization plugin",
    ),
)
RUNC = (
    Hole(
        name="CVE-2024-21626",
        what="a container can get out through a leaked file descriptor",
        fixed={(1, 1): 12},
    ),
)


def parse_version(text: str) -> Version | None:
    """The first three numbers of a version; None when there are none."""
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def is_of_distribution(version: str) -> bool:
    """Whether a distribution built it, and may have mended what its number says is open."""
    return _DISTRIBUTION.search(version) is not None
