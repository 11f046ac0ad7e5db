"""Told: what the running worker was told, and the telling: everything anew, or the servers of some listeners."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from portway.balancers.haproxy import live
from portway.balancers.haproxy.admission import Problem
from portway.balancers.haproxy.listeners import Listener, differ_in_servers_only, digest
from portway.balancers.haproxy.readback import ServerKey
from portway.balancers.haproxy.request_log import RequestLog
from portway.balancers.haproxy.runtime import UNREACHABLE, Runtime
from portway.core.routes import Endpoint


class Told:
    """Follows one master's current worker.

    `accepted`: listeners by name as HAProxy last took them whole. `endpoints`: by server name; those on their way
    out stay until they are out. `mark`: what a worker with this structure says of itself.
    """

    def __init__(self, runtime: Runtime, requests: RequestLog) -> None:
        self.listeners: tuple[Listener, ...] = ()
        self.accepted: dict[str, Listener] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.mark = ""
        self._loaded: dict[str, str] = {}
        self._leftovers: tuple[ServerKey, ...] = ()
        self._runtime = runtime
        self._requests = requests

    def listeners_of(self, owners: Collection[str] | None) -> tuple[Listener, ...]:
        """All listeners, or these owners'."""
        if owners is None:
            return self.listeners
        return tuple(one for one in self.listeners if one.route.owner in owners)

    def loads(self, listeners: Sequence[Listener]) -> None:
        """A fresh worker has these certificates from the files."""
        self._loaded = {slot.path: digest(slot.pem) for one in listeners for slot in one.slots}

    def needs_reload(self, listeners: Sequence[Listener]) -> bool:
        """Whether a certificate is too large to be told while HAProxy runs."""
        slots = [slot for listener in listeners for slot in listener.slots]
        return any(
            not live.fits_runtime(slot.pem) and self._loaded.get(slot.path) != digest(slot.pem)
            for slot in slots
        )

    async def tell(self, listeners: Sequence[Listener], *, has_log: bool) -> list[Problem]:
        """Tell the running worker whatever changed, and read it back; the certificates it refused."""
        (worker_id, *_), old = await self._runtime.workers()
        self.listeners = tuple(listeners)
        self._know()
        async with self._runtime.session(worker_id) as session:
            self._leftovers = await live.sync_servers(session, self._runtime, listeners, old)
            if has_log:
                await live.sync_reported(session, listeners)
            self._loaded, problems = await live.sync_certificates(session, listeners, self._loaded)
        self._forget_gone()
        refused = {problem.owner for problem in problems}
        self.accepted = {
            one.name: self.accepted.get(one.name, one) if one.route.owner in refused else one
            for one in listeners
        }
        return problems

    def differ_in_servers_only(self, owners: Collection[str], news: Sequence[Listener]) -> bool:
        """Whether these listeners of the owners can take the place of those they have without anything else."""
        before = {one.name: one for one in self.listeners_of(owners)}
        if before.keys() != {one.name for one in news} or len(before) != len(news):
            return False
        return all(differ_in_servers_only(before[one.name], one) for one in news)

    async def tell_servers(self, news: Sequence[Listener], *, has_log: bool) -> None:
        """Tell the running worker which servers come and go behind some listeners, and read it back."""
        (worker_id, *_), old = await self._runtime.workers()
        fresh = {one.name: one for one in news}
        before = [one for one in self.listeners if one.name in fresh]
        self.listeners = tuple(fresh.get(one.name, one) for one in self.listeners)
        self._know()
        async with self._runtime.session(worker_id) as session:
            left = await live.sync_servers(session, self._runtime, news, old, alone=True)
            if has_log and any(one.is_reported for one in (*before, *news)):
                await live.sync_reported(session, self.listeners)
        self._leftovers = tuple(dict.fromkeys((*self._leftovers, *left)))
        self._forget_gone()
        self.accepted |= fresh

    async def tidy(self) -> None:
        """Delete servers that were taken out, once their idle connections are closed."""
        if not self._leftovers:
            return
        with suppress(*UNREACHABLE):
            async with self._runtime.session() as session:
                self._leftovers = await live.delete_servers(session, self._leftovers)

    def _know(self) -> None:
        self.endpoints |= {s.name: s.endpoint for one in self.listeners for s in one.servers}
        self._requests.know(
            {one.name: one.route.owner for one in self.listeners},
            {name: endpoint.instance_id for name, endpoint in self.endpoints.items()},
        )

    def _forget_gone(self) -> None:
        self.endpoints = {s.name: s.endpoint for one in self.listeners for s in one.servers}
