"""The networks of stacks: made when first needed, removed with the stack. Must not touch networks it did not make."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from portway.core.errors import EngineError
from portway.engines.docker.api import Network
from portway.engines.docker.client import SLOW_S, DockerClient, segment
from portway.engines.docker.command import LABEL_HOME, LABEL_STACK, NetworkUse, network_body
from portway.engines.docker.errors import DockerRefusal, explain
from portway.engines.docker.turns import turn

LINGER_S = 10.0


class Networks:
    """Creates and removes what belongs to this portway."""

    def __init__(self, client: DockerClient, *, home_id: str) -> None:
        self._client = client
        self._home_id = home_id
        self._creating = asyncio.Lock()
        self._seen: set[str] = set()

    async def ensure(self, uses: Iterable[NetworkUse], *, stack: str) -> None:
        """Every network that is not external exists afterwards, once. One that was there is not looked for again.

        To find one Docker goes through all of them, and waits for every container that is just ending.
        """
        for use in uses:
            if use.external or use.name in self._seen:
                continue
            if not await self._exists(use.name):
                async with self._creating, turn(f"{self._home_id}/networks"):
                    if not await self._exists(use.name):
                        await self._create(use.name, stack=stack)
            self._seen.add(use.name)

    def look_again(self) -> None:
        """Somebody may have removed a network: the next start looks for its own."""
        self._seen.clear()

    async def remove_stack(self, stack: str) -> None:
        """Remove the stack's networks; endpoints of containers just removed may linger for a moment."""
        for network in await self._of_stack(stack):
            self._seen.discard(network.name)
            await self._remove(network)

    async def _exists(self, name: str) -> bool:
        return await self._inspect(name) is not None

    async def _inspect(self, name: str) -> Network | None:
        try:
            return msgspec.json.decode(
                await self._client.call("GET", f"networks/{segment(name)}"), type=Network
            )
        except DockerRefusal as refusal:
            if refusal.status == 404:
                return None
            raise

    async def _create(self, name: str, *, stack: str) -> None:
        body = network_body(name, home_id=self._home_id, stack=stack)
        try:
            await self._client.call("POST", "networks/create", body=body, timeout_s=SLOW_S)
        except DockerRefusal as refusal:
            if refusal.status != 409:  # somebody else was faster: the network is there
                raise
        # Docker checks for duplicates only "best effort": two that were made at once leave the older.
        twins = [network for network in await self._of_stack(stack) if network.name == name]
        await self._leave_one(sorted(twins, key=lambda network: (network.created, network.id)))

    async def _leave_one(self, twins: Sequence[Network]) -> None:
        """The oldest stays, except where another server already runs an instance on a younger one."""
        spare = len(twins) - 1
        for twin in (*twins[1:], *twins[:1]):
            if spare and await self._remove_unused(twin):
                spare -= 1

    async def _remove_unused(self, network: Network) -> bool:
        """Whether it is gone now: what an instance is attached to stays."""
        try:
            await self._client.call("DELETE", f"networks/{network.id}", timeout_s=SLOW_S)
        except DockerRefusal as refusal:
            if _in_use(refusal):
                return False
            if refusal.status != 404:
                raise explain(refusal, doing=_not_removed(network)) from refusal
        return True

    async def _of_stack(self, stack: str) -> tuple[Network, ...]:
        wanted = [f"{LABEL_HOME}={self._home_id}", f"{LABEL_STACK}={stack}"]
        filters = msgspec.json.encode({"label": wanted}).decode()
        answer = await self._client.call("GET", "networks", params={"filters": filters})
        return msgspec.json.decode(answer, type=tuple[Network, ...])

    async def _remove(self, network: Network) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + LINGER_S
        while True:
            try:
                await self._client.call("DELETE", f"networks/{network.id}", timeout_s=SLOW_S)
            except DockerRefusal as refusal:
                if refusal.status == 404:
                    return
                if not _in_use(refusal):
                    raise explain(refusal, doing=_not_removed(network)) from refusal
                if loop.time() >= deadline:
                    raise await self._held(network) from refusal
                await asyncio.sleep(0.1)
            else:
                return

    async def _held(self, network: Network) -> EngineError:
        found = await self._inspect(network.id)
        members = (found.containers if found else None) or {}
        names = ", ".join(sorted(member.name for member in members.values())) or "something"
        return EngineError(
            f"{_not_removed(network)}: {names} still uses it.",
            hint=f"Detach it with `docker network disconnect -f {network.name} NAME`, or remove it.",
        )


def _in_use(refusal: DockerRefusal) -> bool:
    return "active endpoints" in refusal.message


def _not_removed(network: Network) -> str:
    return f"The network {network.name} could not be removed"
