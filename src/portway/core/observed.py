"""Observed: what the world looks like to one App at one moment. Read back, never assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from portway.core.app import Protocol
from portway.core.health import Health
from portway.core.instance import InstanceRecord, ObservedInstance
from portway.core.placement import NodeUse, NodeView, drained_among
from portway.core.ports import Holder
from portway.core.routes import Route, RouteKey, ServedPool, ServedRoute

UNSEEN = "the engine does not answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFailure:
    """The engine would not start an instance. `retry_at_ms` None: trying again cannot help."""

    at_ms: int
    reason: str
    port_taken: bool = False
    retry_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The world around one App.

    `instances` and `served` are None when they could not be read: then nothing is concluded from
    them. `applied` are the routes the balancer last confirmed for this App. `last_words` are the
    last log lines of instances that ended or fail, `explanations` what was found out about those that
    do not become healthy. `waiting_for` is an unmet dependency, as a sentence.
    """

    instances: Mapping[str, ObservedInstance] | None
    served: Mapping[RouteKey, ServedRoute] | None
    unseen: str = UNSEEN  # why, where `instances` is None
    applied: tuple[Route, ...] | None = None
    health: Mapping[str, Health] = field(default_factory=dict)
    readiness: Mapping[str, Health] = field(default_factory=dict)  # where an App has a check for it
    nodes: tuple[NodeView, ...] = ()
    emptied: frozenset[str] | None = None  # those of `nodes` that are drained; None: see there
    node_load: Mapping[str, int] = field(default_factory=dict)
    node_use: Mapping[str, NodeUse] = field(default_factory=dict)  # what is set aside, by node
    node_groups: Mapping[str, frozenset[str]] = field(
        default_factory=dict
    )  # what runs by node, where the App asks for it
    occupied: Mapping[tuple[Protocol, int], Holder] = field(default_factory=dict)
    certificates: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    start_failures: Mapping[str, StartFailure] = field(default_factory=dict)
    last_words: Mapping[str, str] = field(default_factory=dict)
    explanations: Mapping[str, str] = field(default_factory=dict)
    underway: frozenset[str] = (
        frozenset()
    )  # instances being started or stopped: absence proves nothing
    waiting_for: str = ""
    route_error: str = ""  # why the balancer refused a listener of this App, "" when it did not
    pooled: Mapping[str, tuple[tuple[RouteKey, ServedPool], ...]] = field(
        default_factory=dict
    )  # by target group in use: its pools as they are served
    drain_timeout_s: float | None = None  # of its target groups, over the App's own
    reaches_containers: bool = True
    publish_address: str = "127.0.0.1"


def emptied_nodes(observed: Observed) -> frozenset[str]:
    """The nodes that are being drained."""
    return drained_among(observed.nodes) if observed.emptied is None else observed.emptied


def is_away(observed: Observed, record: InstanceRecord) -> bool:
    """Whether the node of an instance is away: listed as such, or not at all while others are."""
    nodes = observed.nodes
    return bool(nodes) and not any(
        node.name == record.identity.node and node.available for node in nodes
    )
