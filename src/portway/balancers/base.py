"""Balancer: the protocol of what serves routes. One contract suite checks every adapter."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from portway.core.request import ServedRequest
from portway.core.routes import Route, ServedRoute
from portway.core.stack import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerInfo:
    """What it is and how it fares. `reloads` counts reloads since it was first started by this home."""

    name: str
    version: str
    process_id: int
    worker_ids: tuple[int, ...]
    reloads: int
    restarts: int


class Balancer(Protocol):
    """Serves routes. Every call is idempotent; every failure is a BalancerError.

    Listener addresses: a RouteKey.address "" means the balancer's public address(es), anything else
    exactly that address. Endpoints are told apart by instance id.
    """

    async def open(self) -> None:
        """Adopt the balancer that already runs for this home, or start it with the state saved last."""
        ...

    async def close(self) -> None:
        """Stop supervising; the balancer goes on serving."""
        ...

    async def shutdown(self) -> None:
        """Stop the balancer itself."""
        ...

    async def apply(self, owner: str, routes: Sequence[Route]) -> None:
        """Make `owner`'s routes exactly these; other owners' listeners never notice.

        An endpoint absent from its route is taken out at once, its connections closed; one in state
        DRAINING keeps its connections. Returns once the balancer confirmed every change.
        A listener that cannot be bound: BalancerError(retryable=True) that names the port and its
        holder; everything else in `routes` is applied all the same.
        """
        ...

    async def certificates(self, certificates: Sequence[Certificate]) -> None:
        """Make the set of certificates exactly these (names are Certificate.name), live, without a reload where it can."""
        ...

    async def observe(self, owners: Collection[str] | None = None) -> tuple[ServedRoute, ...]:
        """What it really serves, to all or for these owners only, read back from it.

        A failed read raises; it never returns less. What it costs follows from what is asked for.
        """
        ...

    async def report(self, owners: Collection[str]) -> None:
        """Report every request of exactly these owners' listeners, from now on; others cost nothing."""
        ...

    def take_requests(self, take: Callable[[Sequence[ServedRequest], int], None]) -> None:
        """Who is handed reported requests as they end, in batches, with the number of those left out.

        Some are left out where there are very many, and while nobody takes them.
        """
        ...

    def when_back(self, tell: Callable[[], None]) -> None:
        """Who is told each time that it had ended and runs again, which may be with less than it served."""
        ...

    async def info(self) -> BalancerInfo:
        """Version, processes, reloads."""
        ...
