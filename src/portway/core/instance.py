"""Instance: one run of one revision of an App, and the phases it passes through.

    PLANNED ──> STARTED ──> READY ──> DRAINING ──> STOPPING ──> GONE
       └───────────┴──────────────────────┴────────────┴──────────┘   any later phase may follow directly

PLANNED: decided and its ports leased, nothing done yet. STARTED: the engine runs it. READY: it has been healthy
once, so it may be routed. DRAINING: no new connections. STOPPING: the balancer has let go of it.
GONE: it no longer exists and its ports may cool down. A phase never moves back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from portway.core.app import Protocol
from portway.core.ports import Lease


class Phase(IntEnum):
    """Where an instance is in its one life; ordered, and only ever grows."""

    PLANNED = 0
    STARTED = 1
    READY = 2
    DRAINING = 3
    STOPPING = 4
    GONE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceIdentity:
    """What an engine writes on what it runs (labels, process record), so that a new controller adopts it.

    `id` is "stack/app.slot.serial", for instance "httpd/web.1.7". `revision` names the App spec it runs,
    `release` the stack release that brought that spec. `leases` are its ports on the node.
    """

    id: str
    app_id: str
    slot: int
    serial: int
    revision: str
    release: str
    node: str
    leases: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRecord:
    """What portway decided about one instance; the store's truth. Times are Unix milliseconds."""

    identity: InstanceIdentity
    phase: Phase = Phase.PLANNED
    planned_at_ms: int
    started_at_ms: int | None = None
    ready_at_ms: int | None = None
    draining_at_ms: int | None = None
    stopping_at_ms: int | None = None
    gone_at_ms: int | None = None
    reason: str = ""  # why it left, as a sentence
    failed: bool = False  # it left on its own or never became healthy
    exit_code: int | None = None
    unreachable_since_ms: int | None = None  # its node is away, and it is waited for
    protected_until_ms: int | None = None  # until then neither fewer nor newer ones let it go

    @property
    def id(self) -> str:
        return self.identity.id


class EngineState(StrEnum):
    """What the engine says of an instance."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class PortBinding:
    """A host port as the engine really bound it."""

    container_port: int
    host_port: int
    protocol: Protocol = Protocol.TCP
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedContainer:
    """One container of an instance as its engine reports it. `name` "" where an instance is one unnamed container.

    `error`: why it could not start. `image_id` is the immutable id of what it runs; `address` is its own ("" = none).
    """

    name: str
    state: EngineState
    container_id: str = ""
    essential: bool = True
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    health: str = ""  # as engine_health
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    image: str = ""
    image_id: str = ""
    address: str = ""
    bindings: tuple[PortBinding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedInstance:
    """One instance as its engine reports it.

    `address` is where the balancer on the same machine reaches it (container address, or the
    address a process listens on); empty while unknown. `reaches_container`: at `address` the
    container_port answers, otherwise the leased host_port does. Of several containers: CREATED until all
    have been started, RUNNING while every essential one runs, then EXITED.
    """

    identity: InstanceIdentity
    state: EngineState
    address: str = ""
    reaches_container: bool = True
    exit_code: int | None = None
    oom_killed: bool = False
    error: str = ""
    started_at_ms: int | None = None
    engine_health: str = ""  # "", "starting", "healthy", "unhealthy": the image's own health check
    details: Mapping[str, str] = field(
        default_factory=dict
    )  # container id, pid ...: shown, never decided on
    containers: tuple[
        ObservedContainer, ...
    ] = ()  # in the order they start; () = the engine has none
    failed_container: str = ""  # of several, the one whose end ended the instance

    @property
    def id(self) -> str:
        return self.identity.id


def instance_id(app_id: str, *, slot: int, serial: int) -> str:
    """The deterministic name of an instance: "stack/app.slot.serial"."""
    return f"{app_id}.{slot}.{serial}"
