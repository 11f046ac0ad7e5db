"""How many leases a second one core of this machine gets out of the port pool.

    python benchmarks/port_pool.py [--leases 100000]

One lease is propose + take + free, with a hold-down, as in a redeploy. "full" keeps 1,000 of 1,001 ports
leased; "cooling" lets every freed port rest before it comes round again; "batch" asks for ten ports at once.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from measure import Figure, arguments, report

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
    begin = time.process_time()
    for now_ms in range(count // batch):
        pool.free(lease(pool, requests, now_ms), now_ms=now_ms)
    return time.process_time() - begin


CASES: dict[str, Callable[[int], float]] = {
    "empty": lambda count: churn(live=0, hold_down_ms=0, batch=1, count=count),
    "full": lambda count: churn(live=1000, hold_down_ms=0, batch=1, count=count),
    "cooling": lambda count: churn(live=500, hold_down_ms=400, batch=1, count=count),
    "batch": lambda count: churn(live=500, hold_down_ms=0, batch=10, count=count),
}


def main() -> int:
    """Print the table: leases a second in each case, and how that compares with the aim."""
    options = arguments(__doc__, leases=100_000)
    figures: list[Figure] = []
    for name, run in CASES.items():
        per_s = options.leases / min(run(options.leases) for _ in range(3))
        figures.append(
            Figure(
                name=f"leases/s, {name}",
                ours=f"{per_s:,.0f}",
                value=per_s,
                aim=AIM_PER_S,
                more_is_better=True,
            )
        )
    return report(figures, options)


if __name__ == "__main__":
    sys.exit(main())
