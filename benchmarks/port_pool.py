"""How many leases a second one core of this machine gets out of the port pool.

    python benchmarks/port_pool.py [--leases 100000]

One lease is propose + take + free, with a hold-down, as in a redeploy. "full" keeps 1,000 of 1,001 ports
leased; "cooling" lets every freed port rest before it comes round again; "batch" asks for ten ports at once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from portway.core.app import Protocol
from portway.core.ports import Lease, PortPool, PortRange, PortRefusal, PortRequest

RANGE = PortRange(first=31000, last=32000)
AIM_PER_S = 100_000


def request(name: str = "web") -> PortRequest:
    """One port, whichever."""
    return PortRequest(port_name=name, protocol=Protocol.TCP, container_port=80)


def lease(pool: PortPool, requests: list[PortRequest], now_ms: int) -> tuple[Lease, ...]:
    """Propose and take; a refusal is a bug of the benchmark."""
    leases = pool.propose("local", requests, now_ms=now_ms)
    assert not isinstance(leases, PortRefusal), leases.reason
    pool.take(leases, "bench/web.1.1")
    return leases


def churn(*, live: int, hold_down_ms: int, batch: int, count: int) -> float:
    """Seconds for `count` leases, with `live` ports leased all the while."""
    pool = PortPool(RANGE, hold_down_ms=hold_down_ms)
    for _ in range(live):
        lease(pool, [request()], 0)
    requests = [request(f"p{number}") for number in range(batch)]
    begin = time.perf_counter()
    for now_ms in range(count // batch):
        pool.free(lease(pool, requests, now_ms), now_ms=now_ms)
    return time.perf_counter() - begin


CASES: dict[str, Callable[[int], float]] = {
    "empty": lambda count: churn(live=0, hold_down_ms=0, batch=1, count=count),
    "full": lambda count: churn(live=1000, hold_down_ms=0, batch=1, count=count),
    "cooling": lambda count: churn(live=500, hold_down_ms=400, batch=1, count=count),
    "batch": lambda count: churn(live=500, hold_down_ms=0, batch=10, count=count),
}


def main() -> None:
    """Print a line a case: leases a second and how that compares with the aim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--leases", type=int, default=100_000, help="how many in each case")
    count = parser.parse_args().leases
    for name, run in CASES.items():
        per_s = count / min(run(count) for _ in range(3))
        print(f"{name:<8} {per_s:>10,.0f} leases/s   {per_s / AIM_PER_S:.2f} x the aim")


if __name__ == "__main__":
    main()
