"""The sentences the port pool refuses with: what, where, who has it, what to do. Strings only, no decision."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class PortKind(StrEnum):
    """Which of the two kinds of port a pool leases; every sentence says it."""

    HOST = "host port"
    LISTENER = "listener port"

    @property
    def option(self) -> str:
        """The setting that widens the range."""
        return "--host-ports" if self is PortKind.HOST else "--service-ports"


def place(kind: PortKind, *, node: str, protocol: str, number: int) -> str:
    """ "host port 8080 on node local", "listener port 8000"; UDP is told apart, TCP goes without saying."""
    suffix = "" if protocol == "tcp" else f"/{protocol}"
    where = f" on node {node}" if kind is PortKind.HOST else ""
    return f"{kind} {number}{suffix}{where}"


def reserved(kind: PortKind, where: str) -> str:
    """The port is portway's own."""
    return f"{where} is kept for portway itself; choose another {kind}"


def leased(kind: PortKind, where: str, owner: str) -> str:
    """Another instance or App of ours has it."""
    if kind is PortKind.LISTENER:
        return f"{where} is leased by {owner}; give one of the two another {kind}"
    return f"{where} is leased by {owner}; stop that instance or choose another {kind}"


def asked_twice(kind: PortKind, where: str, first: str, second: str) -> str:
    """Two ports of one request list want the same number."""
    return f"{where} is asked for by both {first} and {second}; give one of them another {kind}"


def planned(kind: PortKind, where: str) -> str:
    """Something earlier in the same plan has it."""
    if kind is PortKind.LISTENER:
        return f"{where} is already given out in the same plan; choose another {kind}"
    return (
        f"{where} is already given to another instance in the same plan; a fixed {kind} serves one "
        f"instance on a node: leave the {kind} open to run several"
    )


def cooling(where: str, owner: str, *, left_ms: int) -> str:
    """It was given back a moment ago."""
    giver = f"by {owner} " if owner else ""
    return (
        f"{where} was given back {giver}a moment ago and is held down for another "
        f"{seconds(left_ms)}; it can be leased after that"
    )


def foreign(kind: PortKind, where: str, holder: str) -> str:
    """A program that is not ours has it."""
    return f"{where} is held by {holder}; stop that program or choose another {kind}"


def exhausted(
    kind: PortKind, *, node: str, span: str, counts: Mapping[str, int], next_free_ms: int | None
) -> str:
    """Nothing is left of the range; `counts` says what became of its ports, by phrase."""
    where = f" on node {node}" if kind is PortKind.HOST else ""
    used = ", ".join(f"{count} {phrase}" for phrase, count in counts.items() if count)
    wait = f", wait {seconds(next_free_ms)} for the next one" if next_free_ms is not None else ""
    return (
        f"no {kind} is free{where}: of {span} {used}; widen the range with {kind.option}{wait} "
        f"or stop what is not needed"
    )


def no_row(*, node: str, span: str, count: int, ephemeral: bool) -> str:
    """There are not so many free ports in a row; it begins as the agent of ECS says it."""
    what = "a host port is" if count == 1 else f"{count} contiguous host ports are"
    which = "the ephemeral range " if ephemeral else ""
    option = "--aws-ephemeral-ports" if ephemeral else PortKind.HOST.option
    return (
        f"{what} unavailable on node {node}: {which}{span} has none free"
        f"{'' if count == 1 else ' in a row'}; widen it with {option} or stop what is not needed"
    )


def seconds(duration_ms: int) -> str:
    """A duration for people, never shown as zero: "0.1 s", "12 s"."""
    return (
        f"{duration_ms / 1000:.0f} s"
        if duration_ms >= 10_000
        else f"{max(duration_ms, 100) / 1000:.1f} s"
    )
