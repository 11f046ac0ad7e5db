"""TargetChecker: asks a target once, and says in AWS's words what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from portway.controller.health.asker import Asker
from portway.controller.health.checks import ours
from portway.controller.health.probes import ProbeTarget
from portway.core.app import CheckKind
from portway.core.balancing.targets import CODES, FAILED, TIMED_OUT
from portway.core.health import matches_status


class TargetChecker:
    """`barred`: why the network of AWS lets nothing through to a target, by its key; "" = it does."""

    def __init__(self, barred: Callable[[str], Awaitable[str]]) -> None:
        self._asker = Asker("ELB-HealthChecker/2.0")
        self._barred = barred

    async def check(self, target: ProbeTarget) -> tuple[bool, str]:
        """(passed, the description that DescribeTargetHealth gives)."""
        if await self._barred(target.key):
            return False, TIMED_OUT
        assert target.port_number is not None
        try:
            status = await self._asker.ask(target.check, target.address, target.port_number)
        except TimeoutError:
            return False, TIMED_OUT
        except OSError as error:  # a failed handshake is one too
            if mine := ours(error):
                raise mine from error
            return False, FAILED
        if target.check.kind in (CheckKind.TCP, CheckKind.TLS):
            return True, "it accepts connections"
        if status is None:
            return False, FAILED
        if matches_status(target.check.statuses, status):
            return True, f"HTTP {status}"
        return False, f"{CODES}[{status}]"
