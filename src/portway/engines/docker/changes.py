"""Docker's events about our containers -> EngineChanges, for ever. Must survive every failure of the daemon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
import structlog

from portway.core.errors import EngineError
from portway.engines.base import EngineChange
from portway.engines.docker.api import DaemonEvent
from portway.engines.docker.client import DockerClient
from portway.engines.docker.command import LABEL_HOME, LABEL_INSTANCE
from portway.engines.docker.errors import DockerRefusal

BACK_OFF_MIN_S = 0.1
BACK_OFF_MAX_S = 5.0
SILENCES_MAX = (
    6  # then the stream is made anew: a connection can be cut without either end noticing
)

_ACTIONS = ("create", "start", "die", "oom", "pause", "unpause", "destroy", "health_status")

# The listing shows these before they are announced. To inspect a container waits until it has started, and
# while many start, each event would wait for the one before it.
_SEEN_AT_ONCE = ("create", "start")

log = structlog.get_logger(__name__)


async def read_changes(client: DockerClient, *, home_id: str) -> AsyncIterator[EngineChange]:
    """A change for each event, and EngineChange() whenever some may have been missed."""
    back_off_s = BACK_OFF_MIN_S
    while True:
        try:
            async for change in _connected(client, home_id=home_id):
                back_off_s = BACK_OFF_MIN_S
                yield change
        except (EngineError, DockerRefusal, ValueError, RecursionError) as error:
            log.warning("docker_events_cut", error=str(error), retry_in_s=back_off_s)
        await asyncio.sleep(back_off_s)
        back_off_s = min(back_off_s * 2, BACK_OFF_MAX_S)


async def _connected(client: DockerClient, *, home_id: str) -> AsyncIterator[EngineChange]:
    filters = {"type": ["container"], "label": [f"{LABEL_HOME}={home_id}"], "event": _ACTIONS}
    params = {
        "filters": msgspec.json.encode(filters).decode(),
        # The daemon begins to listen a moment after it answers: ask for that moment again.
        "since": str(int(time.time()) - 1),
    }
    async with client.stream("GET", "events", params=params) as bits:
        yield EngineChange()
        rest, silences = b"", 0
        async for bit in bits:
            silences = 0 if bit else silences + 1
            if silences >= SILENCES_MAX:
                return
            *lines, rest = (rest + bit).split(b"\n")
            for line in lines:
                if line.strip():
                    event = msgspec.json.decode(line, type=DaemonEvent)
                    if event.action not in _SEEN_AT_ONCE:
                        await _settled(client, event)
                    yield EngineChange(
                        instance_id=(event.actor.attributes or {}).get(LABEL_INSTANCE, "")
                    )


async def _settled(client: DockerClient, event: DaemonEvent) -> None:
    # The daemon announces an end before its listing shows it; an inspection waits for both to agree.
    with suppress(DockerRefusal):
        await client.call("GET", f"containers/{event.actor.id}/json")
