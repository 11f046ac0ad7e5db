"""Every check, in the order people read them. A check that cannot be made is a note, never a failure of the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from portway.controller.machine.base import Finding, Ground, note
from portway.controller.machine.docker import check_docker
from portway.controller.machine.haproxy import check_file_limit, check_haproxy
from portway.controller.machine.home import check_home, check_ports, check_server
from portway.controller.machine.kernel import (
    check_clock,
    check_control_groups,
    check_forwarding,
    check_memory,
)
from portway.controller.machine.network import check_firewall

Check = Callable[[Ground], Iterator[Finding]]

CHECKS: tuple[Check, ...] = (
    check_server,
    check_home,
    check_docker,
    check_haproxy,
    check_ports,
    check_firewall,
    check_file_limit,
    check_control_groups,
    check_forwarding,
    check_memory,
    check_clock,
)


def examine(ground: Ground, checks: tuple[Check, ...] = CHECKS) -> tuple[Finding, ...]:
    """What every check found on this ground."""
    return tuple(finding for check in checks for finding in _made(check, ground))


def _made(check: Check, ground: Ground) -> list[Finding]:
    name = check.__name__.removeprefix("check_").replace("_", " ")
    found: list[Finding] = []
    try:
        found.extend(check(ground))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        # What other programs print is not ours to trust.
        found.append(note(name, f"this could not be checked ({type(problem).__name__}: {problem})"))
    return found
