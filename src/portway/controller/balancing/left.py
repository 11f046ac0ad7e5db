"""LeftTargets: instances of Apps that are gone, shown as draining until the deregistration delay is over, as AWS shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from portway.core.balancing.model import Target, TargetGroup
from portway.core.balancing.targets import Member, members_of_app
from portway.core.placement import NodeView
from portway.core.state import AppState
from portway.store.base import Documents
from portway.store.codec import from_body, to_body

KIND = "elbv2.left"  # by the group's ARN


class LeftTargets:
    """Stored, because nothing else is left to tell them from; by group, those that have not been shown long enough."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._targets: dict[str, tuple[Target, ...]] = {}

    async def load(self, groups: Iterable[str]) -> None:
        """Those of groups that there are; what is kept of others is deleted."""
        known = frozenset(groups)
        for document in await self._documents.list(KIND):
            if document.key not in known:
                await self._documents.delete(KIND, document.key)
                continue
            self._targets[document.key] = tuple(
                from_body(Target, one, where=f"{KIND} {document.key}")
                for one in document.body["targets"]
            )

    async def keep(
        self,
        states: Sequence[AppState],
        groups: Iterable[TargetGroup],
        nodes: Sequence[NodeView],
        node_id: Callable[[str], str],
        *,
        now_ms: int,
    ) -> None:
        """Take down what these Apps, which are forgotten now, still have draining."""
        for group in groups:
            leaving = [
                Target(
                    id=member.id,
                    number=member.number,
                    registered_at_ms=member.registered_at_ms,
                    draining_until_ms=member.draining_until_ms,
                )
                for state in states
                for member in members_of_app(group, state, {}, nodes, node_id, now_ms=now_ms)
                if member.is_draining
            ]
            if leaving:
                await self._put(group.arn, leaving, now_ms)

    async def _put(self, group: str, leaving: Sequence[Target], now_ms: int) -> None:
        targets = {(t.id, t.number): t for t in (*self._of(group, now_ms), *leaving)}
        self._targets[group] = tuple(targets.values())
        body = {"targets": [to_body(target) for target in targets.values()]}
        await self._documents.put(KIND, group, body)

    def _of(self, group: str, now_ms: int) -> list[Target]:
        found = self._targets.get(group, ())
        return [target for target in found if (target.draining_until_ms or 0) > now_ms]

    def members(self, group: str, others: Iterable[Member], *, now_ms: int) -> list[Member]:
        """Those of a group, without one whose id and port another target has by now."""
        left = self._of(group, now_ms) if group in self._targets else []
        taken = {(member.id, member.number) for member in others} if left else set()
        return [
            Member(
                id=target.id,
                number=target.number,
                address="",
                endpoint_id=f"left {target.id}:{target.number}",
                registered_at_ms=target.registered_at_ms,
                draining_until_ms=target.draining_until_ms,
                is_routable=False,
            )
            for target in left
            if (target.id, target.number) not in taken
        ]
