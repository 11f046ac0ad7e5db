"""Targets are asked once, and what came of it is said in AWS's words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from portway.controller.health.asker import Asker
from portway.controller.health.checks import ours
from portway.controller.health.probes import Checker, ProbeTarget
from portway.core.app import CheckKind
from portway.core.balancing.targets import CODES, FAILED, TIMED_OUT
from portway.core.health import matches_status


class AdmittedChecker:
    """Asks only whom the network of AWS lets a load balancer reach; `barred`: why not, by a target's key; "" = it does."""

    def __init__(self, checker: Checker, barred: Callable[[str], Awaitable[str]]) -> None:
        self._checker = checker
        self._barred = barred

    async def check(self, target: ProbeTarget) -> tuple[bool, str]:
        """(passed, the description that DescribeTargetHealth gives)."""
        if await self._barred(target.key):
            return False, TIMED_OUT
        return await self._checker.check(target)


class TargetChecker:
    """Over the network."""

    def __init__(self) -> None:
        self._asker = Asker("ELB-HealthChecker/2.0")

    async def check(self, target: ProbeTarget) -> tuple[bool, str]:
        """(passed, the description that DescribeTargetHealth gives)."""
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
