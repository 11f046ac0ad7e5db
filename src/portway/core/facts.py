"""What is known about whatever somebody asks "why" about, and what is concluded from it. Records; core.diagnosis concludes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from portway.core.app import PortSpec, Protocol
from portway.core.balancing.targets import TargetHealth
from portway.core.health import Health
from portway.core.instance import InstanceRecord, ObservedInstance
from portway.core.observed import StartFailure
from portway.core.routes import RouteKey, ServedRoute
from portway.core.state import AppState


class Verdict(StrEnum):
    """OK. BROKEN: here is the fault. HELD: not well, but because of a later hop. UNKNOWN: could not be looked at."""

    OK = "ok"
    BROKEN = "broken"
    HELD = "held"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One step of the way from a name to an answer. `text` is a sentence without its full stop, `fix` what to do."""

    name: str
    verdict: Verdict
    text: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The walk, and the first broken hop of it in one sentence with its `fix`; `verdict` is OK or BROKEN."""

    subject: str
    verdict: Verdict
    sentence: str
    fix: str = ""
    hops: tuple[Hop, ...] = ()


class Reached(StrEnum):
    """How a TCP connection went. BLOCKED: this machine's own firewall refused to send it."""

    CONNECTED = "connected"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCertificate:
    """A certificate as the other end showed it."""

    names: tuple[str, ...]
    expires_at_ms: int
    self_signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What asking an address gave. `speaks`: "http", "https", "tls", "other", or "" where it said nothing.

    `status` is that of the first HTTP answer, `took_ms` the time until it.
    """

    reached: Reached
    speaks: str = ""
    status: int | None = None
    took_ms: int = 0
    detail: str = ""
    certificate: SeenCertificate | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Listening:
    """One socket that listens."""

    port_number: int
    address: str
    protocol: Protocol = Protocol.TCP


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """One running instance: where traffic is sent, what is open there, and what came back.

    `is_container`: it has a loopback address of its own. `host_ports` are its leases, which it is told
    as $PORT and may mistake for what to listen on. `listeners` None: they could not be seen.
    `rule` is the firewall rule that drops what is sent there, "" when none was found. `expects`: what is
    spoken to it, "http", "https" or "" for whatever its clients speak. `label_number`: N of its portway.port.N labels.
    """

    name: str
    address: str
    port_number: int
    is_container: bool
    host_ports: tuple[int, ...] = ()
    listeners: tuple[Listening, ...] | None = None
    answer: Answer | None = None
    is_frozen: bool = False
    rule: str = ""
    expects: str = ""
    label_number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """One instance. `last_lines` are of its log."""

    record: InstanceRecord
    seen: ObservedInstance | None = None
    health: Health = Health()
    readiness: Health | None = None  # None: its App has no check for it, or it was not asked yet
    inside: Inside | None = None
    start_failure: StartFailure | None = None
    last_lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """A certificate on a listener, without its key."""

    domains: tuple[str, ...]
    expires_at_ms: int
    self_signed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerFacts:
    """One listener of an App.

    `where` is how people write it, `url` how they reach it from here. `served` None: the balancer does not
    have it. `holder` is whoever has the port when it is not the balancer. `answer` None: it was not asked.
    """

    key: RouteKey
    spec: PortSpec
    where: str
    url: str
    served: ServedRoute | None = None
    error: str = ""
    error_fix: str = ""
    holder: str = ""
    certificates: tuple[CertificateFacts, ...] = ()
    answer: Answer | None = None

    @property
    def terminates_tls(self) -> bool:
        """Whether clients speak TLS to it."""
        return self.spec.listener.protocol in ("https", "tls") or bool(self.certificates)


@dataclass(frozen=True, slots=True, kw_only=True)
class WayFacts:
    """One rule of a load balancer's listener that leads to a target group. `rule`: "rule 10 (path /x)" or "the default action"."""

    balancer: str
    group: str
    url: str
    where: str
    rule: str
    weight: int = 1
    is_served: bool = True
    error: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """An instance as a target. `told`: how its group calls it, "i-0123:32768"."""

    instance_id: str
    told: str
    health: TargetHealth


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """A target group that an App is bound to. `check`: what it asks its targets, as a phrase. `answer` is of the first way's URL."""

    name: str
    check: str = ""
    exists: bool = True
    ways: tuple[WayFacts, ...] = ()
    targets: tuple[TargetFacts, ...] = ()
    answer: Answer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFacts:
    """The targets behind a listener that was asked about. `barred`: the rule the load balancer lacks to reach them."""

    check: str = ""
    targets: tuple[tuple[str, TargetHealth], ...] = ()
    barred: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFacts:
    """An App and everything between its name and its answer.

    `problems` are portway's own, by part. `instance`: the id asked for, "" = the App as a whole.
    """

    subject: str
    state: AppState
    now_ms: int
    deleting: bool = False
    problems: Mapping[str, str] = field(default_factory=dict)
    balancer: str = "the balancer"
    blocked: tuple[str, ...] = ()
    waiting_for: str = ""
    listeners: tuple[ListenerFacts, ...] = ()
    instances: tuple[InstanceFacts, ...] = ()
    instance: str = ""
    barred: tuple[str, ...] = ()  # rules that load balancers lack to reach its instances
    groups: tuple[GroupFacts, ...] = ()

    @property
    def name(self) -> str:
        """The App's name without its stack."""
        return self.state.app_id.rpartition("/")[2]

    @property
    def stack(self) -> str:
        """The stack it belongs to."""
        return self.state.app_id.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Somebody who listens on the port asked about."""

    listening: Listening
    holder: str
    is_balancer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OurPort:
    """What portway has at that port number: `what` completes "it is ..."; a listener is the balancer's to hold."""

    what: str
    is_listener: bool = False
    is_internal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressFacts:
    """An address or URL that was asked about.

    `scheme` "" for a bare address. `addresses` are those the host means, () = none. `is_local`: all traffic
    to it ends on this machine. `ours`: what portway has there; `app` how that App fares.
    """

    subject: str
    host: str
    port_number: int
    now_ms: int
    scheme: str = ""
    path: str = ""
    addresses: tuple[str, ...] = ()
    is_local: bool = True
    bound: tuple[Bound, ...] = ()
    ours: OurPort | None = None
    answer: Answer | None = None
    app: Diagnosis | None = None
    unheard: str = ""  # what a load balancer of that address has instead of a listener there
