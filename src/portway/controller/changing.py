"""What every part of PortwayOperations that changes something does alike: saves, says so, shows what has begun."""

from __future__ import annotations

from collections.abc import Sequence

from portway.controller.loop import Controller
from portway.controller.present import present_deployment
from portway.controller.remarks import remarks
from portway.controller.strategies import strategy_notes
from portway.controller.views import PromotionView, StrategyRequest
from portway.core.events import Event
from portway.store.base import Batch


class Changes:
    """The part of PortwayOperations that the changing parts stand on."""

    controller: Controller

    @property
    def _now_ms(self) -> int:
        return self.controller.clock.now_ms()

    async def _save(self, batch: Batch) -> int:
        """Save and look at the Apps it touches; the last sequence number before it."""
        newest = await self.controller.store.events(after=-1, limit=1)
        await self.controller.save(batch)
        self.controller.touch(*(state.app_id for state in batch.apps))
        return newest[-1].sequence if newest else 0

    def _event(self, kind: str, message: str, *, stack: str, **fields: str) -> Event:
        return Event(at_ms=self._now_ms, kind=kind, message=message, stack=stack, **fields)  # type: ignore[arg-type]

    def _promotion(
        self,
        stack: str,
        release: str,
        *,
        changed: Sequence[str] = (),
        unchanged: Sequence[str] = (),
        removed: Sequence[str] = (),
        sequence: int = 0,
        strategy: StrategyRequest | None = None,
    ) -> PromotionView:
        world = self.controller.world
        states = [
            world.apps[f"{stack}/{name}"] for name in changed if f"{stack}/{name}" in world.apps
        ]
        deployments = [present_deployment(world, state) for state in states]
        return PromotionView(
            stack=stack,
            release=release,
            deployments=tuple(d for d in deployments if d is not None),
            unchanged=tuple(unchanged),
            removed=tuple(removed),
            notes=(
                *strategy_notes(states, strategy),
                *(note for state in states for note in remarks(world, state)),
            ),
            sequence=sequence,
        )
