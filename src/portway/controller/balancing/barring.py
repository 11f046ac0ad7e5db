"""Barring: whether security groups and ACLs would keep a load balancer from its targets, on AWS. Nothing here is really filtered."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from portway.controller.balancing.registry import Balancer
from portway.controller.clock import Clock
from portway.controller.network.reading import read_network
from portway.controller.world import World, app_of
from portway.core.balancing.model import TargetGroup, TargetType
from portway.core.balancing.targets import Member, check_number
from portway.core.ecs.labels import Origin, origin_of, revision_of
from portway.core.network.reading import Network
from portway.store.base import Documents

NETWORK_AGE_MS = 1000


class Barring:
    """Reads the network anew at most once a second, however many targets are checked. `region`: that of the face."""

    def __init__(
        self, world: World, documents: Documents, clock: Clock, region: Callable[[], str]
    ) -> None:
        self._world = world
        self._documents = documents
        self._clock = clock
        self._region = region
        self._read: tuple[int, Network] | None = None

    async def rule(
        self,
        group: TargetGroup,
        member: Member,
        users: Iterable[Balancer],
        number: int | None = None,
    ) -> str:
        """The rule that a load balancer lacks to reach the target; "" when each of them does.

        Looked at are the groups of the machine, or of the task where it has an address of its own. `number`: a port of
        the target; None is the one that is checked.
        """
        origin = self._origin(member) if group.target_type is TargetType.IP else None
        if group.target_type is not TargetType.INSTANCE and not (origin and origin.subnet):
            return ""  # an address that somebody registered may be anywhere
        network = await self._network()
        found = (
            network.missing_rule(
                groups=balancer.security_groups,
                subnets=[subnet for _, subnet in balancer.zones],
                instance_id=member.id,
                task=network.task(origin.security_groups, origin.subnet) if origin else None,
                number=number or check_number(group, member),
            )
            for balancer in users
        )
        return next((why for why in found if why), "")

    def forget(self) -> None:
        """Something was changed: the next look reads the network anew."""
        self._read = None

    def _origin(self, member: Member) -> Origin | None:
        """What the task that is the target was made of."""
        state = self._world.apps.get(app_of(member.instance_id)) if member.instance_id else None
        record = next((r for r in state.live if r.id == member.instance_id), None) if state else None  # fmt: skip
        revision = revision_of(state, record) if state and record else None
        return origin_of(revision.app) if revision else None

    async def _network(self) -> Network:
        now_ms = self._clock.now_ms()
        if self._read is None or not 0 <= now_ms - self._read[0] < NETWORK_AGE_MS:
            network = await read_network(
                self._documents, home_id=self._world.home_id, region=self._region()
            )
            self._read = (now_ms, network)
        return self._read[1]
