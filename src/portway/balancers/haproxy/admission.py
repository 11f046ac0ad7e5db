"""Which of the wanted listeners can be served now, and a sentence for each that cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from portway.balancers.haproxy.listeners import Listener, overlap
from portway.core.errors import BalancerError
from portway.core.routes import Route

Bound = Mapping[str, tuple[tuple[str, ...], int]]  # listener name -> addresses, service port


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why one listener of `owner` is not served."""

    owner: str
    message: str
    hint: str = ""
    retryable: bool = True


def problem_of(route: Route, message: str, *, hint: str = "", retryable: bool = True) -> Problem:
    """A problem of the route's owner."""
    return Problem(owner=route.owner, message=message, hint=hint, retryable=retryable)


def raise_all(problems: Sequence[Problem]) -> None:
    """One BalancerError of them all; nothing when there are none."""
    if not problems:
        return
    raise BalancerError(
        "\n".join(problem.message for problem in problems),
        hint="\n".join(dict.fromkeys(p.hint for p in problems if p.hint)),
        retryable=any(problem.retryable for problem in problems),
    )


def admit(
    listeners: Sequence[Listener],
    *,
    bound: Bound,
    bind_problem: Callable[[str, int], tuple[str, str]],
) -> tuple[tuple[Listener, ...], list[Problem]]:
    """Listeners that run already go first; of two that want one port the later is refused.

    `bound` is what the running workers listen on: it is ours, so it is not asked of the kernel.
    """
    accepted: list[Listener] = []
    problems: list[Problem] = []
    for listener in sorted(
        listeners, key=lambda one: (one.name not in bound, one.route.key, one.name)
    ):
        problem = _taken(listener, accepted) or _unbindable(listener, bound, bind_problem)
        if problem is None:
            accepted.append(listener)
        else:
            problems.append(problem)
    return tuple(sorted(accepted, key=lambda one: one.name)), problems


def _taken(listener: Listener, accepted: Sequence[Listener]) -> Problem | None:
    number = listener.route.key.service_port
    for other in accepted:
        if other.route.key.service_port != number:
            continue
        if overlap(other.addresses, listener.addresses):
            owner = other.route.owner
            return problem_of(
                listener.route,
                f"Port {number} is already served for {owner}.",
                hint=f"Choose another port, or remove it from {owner}.",
            )
    return None


def _unbindable(
    listener: Listener, bound: Bound, bind_problem: Callable[[str, int], tuple[str, str]]
) -> Problem | None:
    if listener.name in bound:
        return None
    number = listener.route.key.service_port
    ours = [address for addresses, n in bound.values() if n == number for address in addresses]
    for address in listener.addresses:
        if overlap([address], ours):
            continue
        message, hint = bind_problem(address, number)
        if message:
            return problem_of(listener.route, message, hint=hint)
    return None
