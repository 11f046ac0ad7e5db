"""What it costs to check many instances: 2,000 listeners on loopback addresses, each asked every 5 s.

    python benchmarks/health_checks.py [--instances 2000] [--interval 5]

The listeners are in another process; what is measured is the CPU time of the process that asks. The yardstick
beside it is the same number of plain `asyncio.open_connection` requests at the same pace.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path

from measure import Figure, arguments, report

from portway.controller.clock import SystemClock
from portway.controller.health.probes import NetworkChecker, Prober, ProbeTarget
from portway.core.app import CheckKind, HealthCheck
from portway.core.health import Health, HealthStatus
from portway.engines.memory import MemoryEngine

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
AIM_PERCENT = 20.0
CONTAINER_PORT = 18150


def address_of(nth: int) -> str:
    """The n-th loopback address."""
    return f"127.77.{nth // 250}.{nth % 250 + 1}"


class _Answering(asyncio.Protocol):
    """Answers whatever is asked with 200 and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.WriteTransport)
        self._transport.write(ANSWER)
        self._transport.close()


def serve(number: int, ready: Event) -> None:
    """Listen on so many addresses until killed."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for nth in range(number):
            await loop.create_server(_Answering, address_of(nth), CONTAINER_PORT, backlog=16)
        ready.set()
        await asyncio.Event().wait()

    asyncio.run(run())


@contextmanager
def listeners(number: int) -> Iterator[None]:
    """So many listeners in a process of their own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 3 * number)), hard))
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=serve, args=(number, ready), daemon=True)
    process.start()
    try:
        if not ready.wait(60):
            raise RuntimeError("the listeners did not come up within a minute")
        yield
    finally:
        process.kill()
        process.join()


class _Counting(NetworkChecker):
    """The real checker, counting."""

    asked = 0

    async def check(self, target: ProbeTarget) -> tuple[bool, str]:
        self.asked += 1
        return await super().check(target)


async def _probe(
    number: int, kind: CheckKind, *, interval_s: float, for_s: float
) -> Mapping[str, float]:
    health: dict[str, Health] = {}
    clock = SystemClock()
    checker = _Counting(MemoryEngine(), clock)
    prober = Prober(checker, clock, health, lambda _: None)
    check = HealthCheck(kind=kind, interval_s=interval_s, path="/healthz")
    for nth in range(number):
        one = ProbeTarget(
            instance_id=f"bench/a{nth}.1.1", check=check, address=address_of(nth),
            port_number=CONTAINER_PORT, started_at_ms=clock.now_ms(),
        )  # fmt: skip
        prober.sync(f"bench/a{nth}", {one.instance_id: one})
    task = asyncio.get_running_loop().create_task(prober.run())
    await asyncio.sleep(interval_s + 1)  # the start is not the steady state
    asked, cpu_s, began_s = checker.asked, time.process_time(), time.monotonic()
    await asyncio.sleep(for_s)
    cpu_s, took_s = time.process_time() - cpu_s, time.monotonic() - began_s
    passing = sum(one.status is HealthStatus.PASSING for one in health.values())
    open_files = len(list(Path("/proc/self/fd").iterdir()))
    task.cancel()
    await asyncio.wait([task])
    return {
        "cpu_percent": round(100 * cpu_s / took_s, 1),
        "checks_per_s": round((checker.asked - asked) / took_s, 1),
        "passing": passing,
        "open_files": open_files,
    }


async def _plainly(number: int, *, interval_s: float, for_s: float) -> float:
    """The CPU percent of asking as anybody would write it: one task an instance, streams."""

    async def ask_for_ever(nth: int) -> None:
        await asyncio.sleep(interval_s * nth / number)
        while True:
            async with asyncio.timeout(3):
                reader, writer = await asyncio.open_connection(address_of(nth), CONTAINER_PORT)
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                await reader.readline()
                writer.close()
            await asyncio.sleep(interval_s)

    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(ask_for_ever(nth)) for nth in range(number)]
    await asyncio.sleep(interval_s + 1)
    cpu_s, began_s = time.process_time(), time.monotonic()
    await asyncio.sleep(for_s)
    percent = 100 * (time.process_time() - cpu_s) / (time.monotonic() - began_s)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return round(percent, 1)


def main() -> int:
    """Measure both kinds, and streams at the same pace; 1 when the aim is missed."""
    options = arguments(__doc__, instances=2000, interval=5.0)
    number = options.instances
    for_s = options.interval * (1 if options.quick else 3)
    figures: list[Figure] = []
    with listeners(number):
        pace = {"interval_s": options.interval, "for_s": for_s}
        plain = asyncio.run(_plainly(number, **pace))
        for kind in (CheckKind.TCP, CheckKind.HTTP):
            found = asyncio.run(_probe(number, kind, **pace))
            if found["passing"] < number:
                raise RuntimeError(f"only {found['passing']:g} of {number} pass")
            figures.append(
                Figure(
                    name=f"{number} {kind.value.upper()} checks every {options.interval:g} s",
                    ours=f"{found['cpu_percent']:g}% of one core, {found['checks_per_s']:g}/s, "
                    f"{found['open_files']:g} files open",
                    value=found["cpu_percent"],
                    rival=f"HTTP over asyncio streams: {plain:g}%",
                    aim=AIM_PERCENT,
                    unit="%",
                )
            )
    return report(figures, options)


if __name__ == "__main__":
    raise SystemExit(main())
