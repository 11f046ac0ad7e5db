"""What Docker says of a container -> ObservedInstance. Pure; decides nothing."""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from portway.core.errors import EngineError
from portway.core.instance import EngineState, InstanceIdentity, ObservedInstance
from portway.engines.docker.api import Container, ContainerSummary
from portway.engines.docker.command import LABEL_INSTANCE, identity_from_labels
from portway.engines.docker.errors import tidy
from portway.engines.docker.names import container_name, network_name

_STATES = {
    "created": EngineState.CREATED,
    "running": EngineState.RUNNING,
    "paused": EngineState.RUNNING,
    "restarting": EngineState.RUNNING,
    "exited": EngineState.EXITED,
    "dead": EngineState.EXITED,
    "removing": EngineState.EXITED,
}
_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")
_EXIT_CODE = re.compile(r"\((\d+)\)")
_NEVER = "0001-01-01"


def is_instance(summary: ContainerSummary, *, home_id: str) -> bool:
    """Whether the container is an instance, and not something made from an image that inherited its labels."""
    instance_id = (summary.labels or {}).get(LABEL_INSTANCE, "")
    return f"/{container_name(home_id, instance_id)}" in summary.names


def final_key(summary: ContainerSummary) -> tuple[str, str, str]:
    """While this stays the same, an inspection of the container says nothing new."""
    code = _EXIT_CODE.search(summary.status)
    return (summary.id, summary.state, code[1] if code else "")


def identity_of(summary: ContainerSummary) -> InstanceIdentity:
    """The identity on its labels; a listing that cannot read one must not go on without it."""
    try:
        return identity_from_labels(summary.labels or {})
    except msgspec.DecodeError as error:
        name = summary.names[0].lstrip("/") if summary.names else summary.id[:12]
        raise EngineError(
            f"The container {name} carries portway's labels, but who it is cannot be read from them.",
            hint=f"It was not made by this version of portway; remove it with `docker rm -f {name}`.",
            retryable=True,
        ) from error


def observed(summary: ContainerSummary, inspected: Container, *, home_id: str) -> ObservedInstance:
    """The instance as its container shows it; an address only while it runs."""
    identity = identity_of(summary)
    state = _STATES.get(summary.state, EngineState.EXITED)
    stack = identity.app_id.rpartition("/")[0]
    health = _HEALTH.search(summary.status)
    ended = state is EngineState.EXITED
    return ObservedInstance(
        identity=identity,
        state=state,
        address=_address(summary, network_name(home_id, stack))
        if state is EngineState.RUNNING
        else "",
        exit_code=inspected.state.exit_code if ended else None,
        oom_killed=inspected.state.oom_killed,
        error=tidy(inspected.state.error),
        started_at_ms=unix_ms(inspected.state.started_at),
        engine_health=health[1] if health and state is EngineState.RUNNING else "",
        details=_details(summary, inspected, running=state is EngineState.RUNNING),
    )


def _details(summary: ContainerSummary, inspected: Container, *, running: bool) -> dict[str, str]:
    details = {"container": summary.id[:12], "image": summary.image}
    if running and inspected.state.pid:
        details["pid"] = str(inspected.state.pid)
    return details


def unix_ms(text: str) -> int | None:
    """Docker's timestamps (RFC 3339, nanoseconds) as Unix milliseconds; None for its "never"."""
    if not text or text.startswith(_NEVER):
        return None
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _address(summary: ContainerSummary, network: str) -> str:
    networks = (summary.network_settings.networks if summary.network_settings else None) or {}
    endpoint = networks.get(network)
    return endpoint.ip_address if endpoint else ""
