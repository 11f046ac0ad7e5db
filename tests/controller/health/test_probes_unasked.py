"""Who has no check is asked once, and again only when something else says how it is."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from portway.core.app import CheckKind
from portway.core.health import HealthStatus
from tests.controller.health.test_probes import Pace, quick


async def test_without_a_check_nobody_is_asked_again_until_there_is_one() -> None:
    pace = Pace()
    task = asyncio.get_running_loop().create_task(pace.prober.run())
    unchecked, asked = quick("a", kind=CheckKind.NONE), quick("b")
    pace.prober.sync("shop/web", {"a": unchecked, "b": asked})
    await pace.until(lambda: pace.checker.asked.count("b") > 3)
    assert pace.checker.asked.count("a") == 1
    assert pace.health["a"].status is HealthStatus.PASSING
    pace.prober.sync("shop/web", {"a": replace(unchecked, engine_health="unhealthy"), "b": asked})
    await pace.until(lambda: pace.checker.asked.count("a") > 3)
    pace.prober.sync("shop/web", {"a": unchecked, "b": asked})
    await pace.until(lambda: not pace.prober._due.keys() & {"a"})
    task.cancel()
    await asyncio.wait([task])
