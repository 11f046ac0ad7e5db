"""One container of the daemon: made, started, signalled, removed; every call may be repeated. Knows no instance."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

import msgspec

from portway.engines.docker.api import Container
from portway.engines.docker.client import QUICK_S, SLOW_S, DockerClient
from portway.engines.docker.command import LABEL_IDENTITY, ContainerSpec, connect_body
from portway.engines.docker.errors import DockerRefusal
from portway.engines.docker.networks import Networks

SOON_S = 0.3  # what takes longer to end when it is asked to holds up nobody else
KILLED_S = 5.0  # nor what takes longer when it is killed
ATTEMPTS = 5
_NAME_PAUSE_MIN_S = 0.02
_NAME_PAUSE_MAX_S = 6.0


class Containers:
    """The containers of one daemon by their names. At most `at_once` are ended at a time."""

    def __init__(self, client: DockerClient, networks: Networks, *, at_once: int) -> None:
        self._client = client
        self._networks = networks
        self._ending = asyncio.Semaphore(at_once)

    async def run(self, spec: ContainerSpec, *, stack: str) -> None:
        """Create and start it, or go on where an earlier call stopped; what cannot be started is removed again."""
        for attempt in range(ATTEMPTS):
            await self._networks.ensure(spec.networks, stack=stack)
            if not await self._create(spec):
                return
            try:
                await self._connect(spec)
                await self.start(spec.name)
            except DockerRefusal as refusal:
                self._networks.look_again()
                if await self._runs_all_the_same(spec.name):
                    return
                if attempt + 1 == ATTEMPTS or not is_worth_another_try(refusal, spec):
                    raise
            else:
                return

    async def create(self, spec: ContainerSpec, *, stack: str) -> None:
        """Make it with its networks and start nothing; one that is there and has run stays as it is."""
        await self._networks.ensure(spec.networks, stack=stack)
        if await self._create(spec):
            await self._connect(spec)

    def forget_networks(self) -> None:
        """Somebody may have removed one: the next start looks for its own."""
        self._networks.look_again()

    async def start(self, name: str) -> None:
        """Start it; one that runs stays as it is."""
        await self._client.call("POST", f"containers/{name}/start", timeout_s=SLOW_S)

    async def inspect(self, name: str) -> Container | None:
        """What the daemon says of it; None when there is none of that name."""
        try:
            answer = await self._client.call("GET", f"containers/{name}/json")
        except DockerRefusal as refusal:
            if refusal.status == 404:
                return None
            raise
        return msgspec.json.decode(answer, type=Container)

    async def stop(self, name: str, *, signal: str, grace_s: float) -> Container | None:
        """Signal, wait up to `grace_s`, kill; what is there of it afterwards. One that never ran is removed."""
        soon_s = min(grace_s, SOON_S)
        ended = await self._told(name, signal, soon_s)
        ended = ended or await self._ended_within(name, grace_s - soon_s)
        if not ended and not await self._told(name, "SIGKILL", KILLED_S):
            await self._ended_within(name, SLOW_S)
        container = await self.inspect(name)
        if container is not None and container.state.status == "created":
            await self.remove(name)
            return None
        return container

    async def remove(self, name: str) -> None:
        """Delete it and its anonymous volumes, killing it when it still runs."""
        async with self._ending:
            await self._remove(name)

    async def _runs_all_the_same(self, name: str) -> bool:
        """Another server's start of the same instance succeeded; else what could not start is removed."""
        params = {"v": "1"}  # without force: a container that runs stays
        try:
            await self._client.call("DELETE", f"containers/{name}", params=params, timeout_s=SLOW_S)
        except DockerRefusal as refusal:
            if "running container" in refusal.message:
                return True
            if refusal.status == 409:  # somebody else is removing it
                await self._gone(name)
            elif refusal.status != 404:
                raise
        return False

    async def _create(self, spec: ContainerSpec) -> bool:
        """Whether the container is there and has yet to be started."""
        pause_s = _NAME_PAUSE_MIN_S
        while True:
            try:
                await self._client.call(
                    "POST",
                    "containers/create",
                    params={"name": spec.name},
                    body=spec.body,
                    timeout_s=SLOW_S,
                )
            except DockerRefusal as refusal:
                if refusal.status != 409 or pause_s > _NAME_PAUSE_MAX_S:
                    raise
                adopted = await self._adopt(spec)
                if adopted is not None:
                    return adopted
            else:
                return True
            # A name is taken a moment before its container can be seen, and a moment after it cannot.
            await asyncio.sleep(pause_s)
            pause_s *= 2

    async def _adopt(self, spec: ContainerSpec) -> bool | None:
        """Whether the container of that name has yet to be started; None when the name is free now."""
        found = await self.inspect(spec.name)
        if found is None:
            return None
        if found.state.status in ("removing", "dead"):
            await self._remove(spec.name)
            return None
        if found.state.status != "created":
            return False
        if (found.config.labels or {}).get(LABEL_IDENTITY) != spec.labels[LABEL_IDENTITY]:
            await self._remove(spec.name)  # never ran, and was meant for other ports
            return None
        return True

    async def _connect(self, spec: ContainerSpec) -> None:
        for use in spec.networks[1:]:
            try:
                await self._client.call(
                    "POST",
                    f"networks/{use.name}/connect",
                    body=connect_body(spec.name, use),
                    timeout_s=SLOW_S,
                )
            except DockerRefusal as refusal:
                if "already exists in network" not in refusal.message:
                    raise

    async def _told(self, name: str, signal: str, timeout_s: float) -> bool:
        """Signal it in its turn; whether it has ended within the time, or had before."""
        async with self._ending:
            if not await self._signal(name, signal):
                return True
            ended = await self._ended_within(name, timeout_s)
            if ended:
                await self.inspect(name)  # answers once its network is taken apart
            return ended

    async def _signal(self, name: str, signal: str) -> bool:
        """Whether there was anything to signal."""
        try:
            await self._client.call(
                "POST", f"containers/{name}/kill", params={"signal": signal}, timeout_s=SLOW_S
            )
        except DockerRefusal as refusal:
            if "is paused" in refusal.message:
                await self._client.call("POST", f"containers/{name}/unpause")
                return await self._signal(name, signal)
            if refusal.status == 404 or "is not running" in refusal.message:
                return False
            raise
        return True

    async def _ended_within(self, name: str, timeout_s: float) -> bool:
        if timeout_s <= 0:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                await self._client.call(
                    "POST", f"containers/{name}/wait", timeout_s=timeout_s + QUICK_S
                )
        except TimeoutError:
            return False
        except DockerRefusal as refusal:
            if refusal.status != 404:
                raise
        return True

    async def _remove(self, name: str) -> None:
        params = {"force": "1", "v": "1"}
        try:
            await self._client.call("DELETE", f"containers/{name}", params=params, timeout_s=SLOW_S)
        except DockerRefusal as refusal:
            if refusal.status == 409:  # somebody else is removing it
                await self._gone(name)
            elif refusal.status != 404:
                raise

    async def _gone(self, name: str) -> None:
        params = {"condition": "removed"}
        with suppress(DockerRefusal):
            await self._client.call(
                "POST", f"containers/{name}/wait", params=params, timeout_s=SLOW_S
            )


def is_worth_another_try(refusal: DockerRefusal, spec: ContainerSpec) -> bool:
    """Another server took the container away, or the network went, or was there twice, since it was looked for."""
    if re.search("marked for removal|No such container", refusal.message):
        return True
    ours = (use.name for use in spec.networks if not use.external)
    unsettled = re.search("not found|is ambiguous", refusal.message)
    return bool(unsettled) and any(name in refusal.message for name in ours)
