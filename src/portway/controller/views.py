"""What operations take and answer: plain values, ready to be written as JSON. No secret is ever in one (but EnvView)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from portway.core.ownership import Change, Holding
from portway.core.placement import NodeUse, NodeView
from portway.core.receipt import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    """A manifest to plan or to make a release of.

    `variables` fill ${...}; `files` are the env_files it names, by path as written; `images` the
    images built for its Apps, by App name; `directory` is where relative paths begin.
    """

    manifest: str
    manifest_name: str = "docker-compose.yml"
    directory: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    description: str = ""
    build_ms: int = 0  # what building and pulling the images took, for the receipt
    pull_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseView:
    """One release. `active`: it is the one promoted last.

    `status`: how its last deployment ended: done, failed, cancelled, superseded; or running; "" before the first.
    """

    id: str
    stack: str
    created_at_ms: int
    active: bool
    apps: tuple[str, ...]
    description: str = ""
    status: str = ""
    manifest_name: str = ""
    manifest: str = ""  # only in `release info`
    receipts: tuple[Receipt, ...] = ()  # of its deployments, oldest first; only in `release info`
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyRequest:
    """How to deploy, instead of what the manifest says; what is left out stays as it says.

    `strategy`: rolling, canary or blue-green. `canary`: its steps, "5%,25%,50%". `bake_s`: how long each
    step is observed. `hold`: each step waits for `resume` instead. `max_failed`: so many more requests may
    fail than of the old release, "5%".
    """

    strategy: str = ""
    canary: str = ""
    bake_s: float | None = None
    hold: bool = False
    max_failed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentView:
    """The progress of one App's deployment. `status`: running, done, failed, cancelled.

    `stage` is what the step is doing: starting, baking, holding, or "" when there are no steps (left).
    `step_wanted`: how many new instances the step has. `bake_ends_at_ms`: until when it is observed.
    """

    id: str
    app: str
    release: str
    status: str
    reason: str
    desired: int
    started: int  # instances of the new revision that exist
    healthy: int  # those of them that are routed or ready
    old: int  # instances of other revisions still there
    started_at_ms: int
    ended_at_ms: int | None = None
    strategy: str = "rolling"
    step: int = 0  # the present one, from 1; 0 when there are none
    steps: int = 0
    step_wanted: int = 0
    stage: str = ""
    bake_ends_at_ms: int | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionView:
    """A promote, rollback, scale or restart that has begun: what to watch. `sequence`: events after it belong to it."""

    stack: str
    release: str
    deployments: tuple[DeploymentView, ...]
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sequence: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One node, and what is set aside on it."""

    node: NodeView
    used: NodeUse


@dataclass(frozen=True, slots=True, kw_only=True)
class PortView:
    """One port of an App or instance, all three numbers spelled out; 0 = does not apply or not yet known."""

    name: str
    container_port: int
    host_port: int = 0
    service_port: int = 0
    protocol: str = "tcp"
    exposure: str = "public"
    address: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerView:
    """One of several containers of an instance, as the engine says it is. `health` is that of its own check."""

    name: str
    container: str
    image: str
    state: str
    essential: bool
    health: str = ""
    exit_code: int | None = None
    started_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """One instance. `id` is unique in its stack: "web.1.7" is App web, slot 1, serial 7."""

    id: str
    stack: str
    app: str
    slot: int
    release: str
    node: str
    phase: str
    health: str  # healthy, unhealthy, not ready (well, but wants no traffic), waiting
    health_detail: str
    ports: tuple[PortView, ...]
    command: str
    planned_at_ms: int
    started_at_ms: int | None
    reason: str = ""
    unchecked: str = ""  # why its checks cannot be made now; then the verdict before stands
    details: Mapping[str, str] = field(default_factory=dict)
    containers: tuple[ContainerView, ...] = ()  # where it has several


@dataclass(frozen=True, slots=True, kw_only=True)
class AppView:
    """One App of a stack."""

    name: str
    count: int
    running: int
    healthy: int
    release: str
    image: str
    status: str  # running, deploying, paused, stopped, failed, completed, blocked, crash looping
    blocked: str
    ports: tuple[PortView, ...]
    deployment: DeploymentView | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StackView:
    """One stack. `urls` are its public listeners as a person would type them.

    `loose`: its Apps change one at a time, so each has a release and the whole has none.
    """

    name: str
    status: str  # new, deploying, paused, running, degraded, failed
    release: str
    created_at_ms: int
    apps: tuple[AppView, ...]
    urls: tuple[str, ...]
    loose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MapEndpoint:
    """One instance behind a route: "127.0.0.1:31004 -> web.1:80"."""

    instance: str  # web.1.7
    slot_name: str  # web.1
    host_address: str
    host_port: int
    container_port: int
    target_address: str  # where the balancer really connects
    target_port: int
    state: str  # ready, draining, stopping, starting, unhealthy, not ready, not routed; of a target as its group says
    connections: int = 0
    target: str = ""  # of a target group: its id, a machine or an address
    reason: str = ""  # why a target is not healthy, in its group's words


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRoute:
    """One listener and what is behind it. `url` is how a person reaches it from this machine.

    Of a load balancer, each rule of a listener with each target group it leads to: `rule` is its priority or "default",
    `when` its conditions, `weight` where it divides between several groups. `app` is the only one behind the group.
    """

    stack: str
    app: str
    port_name: str
    exposure: str
    protocol: str
    address: str
    service_port: int
    url: str
    tls: bool
    endpoints: tuple[MapEndpoint, ...]
    note: str = ""
    load_balancer: str = ""
    dns_name: str = ""
    rule: str = ""
    when: str = ""
    target_group: str = ""
    weight: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PortHistory:
    """Who had a port number, as a host port or a listener. `held`: at `at_ms`; `changes`: the newest, oldest first."""

    number: int
    at_ms: int
    held: tuple[Holding, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChange:
    """What a deploy would do to one App. `action`: create, replace, scale, unchanged, remove, blocked."""

    app: str
    action: str
    why: str
    count: int
    ports: tuple[PortView, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """What a deploy would do; nothing has been done. `refused`: why it would be refused at this moment."""

    stack: str
    changes: tuple[PlanChange, ...]
    warnings: tuple[str, ...] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvView:
    """A stack's variables; the one answer that shows them. `release`: the release a change made."""

    stack: str
    environment: Mapping[str, str]
    release: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """A certificate on a listener, without its key."""

    name: str
    target: str  # web:8443
    stack: str
    domains: tuple[str, ...]
    expires_at_ms: int
    fingerprint: str
    self_signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLine:
    """One request that the balancer served, as the access log keeps it. `time` is when it ended.

    `path` is without its query. `ending` is HAProxy's termination state; `failure` says it in words, "" when it went well.
    """

    time: str
    stack: str
    app: str
    instance: str
    protocol: str  # http or tcp
    request_id: str
    client: str
    method: str
    path: str
    status: int
    bytes_in: int
    bytes_out: int
    queue_ms: int | None
    connect_ms: int | None
    response_ms: float | None
    total_ms: float
    retries: int
    ending: str
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerView:
    """The server itself. `unread_since_ms`: since when the engine or the balancer cannot be read, if one cannot."""

    version: str
    pid: int
    home: str
    engine: str
    listen: str
    public_address: str
    store: str
    balancer: str
    balancer_pid: int
    balancer_reloads: int
    balancer_restarts: int
    host_ports: str
    host_ports_leased: int
    started_at_ms: int
    problems: tuple[str, ...] = ()
    aws_region: str = ""
    unread_since_ms: Mapping[str, int] = field(default_factory=dict)
