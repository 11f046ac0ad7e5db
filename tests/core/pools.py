"""Pools and requests of the tests of core.ports: small, and named as the tests speak of them."""

from __future__ import annotations

from portway.core.app import Protocol
from portway.core.ports import (
    LOOPBACK,
    Holder,
    Lease,
    PortPool,
    PortRange,
    PortRefusal,
    PortRequest,
)

TCP, UDP = Protocol.TCP, Protocol.UDP


HOLD_MS = 5000


OWNER = "httpd/web.1.3"


def make_pool(first: int = 31000, last: int = 31009, **options: object) -> PortPool:
    return PortPool(PortRange(first=first, last=last), hold_down_ms=HOLD_MS, **options)  # type: ignore[arg-type]


def wants(
    *,
    fixed: int | None = None,
    preferred: int | None = None,
    protocol: Protocol = TCP,
    address: str = LOOPBACK,
    name: str = "web",
    container_port: int = 80,
) -> PortRequest:
    return PortRequest(
        port_name=name,
        protocol=protocol,
        container_port=container_port,
        host_port=fixed,
        preferred=preferred,
        address=address,
    )


def numbers(answer: tuple[Lease, ...] | PortRefusal) -> list[int]:
    assert not isinstance(answer, PortRefusal), answer.reason
    return [lease.host_port for lease in answer]


def refusal(answer: tuple[Lease, ...] | PortRefusal) -> str:
    assert isinstance(answer, PortRefusal), answer
    return answer.reason


def leased(
    pool: PortPool, *requests: PortRequest, owner: str = OWNER, node: str = "local", now_ms: int = 0
) -> tuple[Lease, ...]:
    answer = pool.propose(node, requests, now_ms=now_ms)
    assert not isinstance(answer, PortRefusal), answer.reason
    pool.take(answer, owner)
    return answer


def held_by(description: str, *addresses: str) -> Holder:
    return Holder(description=description, addresses=addresses)
