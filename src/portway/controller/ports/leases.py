"""Leases: the pools of host and listener ports, and the claims that keep two portways apart."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol as TypingProtocol
from typing import cast

from portway.core.app import Protocol
from portway.core.instance import ObservedInstance
from portway.core.ports import LOOPBACK, CoolingPort, Holder, Lease, PortPool
from portway.core.reconcile import BALANCER_NODE
from portway.core.state import AppState
from portway.store.base import CoolingLease

REFUSED_FOR_MS = 30_000


def listener_leases(state: AppState) -> tuple[Lease, ...]:
    """The listener ports portway assigned to an App, as leases of the balancer's pool."""
    return tuple(
        Lease(
            port_name=name,
            node=BALANCER_NODE,
            protocol=Protocol.TCP,
            host_port=number,
            container_port=0,
            address=LOOPBACK,
        )
        for name, number in state.service_ports.items()
    )


class PortGuard(TypingProtocol):
    """What the kernel and other portways say about ports of this machine."""

    def occupied(self) -> Mapping[tuple[Protocol, int], Holder]: ...
    def bind_test(self, protocol: Protocol, address: str, number: int) -> str | None: ...
    def claim(self, protocol: Protocol, number: int) -> bool: ...
    def release_claim(self, protocol: Protocol, number: int) -> None: ...
    def holder(self, protocol: Protocol, number: int) -> Holder | None: ...


class Leases:
    """The two pools with what the kernel says about them. `guard` None: the engine's ports are not this machine's."""

    def __init__(
        self,
        host_pool: PortPool,
        service_pool: PortPool,
        guard: PortGuard | None,
        *,
        hold_down_ms: int,
    ) -> None:
        self.host_pool = host_pool
        self.service_pool = service_pool
        self._guard = guard
        self._hold_down_ms = hold_down_ms
        self.refusals = 0  # since the server started
        self._refused: dict[tuple[Protocol, int], tuple[Holder, int]] = {}
        self._cached: tuple[int, Mapping[tuple[Protocol, int], Holder]] | None = None

    def restore(
        self, apps: Iterable[AppState], cooling: Sequence[CoolingLease], *, now_ms: int
    ) -> None:
        """Take over what the store remembers; claims are made again, nothing is bound.

        No port cools for longer than the hold-down, whatever clock its time was read from.
        """
        states = tuple(apps)
        held = [
            (lease, state.app_id)
            for state in states
            for record in state.live
            for lease in record.identity.leases
        ]
        latest_ms = now_ms + self._hold_down_ms
        ports = [
            CoolingPort(lease=c.lease, free_at_ms=min(c.free_at_ms, latest_ms)) for c in cooling
        ]
        self.host_pool.restore(held, [c for c in ports if c.free_at_ms > now_ms])
        self.service_pool.restore(
            (lease, state.app_id) for state in states for lease in listener_leases(state)
        )
        for lease, _ in held:
            self._claim(lease)

    def occupied(self, *, now_ms: int) -> Mapping[tuple[Protocol, int], Holder]:
        """Ports held by others: the kernel's word, at most a second old, and what an engine refused lately."""
        if self._guard is None:
            return {}
        if self._cached is None or now_ms - self._cached[0] > 1000:
            self._cached = (now_ms, self._guard.occupied())
        self._refused = {k: kept for k, kept in self._refused.items() if kept[1] > now_ms}
        recent = {k: holder for k, (holder, _) in self._refused.items()}
        # The kernel's view is lazy: merging it would name the holder of every port.
        return (
            ChainMap(recent, cast("dict[tuple[Protocol, int], Holder]", self._cached[1]))
            if recent
            else self._cached[1]
        )

    def forget_kernel_view(self) -> None:
        """Look at the kernel afresh next time."""
        self._cached = None

    def claim_all(self, leases: Sequence[Lease], *, now_ms: int) -> str:
        """Claim and bind-test every new host lease; "" when all are really free, else why one is not.

        All or nothing; a port that is refused is not proposed again for a while.
        """
        claimed: list[Lease] = []
        for lease in leases:
            if lease.node == BALANCER_NODE:
                continue
            why = self._try_claim(lease, now_ms)
            if why:
                for other in claimed:
                    self._release(other)
                return why
            claimed.append(lease)
        return ""

    def claim_running(self, leases: Sequence[Lease]) -> None:
        """Claim the ports of instances that run already: nothing is bound, for they are in use."""
        for lease in leases:
            self._claim(lease)

    def refuse(self, lease: Lease, reason: str, *, now_ms: int) -> None:
        """Keep away from a port the engine could not publish."""
        self.refusals += 1
        holder = Holder(description=reason)
        self._refused[lease.protocol, lease.host_port] = (holder, now_ms + REFUSED_FOR_MS)

    def bind_refusal(self, protocol: Protocol, address: str, number: int) -> str:
        """Why a port of this machine cannot be bound now, as a clause; "" when it can, or is not this machine's."""
        if self._guard is None:
            return ""
        return self._guard.bind_test(protocol, address, number) or ""

    def describe_holder(self, address: str, service_port: int) -> str:
        """Who has a listener's port, to complete "8000 is held by ..."; "" when it cannot be told."""
        if self._guard is None:
            return ""
        holder = self._guard.holder(Protocol.TCP, service_port)
        return holder.description if holder else ""

    def take(self, leases: Sequence[Lease], owner: str) -> None:
        """The decisions are saved: the leases are the App's."""
        host = [lease for lease in leases if lease.node != BALANCER_NODE]
        service = [lease for lease in leases if lease.node == BALANCER_NODE]
        if host:
            self.host_pool.take(host, owner)
        if service:
            self.service_pool.take(service, owner)

    def free(self, leases: Sequence[Lease], owner: str, *, now_ms: int) -> None:
        """The instances are gone: their ports cool down."""
        for lease in leases:
            pool = self.service_pool if lease.node == BALANCER_NODE else self.host_pool
            pool.free([lease], now_ms=now_ms, owner=owner)
            if pool is self.host_pool:
                self._release(lease)

    def cooling(self, *, now_ms: int) -> tuple[CoolingLease, ...]:
        """What the store must remember of ports just given back."""
        return tuple(
            CoolingLease(lease=entry.lease, free_at_ms=entry.free_at_ms)
            for entry in self.host_pool.cooling(now_ms)
        )

    def cooling_with(self, freed: Sequence[Lease], *, now_ms: int) -> tuple[CoolingLease, ...]:
        """As cooling(), once `freed` are given back: saved before they are."""
        free_at_ms = now_ms + self._hold_down_ms
        more = (CoolingLease(lease=lease, free_at_ms=free_at_ms) for lease in freed)
        return (*self.cooling(now_ms=now_ms), *more)

    def unclaim(self, leases: Sequence[Lease]) -> None:
        """The decisions could not be saved: nobody holds these ports."""
        for lease in leases:
            if lease.node != BALANCER_NODE:
                self._release(lease)

    def _try_claim(self, lease: Lease, now_ms: int) -> str:
        if self._guard is None:
            return ""
        if not self._claim(lease):
            why = f"{lease.host_port} is held by another portway on this machine"
            self.refuse(lease, "another portway on this machine", now_ms=now_ms)
            return why
        refusal = self._guard.bind_test(lease.protocol, lease.address, lease.host_port)
        if refusal is None:
            return ""
        self._release(lease)
        holder = self._guard.holder(lease.protocol, lease.host_port)
        self.refuse(lease, holder.description if holder else refusal, now_ms=now_ms)
        return f"{lease.host_port} is held by {holder.description}" if holder else refusal

    def _claim(self, lease: Lease) -> bool:
        return self._guard is None or self._guard.claim(lease.protocol, lease.host_port)

    def _release(self, lease: Lease) -> None:
        if self._guard is not None:
            self._guard.release_claim(lease.protocol, lease.host_port)


def adopted_leases(
    before: AppState, after: AppState, seen: Mapping[str, ObservedInstance]
) -> list[Lease]:
    """The ports of instances found running without a record: in use, and rightly so."""
    if after is before:
        return []
    known = {record.id for record in before.instances}
    return [
        lease
        for record in after.instances
        if record.id not in known and record.id in seen
        for lease in record.identity.leases
    ]
