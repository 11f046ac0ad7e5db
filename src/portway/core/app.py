"""App: one scalable unit and its spec, exactly as the user asked for it. Never holds a decision of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from portway.core.constraints import Constraint as Constraint
from portway.core.constraints import ConstraintOperator as ConstraintOperator
from portway.core.rollout_spec import Backoff as Backoff
from portway.core.rollout_spec import Breaker as Breaker
from portway.core.rollout_spec import Rollout as Rollout
from portway.core.rollout_spec import Strategy as Strategy
from portway.core.rollout_spec import StrategyKind as StrategyKind
from portway.core.rollout_spec import Unreachable as Unreachable
from portway.core.virtual_host import JointPort as JointPort
from portway.core.virtual_host import VirtualHost as VirtualHost


class Protocol(StrEnum):
    """Transport of a port."""

    TCP = "tcp"
    UDP = "udp"


class Exposure(StrEnum):
    """Who may reach a port.

    PUBLIC: a listener of the balancer on the public address. INTERNAL: the stack's own apps, and a
    listener on the loopback address; never from outside. HOST: the engine publishes the host port
    as written and the balancer has no part in it (UDP, `convox.balancer=false`).
    """

    PUBLIC = "public"
    INTERNAL = "internal"
    HOST = "host"


class ListenerProtocol(StrEnum):
    """What the balancer speaks on a listener.

    AUTO looks at the first bytes: HTTP is handled as HTTP (forwarded headers, draining between
    requests), anything else as a TCP stream. TLS and HTTPS terminate TLS; inside is TCP or HTTP.
    """

    AUTO = "auto"
    HTTP = "http"
    HTTPS = "https"
    TCP = "tcp"
    TLS = "tls"


class Balance(StrEnum):
    """How the balancer picks an endpoint."""

    ROUND_ROBIN = "roundrobin"
    LEAST_CONNECTIONS = "leastconn"
    RANDOM = "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSpec:
    """How the balancer treats one port of an App."""

    protocol: ListenerProtocol = ListenerProtocol.AUTO
    proxy_protocol: bool = False  # send the PROXY protocol header (v1) to the instance
    secure: bool = False  # speak TLS to the instance
    balance: Balance = Balance.ROUND_ROBIN
    sticky: bool = False  # HTTP only: a cookie keeps a client on its instance
    idle_timeout_s: float = 3600.0
    slow_start_s: float = 0.0
    expects_http: bool = False  # AUTO only: a client that says nothing at first is waited for


@dataclass(frozen=True, slots=True, kw_only=True)
class PortSpec:
    """One port an App wants.

    `service_ports`: () = assigned by portway; one = every instance is behind it; several = a pool,
    slot n is served on the n-th. `host_port`: None = leased by portway from the node's range.
    `container_port` 0 = the same number as the host port. `address` narrows the listener.
    """

    name: str
    container_port: int
    protocol: Protocol = Protocol.TCP
    exposure: Exposure = Exposure.PUBLIC
    service_ports: tuple[int, ...] = ()
    host_port: int | None = None
    address: str | None = None
    listener: ListenerSpec = ListenerSpec()
    container: str = ""  # which of the instance's containers; "" = the first
    ephemeral: bool = False  # leased from the node's ephemeral range, in sequence (ECS)
    run: str = ""  # ports of one `run` get host ports in a row, in the order of the App's ports
    leased: bool = True  # False: no host port; it answers at the instance's own address only
    shuffled: bool = False  # its host port is looked for from anywhere in the range (Marathon)
    same_as: str = ""  # it has the host port of that port of the App, for the other protocol
    virtual: VirtualHost | None = (
        None  # it is behind the shared listeners too (marathon-lb's VHOST)
    )
    joint: JointPort | None = None  # it is behind a listener of several Apps too (blue-green)
    unserved: str = ""  # why the balancer has no part in it although it could; "" = it has


class CheckKind(StrEnum):
    """What a health check does. One built into the image counts besides, unless it is NONE."""

    NONE = "none"
    TCP = "tcp"
    HTTP = "http"
    HTTPS = "https"
    COMMAND = "command"
    TLS = "tls"  # that a handshake comes off, whatever is spoken then


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """When an instance counts as healthy.

    TCP/HTTP/HTTPS use the port named `port_name` (None: the App's first TCP port; without one the
    instance is healthy once it has run for `settle_s`). HTTP and HTTPS ask `method` `path` as `host`
    ("" = the address asked, which is never followed elsewhere) and pass on one of `statuses`. COMMAND
    runs `command` inside the instance; exit 0 passes. Nothing is asked for `delay_s`. Before the first
    pass it is tried every `start_interval_s`, and the instance counts as failing only after `delay_s`,
    `start_period_s` and `unhealthy_threshold` intervals.
    """

    kind: CheckKind = CheckKind.TCP
    port_name: str | None = None
    path: str = "/"
    method: str = "GET"
    host: str = ""
    statuses: tuple[tuple[int, int], ...] = ((200, 399),)  # first and last of each range
    command: tuple[str, ...] = ()
    interval_s: float = 5.0
    timeout_s: float = 3.0
    start_period_s: float = 30.0
    start_interval_s: float = 0.1
    healthy_threshold: int = 1
    first_threshold: int = 0  # passes until the first verdict; 0 = healthy_threshold
    unhealthy_threshold: int = 2
    settle_s: float = 1.0
    delay_s: float = 0.0
    lethal: bool = True  # False: failing it costs an instance its traffic, never its life


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits the engine enforces; None = none. `swap_bytes`: besides the memory, 0 = no swap."""

    memory_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    cpus: float | None = None
    cpu_shares: int | None = None
    pids: int | None = None
    swap_bytes: int | None = None
    swappiness: int | None = None  # 0 to 100


class VolumeKind(StrEnum):
    """Where a volume's bytes are."""

    BIND = "bind"
    NAMED = "volume"
    TMPFS = "tmpfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A path inside the instance and what is mounted there. `source`: host path, volume name, or "" (anonymous, tmpfs).

    `external`: `source` is the engine's own name for a volume that exists, not one of the stack's.
    `of_instance`: the instance's containers share it, nobody else has it, and it goes with the instance.
    `size_bytes` limits a tmpfs, `options` are its mount options. `driver` and `driver_options` make a named volume.
    """

    kind: VolumeKind
    source: str
    target: str
    read_only: bool = False
    external: bool = False
    size_bytes: int | None = None
    options: tuple[str, ...] = ()
    driver: str = ""
    driver_options: Mapping[str, str] = field(default_factory=dict)
    of_instance: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How an image is made. `context` is an absolute path on the machine that builds."""

    context: str
    dockerfile: str = "Dockerfile"
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""


class Restart(StrEnum):
    """What follows an instance's own exit: a replacement ALWAYS, ON_FAILURE (exit code not 0), or NEVER.

    A job that fails is tried again until its deployment fails. Where nothing can fail that (patient, and without a
    breaker), NEVER is meant to the letter: each slot runs once, however it ends (ECS RunTask).
    """

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "no"


class Condition(StrEnum):
    """What an App waits for in another (compose `depends_on`)."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """`name` is an App of the same stack. Not `required`: its absence is ignored."""

    name: str
    condition: Condition = Condition.STARTED
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Reach the App `name` of the same stack under `alias`, and be told its address (ALIAS_URL, ALIAS_HOST...)."""

    name: str
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network the instance joins besides the stack's own. `name` is the engine's name when `external`."""

    name: str
    aliases: tuple[str, ...] = ()
    external: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOptions:
    """What only a container engine understands. `log_driver` "" = json-file, rotated, unless the machine has another."""

    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    read_only: bool = False
    init: bool = False
    hostname: str = ""
    tty: bool = False
    shm_size_bytes: int | None = None
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # soft, hard
    sysctls: Mapping[str, str] = field(default_factory=dict)
    dns: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    group_add: tuple[str, ...] = ()
    interactive: bool = False  # its standard input stays open
    dns_search: tuple[str, ...] = ()
    log_driver: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)


class ContainerCondition(StrEnum):
    """What a container waits for in another one of its instance (ECS `dependsOn.condition`)."""

    START = "START"
    COMPLETE = "COMPLETE"
    SUCCESS = "SUCCESS"
    HEALTHY = "HEALTHY"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerDependency:
    """`name` is a container of the same instance."""

    name: str
    condition: ContainerCondition


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One more container of an instance, beside the one that the App's own fields describe. The fields it shares with App mean the same.

    `links` are (container, alias) of the same instance; `volumes_from` (container, read only). `health` is a COMMAND check
    or None. Its ports are those of the App whose `container` names it.
    """

    name: str
    image: str
    image_id: str = ""
    command: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # may be secret
    health: HealthCheck | None = None
    resources: Resources = Resources()
    volumes: tuple[Volume, ...] = ()
    volumes_from: tuple[tuple[str, bool], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    depends_on: tuple[ContainerDependency, ...] = ()
    essential: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    working_dir: str = ""
    stop_signal: str = "SIGTERM"
    stop_grace_s: float = 10.0
    start_timeout_s: float = 180.0
    container: ContainerOptions = ContainerOptions()


class NetworkMode(StrEnum):
    """Which network an instance is in.

    STACK: its stack's own, where Apps find each other by name. BRIDGE: the engine's default bridge; its containers
    see each other by links only. HOST: the node's; container_port and host_port are one. OWN: one address for the
    instance, shared by its containers (awsvpc, Marathon's container network). NONE: no network, no ports.
    """

    STACK = "stack"
    BRIDGE = "bridge"
    HOST = "host"
    OWN = "own"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetBinding:
    """Each instance is a target of the target group `group` (its id) while it runs.

    Its health there counts as the instance's, and it is out of there before it is stopped.
    """

    group: str
    container: str
    container_port: int


class SpreadKind(StrEnum):
    """One way of choosing among the nodes that an instance fits on (ECS placement strategies)."""

    SPREAD = "spread"
    BINPACK = "binpack"
    RANDOM = "random"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where instances may and should run. Constraints bind, strategies are best effort, in order.

    `strategies`: (kind, field); field is a node attribute, "instanceId", "cpu" or "memory". `members`: expressions of the
    cluster query language. `distinct`: no two instances on one node. `daemon`: one on every node. `node`: that one alone.
    `reserves`: what its Resources ask for is set aside on the node (a reservation before a limit), and it goes only
    where there is room; `cpu_units` (1/1024) and `memory_bytes` are set aside instead where they are given.
    `constraints` are Marathon's, about the instances of one revision.
    """

    strategies: tuple[tuple[SpreadKind, str], ...] = ()
    members: tuple[str, ...] = ()
    distinct: bool = False
    daemon: bool = False
    node: str = ""
    reserves: bool = False
    cpu_units: int = 0
    memory_bytes: int = 0
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """One scalable unit: what to run, how many, which ports, when it is healthy, how it is replaced.

    `id` is "stack/name". `command` is the argument vector; `command_text` the same as the user wrote
    it when it was one string (an engine without images runs it through `sh -c`). `count` is the
    number of instances the manifest asks for, None when it does not say (1, or what `scale` set).
    `start_shift` is added to its public listeners by `portway start` only.
    """

    id: str
    image: str | None = None
    image_id: str = (
        ""  # the immutable id `image` meant when the release was made; an engine runs this one
    )
    build: Build | None = None
    command: tuple[str, ...] | None = None
    command_text: str | None = None
    entrypoint: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)  # may be secret
    count: int | None = None
    ports: tuple[PortSpec, ...] = ()
    expose: tuple[int, ...] = ()
    health: HealthCheck = HealthCheck()
    readiness: HealthCheck | None = None  # failing it costs an instance its traffic, never its life
    rollout: Rollout = Rollout()
    resources: Resources = Resources()
    volumes: tuple[Volume, ...] = ()
    networks: tuple[Network, ...] = ()
    extra_hosts: tuple[tuple[str, str], ...] = ()
    links: tuple[Link, ...] = ()
    depends_on: tuple[Dependency, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    restart: Restart = Restart.ALWAYS
    user: str = ""
    working_dir: str = ""
    stop_signal: str = "SIGTERM"
    stop_grace_s: float = 10.0
    container: ContainerOptions = ContainerOptions()
    start_shift: int = 0
    container_name: str = ""  # what the first container is called among several
    essential: bool = True  # whether the first container's end is the instance's
    container_links: tuple[tuple[str, str], ...] = ()  # (container, alias) of the first container
    container_depends_on: tuple[ContainerDependency, ...] = ()  # of the first container
    volumes_from: tuple[tuple[str, bool], ...] = ()  # (container, read only) of the first container
    container_start_timeout_s: float = 180.0  # others wait so long for what they want of the first
    containers: tuple[Container, ...] = ()  # the others; all of an instance start and end together
    network_mode: NetworkMode = NetworkMode.STACK
    targets: tuple[TargetBinding, ...] = ()
    health_grace_s: float = 0.0  # after the start; failing checks end no instance so long
    placement: Placement = Placement()
    further_checks: tuple[HealthCheck, ...] = ()  # besides `health`; all of them must pass
    backoff: Backoff | None = None  # None: portway's own
    kill_oldest: bool = False  # of too many that serve, the oldest go instead of the highest slots
    unreachable: Unreachable | None = None  # None: replaced at once
    environment_form: str = ""  # what it is told: "" = as ever, "marathon", "marathon-pod"

    @property
    def name(self) -> str:
        """The last segment of the id."""
        return self.id.rpartition("/")[2]

    @property
    def names_image(self) -> bool:
        """Whether it runs from an image, one that is there or one to be built; otherwise it is a command."""
        return self.image is not None or self.build is not None

    @property
    def runs_once(self) -> bool:
        """Whether no instance is ever replaced."""
        rollout = self.rollout
        never = self.restart is Restart.NEVER
        return never and rollout.is_patient and not rollout.breaker.enabled

    @property
    def stack(self) -> str:
        """The id without its last segment."""
        return self.id.rpartition("/")[0]

    def fixed_host_port(self, spec: PortSpec) -> int | None:
        """The host port asked for by number; on the node's own network there is nothing between it and the container's."""
        if self.network_mode is NetworkMode.HOST and spec.container_port:
            return spec.container_port
        return spec.host_port

    @property
    def fixed_host_ports(self) -> tuple[int, ...]:
        """The host ports asked for by number, in the order of the App's ports."""
        numbers = (self.fixed_host_port(spec) for spec in self.ports)
        return tuple(number for number in numbers if number is not None)

    def port(self, name: str) -> PortSpec:
        """The port called `name`; KeyError when there is none."""
        for spec in self.ports:
            if spec.name == name:
                return spec
        raise KeyError(name)
