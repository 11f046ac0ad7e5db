"""An instance with several health checks: each is asked by itself, and all of them must pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from portway.controller.clock import SystemClock
from portway.controller.health.probes import Prober, ProbeTarget
from portway.core.app import HealthCheck
from portway.core.health import Health, HealthStatus

INSTANCE = "shop/web.1.1"
CHECK = HealthCheck(interval_s=0.01, start_interval_s=0.01, unhealthy_threshold=1)


class Answers:
    """Each check passes or fails as it is told to."""

    def __init__(self) -> None:
        self.passing = {0: True, 1: True}
        self.health: dict[str, Health] = {}
        self.changed: list[str] = []
        self.prober = Prober(self, SystemClock(), self.health, self.changed.append)

    async def check(self, target: ProbeTarget) -> tuple[bool, str]:
        return self.passing[target.nth], f"check {target.nth}"

    def ask(self, *, is_proven: bool = False) -> None:
        targets = [
            ProbeTarget(
                instance_id=INSTANCE,
                check=CHECK,
                address="127.0.0.1",
                port_number=80,
                started_at_ms=SystemClock().now_ms(),
                is_proven=is_proven,
                nth=nth,
                of=2,
            )
            for nth in (0, 1)
        ]
        self.prober.sync("shop/web", {target.key: target for target in targets})

    def verdict(self) -> HealthStatus | None:
        return self.health[INSTANCE].status if INSTANCE in self.health else None

    async def until(self, what: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not what():
                await asyncio.sleep(0.002)


@pytest.fixture
async def answers() -> AsyncIterator[Answers]:
    made = Answers()
    task = asyncio.get_running_loop().create_task(made.prober.run())
    yield made
    task.cancel()
    await asyncio.wait([task])


async def test_it_passes_once_all_pass_and_fails_as_soon_as_one_fails(answers: Answers) -> None:
    answers.passing[1] = False
    answers.ask()
    await answers.until(lambda: answers.health.get(INSTANCE, Health()).failures >= 3)
    assert answers.verdict() is HealthStatus.UNKNOWN
    answers.passing[1] = True
    await answers.until(lambda: answers.verdict() is HealthStatus.PASSING)
    answers.passing[0] = False
    await answers.until(lambda: answers.verdict() is HealthStatus.FAILING)
    assert answers.health[INSTANCE].detail == "check 0"
    answers.passing[0] = True
    await answers.until(lambda: answers.verdict() is HealthStatus.PASSING)
    assert answers.changed == [INSTANCE] * 3


async def test_one_that_has_proved_itself_is_taken_at_its_word_by_each_check(
    answers: Answers,
) -> None:
    answers.passing[1] = False
    answers.ask(is_proven=True)
    await answers.until(lambda: answers.verdict() is HealthStatus.FAILING)
    assert answers.changed == [INSTANCE]


async def test_nothing_is_kept_of_what_is_asked_no_more(answers: Answers) -> None:
    answers.ask()
    await answers.until(lambda: answers.verdict() is HealthStatus.PASSING)
    answers.prober.sync("shop/web", {})
    assert not answers.health
    answers.passing[0] = False
    answers.ask()
    await answers.until(lambda: answers.health.get(INSTANCE, Health()).failures)
    assert answers.verdict() is HealthStatus.UNKNOWN
