"""Workers that come and go: a reload seen through to its end, and nobody left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress

import structlog

from portway.balancers.haproxy import binding
from portway.balancers.haproxy.process import MasterProcess
from portway.balancers.haproxy.runtime import UNREACHABLE, Runtime, info
from portway.core.errors import BalancerError

log = structlog.get_logger(__name__)

_RELOAD_S = 10.0
_RESEND_S = 0.2
_START_S = 10.0
_RELEASE_S = 0.5
_FINISHING_S = 2.0
_LIVED_S = 5.0  # a master that ends sooner is started again only after a pause
_PAUSE_S_MAX = 5.0


class RestartPause:
    """A master that ended is started again at once, but ever later when it keeps ending at once."""

    def __init__(self) -> None:
        self._began_s = float("-inf")
        self._pause_s = 0.0

    def begin(self) -> None:
        """One was started."""
        self._began_s = time.monotonic()

    async def wait(self) -> None:
        """Return when the next one may be."""
        if time.monotonic() - self._began_s > _LIVED_S:
            self._pause_s = 0.0
            return
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(_PAUSE_S_MAX, max(0.1, self._pause_s * 2))


async def replace_workers(process: MasterProcess, runtime: Runtime, *, description: str) -> None:
    """Reload, and return once a new worker that loaded what describes itself so has every new connection.

    A master loses the signal when it is young: it is sent again while the master knows of no new worker.
    """
    old, _ = await runtime.workers()
    master = process.find()
    if master is None:
        raise ConnectionResetError("the master ended")
    await process.signal_reload(master)
    started_s = time.monotonic()
    resend_s = _RESEND_S
    while time.monotonic() - started_s < _RELOAD_S:
        if await _answers(runtime, old, description):
            await _await_finishing(runtime, old)
            return
        if process.find() is None:
            raise ConnectionResetError("the master ended")
        if time.monotonic() - started_s > resend_s:
            resend_s *= 3
            if (await runtime.workers())[0] == old:
                await process.signal_reload(master)
        await asyncio.sleep(0.005)
    raise BalancerError(
        "HAProxy did not take over its new configuration; the one before goes on serving.",
        hint="portway tries again by itself; restarting HAProxy (`kill` its master) also helps.",
    )


async def _answers(runtime: Runtime, old: tuple[int, ...], description: str) -> bool:
    with suppress(*UNREACHABLE):
        async with runtime.session() as session:
            worker = await info(session)
        return worker.process_id not in old and worker.description == description
    return False


async def _await_finishing(runtime: Runtime, workers: tuple[int, ...]) -> None:
    """Wait a moment until these take no new connections: they would meet the rules of before."""
    deadline_s = time.monotonic() + _FINISHING_S
    for worker_id in workers:
        while "Stopping: 0" in await runtime.ask_old(worker_id, "show info"):
            if time.monotonic() > deadline_s:
                return
            await asyncio.sleep(0.002)


async def await_first_answer(runtime: Runtime) -> None:
    """Return once a fresh HAProxy answers."""
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s:
        with suppress(*UNREACHABLE):
            async with runtime.session() as session:
                await info(session)
                return
        await asyncio.sleep(0.005)
    raise TimeoutError("HAProxy started but does not answer")


async def await_release(bound: Iterable[tuple[tuple[str, ...], int]]) -> None:
    """Wait a moment until a worker that is leaving has let go of these addresses and ports."""
    deadline_s = time.monotonic() + _RELEASE_S
    for addresses, number in bound:
        for address in addresses:
            while binding.bind_problem(address, number, binding.nobody)[0]:
                if time.monotonic() > deadline_s:
                    return
                await asyncio.sleep(0.005)


async def stop_oldest_workers(runtime: Runtime, *, keep: int) -> None:
    """Of the workers that are finishing, only the newest `keep` may take their time."""
    _, old = await runtime.workers()
    for worker_id in old[: max(0, len(old) - keep)]:
        log.warning("balancer_old_worker_stopped", worker=worker_id, kept=keep)
        with suppress(ProcessLookupError):
            os.kill(worker_id, signal.SIGTERM)
