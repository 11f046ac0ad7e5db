"""What HAProxy's workers say of themselves: statistics and servers, of everything or of some listeners only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

from portway.balancers.haproxy.counters import Counters
from portway.balancers.haproxy.listeners import Listener
from portway.balancers.haproxy.readback import (
    ServerKey,
    ServerState,
    Statistics,
    joined,
    parse_servers,
    parse_statistics,
)
from portway.balancers.haproxy.runtime import Runtime, Session

_NO_SUCH = ("No such proxy", "Can't find backend")


class Reader:
    """Reads the workers of one master; what they count is added up in `counters` on the way."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.counters = Counters()

    async def statistics(self, listeners: Sequence[Listener] | None = None) -> list[Statistics]:
        """Readings of every living worker, the current one first."""
        (worker_id, *_), old = await self._runtime.workers()
        questions = _questions(listeners)
        async with self._runtime.session(worker_id) as session:
            readings = [joined([_parsed(await session.ask(q)) for q in questions])]
        living = [worker_id]
        for old_id in old:
            # An old worker may end between being listed and being asked.
            with suppress(ValueError):
                answers = [await self._runtime.ask_old(old_id, q) for q in questions]
                readings.append(joined([_parsed(answer) for answer in answers]))
                living.append(old_id)
        for process_id, reading in zip(living, readings, strict=True):
            self.counters.see(process_id, reading.traffic)
        self.counters.keep(living)
        return readings

    async def servers(
        self, listeners: Sequence[Listener] | None = None
    ) -> dict[ServerKey, ServerState]:
        """Every server of the current worker, or those behind some listeners."""
        async with self._runtime.session() as session:
            return await read_servers(session, listeners)


async def read_servers(
    session: Session, listeners: Sequence[Listener] | None = None
) -> dict[ServerKey, ServerState]:
    """Every server of the worker, or those behind some listeners."""
    if listeners is None:
        return parse_servers(await session.ask("show servers state"))
    found: dict[ServerKey, ServerState] = {}
    for backend in [group.backend for listener in listeners for group in listener.groups]:
        answer = await session.ask(f"show servers state {backend}")
        found |= {} if _is_unknown(answer) else parse_servers(answer)
    return found


def _questions(listeners: Sequence[Listener] | None) -> list[str]:
    if listeners is None:
        return ["show stat"]
    return [f"show stat {proxy} -1 -1" for proxy in _proxies(listeners)]


def _proxies(listeners: Iterable[Listener]) -> list[str]:
    return [name for listener in listeners for name in (listener.name, *listener.backends)]


def _parsed(answer: str) -> Statistics:
    """A proxy that this worker does not have has counted nothing."""
    return Statistics() if _is_unknown(answer) else parse_statistics(answer)


def _is_unknown(answer: str) -> bool:
    return answer.startswith(_NO_SUCH)
