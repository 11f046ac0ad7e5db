"""A simulated world around the real planner: one App, a fake engine and balancer, an integer clock.

Every step checks the invariants of the design. Nothing here sleeps or opens anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from portway.core.app import App, Breaker, HealthCheck, PortSpec, Rollout
from portway.core.capacity import capacity
from portway.core.health import Health, HealthStatus
from portway.core.instance import EngineState, ObservedInstance, Phase
from portway.core.observed import Observed, StartFailure
from portway.core.placement import NodeView
from portway.core.plan import ApplyRoutes, Plan, RemoveInstance, StartInstance, StopInstance
from portway.core.ports import PortPool, PortRange
from portway.core.reconcile import reconcile
from portway.core.routes import Endpoint, EndpointState, Route, ServedEndpoint, ServedRoute
from portway.core.state import AppState, Deployment, DeploymentStatus, Revision

APP_ID = "shop/web"
MAX_STEPS = 3000


def app(**fields: object) -> App:
    """An App with one public port, which every field may be changed of."""
    ports = (PortSpec(name="80", container_port=8080, service_ports=(80,)),)
    return replace(App(id=APP_ID, image="web", ports=ports), **fields)  # type: ignore[arg-type]


def revision(name: str, **fields: object) -> Revision:
    """A revision of that App; `bad` images never get healthy, `crash` ones exit."""
    return Revision(id=name, release=name, app=app(**fields))


@dataclass
class World:
    """The App's state beside what engine and balancer hold."""

    state: AppState = field(default_factory=lambda: AppState(app_id=APP_ID, target=None))
    now_ms: int = 1_000_000
    instances: dict[str, ObservedInstance] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    applied: tuple[Route, ...] | None = None
    health: dict[str, Health] = field(default_factory=dict)
    readiness: dict[str, Health] = field(default_factory=dict)
    connections: dict[str, int] = field(default_factory=dict)
    start_failures: dict[str, StartFailure] = field(default_factory=dict)
    nodes: tuple[NodeView, ...] = (NodeView(name="local", address="127.0.0.1"),)
    engine_answers: bool = True
    balancer_answers: bool = True
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.host_pool = PortPool(PortRange(first=31000, last=31999), hold_down_ms=5000)
        self.service_pool = PortPool(PortRange(first=10000, last=20000), hold_down_ms=5000)
        self.ever_healthy: set[str] = set()
        self.phases: dict[str, Phase] = {}

    def deploy(self, target: Revision, *, count: int = 2) -> None:
        """What operations.promote would save."""
        before = self.state
        deployment = Deployment(
            id=f"D{target.id}",
            release=target.release,
            to_revision=target.id,
            from_revision=before.target.id if before.target and not before.halted else None,
            from_count=before.count if before.target else None,
            started_at_ms=self.now_ms,
            progressed_at_ms=self.now_ms,
        )
        revisions = {**before.revisions, target.id: target}
        self.state = replace(
            before,
            target=target,
            count=count,
            revisions=revisions,
            deployment=deployment,
            failures=(),
            halted="",
        )

    def observed(self) -> Observed:
        return Observed(
            instances=dict(self.instances) if self.engine_answers else None,
            served=self._served() if self.balancer_answers else None,
            applied=self.applied,
            health=dict(self.health),
            readiness=dict(self.readiness),
            nodes=self.nodes,
            start_failures=dict(self.start_failures),
        )

    def _served(self) -> dict:  # type: ignore[type-arg]
        return {
            r.key: ServedRoute(
                key=r.key,
                owner=r.owner,
                port_name=r.port_name,
                endpoints=tuple(self._served_endpoint(e) for e in r.endpoints),
            )
            for r in self.routes
        }

    def _served_endpoint(self, endpoint: Endpoint) -> ServedEndpoint:
        return ServedEndpoint(
            instance_id=endpoint.instance_id,
            address=endpoint.address,
            port_number=endpoint.port_number,
            state=endpoint.state,
            connections=self.connections.get(endpoint.instance_id, 0),
        )

    def plan(self) -> Plan:
        """One reconcile, with invariants 7 and 8 checked on the way."""
        arguments = {
            "host_pool": self.host_pool,
            "service_pool": self.service_pool,
            "now_ms": self.now_ms,
        }
        observed = self.observed()
        plan = reconcile(self.state, observed, **arguments)
        again = reconcile(self.state, observed, **arguments)
        assert plan == again, "planning twice gives the same plan"
        return plan

    def save(self, plan: Plan) -> None:
        """Keep the decisions; leases are taken and freed with them."""
        self._check_forward(plan.state)
        self.state = plan.state
        self.host_pool.take([x for x in plan.taken if x.node != "balancer"], APP_ID)
        self.service_pool.take([x for x in plan.taken if x.node == "balancer"], APP_ID)
        self.host_pool.free([x for x in plan.freed if x.node != "balancer"], now_ms=self.now_ms)
        self.log.extend(event.message for event in plan.events)
        self.check()

    def step(self) -> Plan:
        """Plan, save, act; the whole of it succeeds."""
        plan = self.plan()
        self.save(plan)
        for action in plan.actions:
            self.perform(action)
            self.check()
        return plan

    def perform(self, action: object) -> None:
        """Carry out one action at once."""
        match action:
            case StartInstance():
                self._start(action)
            case StopInstance():
                routed = {e.instance_id for r in self.routes for e in r.endpoints}
                assert action.instance_id not in routed, "nothing is stopped while routed"
                self.exit(action.instance_id, 0)
            case RemoveInstance():
                self.instances.pop(action.instance_id, None)
                self.health.pop(action.instance_id, None)
            case ApplyRoutes():
                self.routes = self.applied = action.routes
            case _:
                raise AssertionError(action)

    def _start(self, action: StartInstance) -> None:
        identity = action.identity
        if identity.id in self.instances:
            return
        crash = action.revision.app.image == "crash"
        self.instances[identity.id] = ObservedInstance(
            identity=identity,
            state=EngineState.EXITED if crash else EngineState.RUNNING,
            exit_code=1 if crash else None,
            address=f"172.18.0.{identity.serial % 250 + 2}",
            started_at_ms=self.now_ms,
        )

    def exit(self, instance_id: str, code: int) -> None:
        """The instance ends."""
        seen = self.instances.get(instance_id)
        if seen is not None and seen.state is EngineState.RUNNING:
            self.instances[instance_id] = replace(seen, state=EngineState.EXITED, exit_code=code)
        self.health.pop(instance_id, None)
        self.connections.pop(instance_id, None)

    def check_health(self) -> None:
        """Every running instance is asked; those of a `bad` image fail once their time is up."""
        for seen in self.instances.values():
            if seen.state is not EngineState.RUNNING or seen.id in self.health:
                continue
            image = self.state.revisions[seen.identity.revision].app.image
            if image != "bad":
                self.set_health(seen.id, HealthStatus.PASSING)
            elif self.now_ms - (seen.started_at_ms or 0) > 40_000:
                self.set_health(seen.id, HealthStatus.FAILING)

    def set_health(self, instance_id: str, status: HealthStatus) -> None:
        """The judge's verdict from now on."""
        self.health[instance_id] = Health(status=status, detail=f"it is {status.value}")
        if status is HealthStatus.PASSING:
            self.ever_healthy.add(instance_id)

    def run(self, *, until_ms: int = 600_000) -> None:
        """Steps and time until nothing is left to do."""
        end_ms = self.now_ms + until_ms
        for _ in range(MAX_STEPS):
            before = (self.state, dict(self.instances), self.routes, dict(self.health))
            plan = self.step()
            self.check_health()
            if before != (self.state, dict(self.instances), self.routes, self.health):
                continue
            if plan.wake_at_ms is None or self.now_ms >= end_ms:
                woken = plan.wake_at_ms is not None or not self._hurries()
                assert woken, "a deployment that has a deadline is never looked at again"
                return
            # Checks come back every few seconds, whatever the planner waits for.
            self.now_ms = min(max(plan.wake_at_ms, self.now_ms + 1), self.now_ms + 5000, end_ms)
        raise AssertionError(f"it does not come to rest: {self.log[-10:]}")

    def _hurries(self) -> bool:
        """Whether a deployment is to end in time, and waits for nobody's word."""
        target, deployment = self.state.target, self.state.deployment
        if target is None or deployment is None or target.app.rollout.is_patient:
            return False
        if deployment.status is not DeploymentStatus.RUNNING or deployment.paused_at_ms is not None:
            return False
        return not (deployment.strategy.hold and deployment.baking_since_ms is not None)

    def check(self) -> None:
        """The invariants of the design that hold at every moment."""
        self._check_leases()
        self._check_capacity()
        for route in self.routes:
            for endpoint in route.endpoints:
                assert endpoint.instance_id in self.ever_healthy, "routed and never healthy"

    def _check_leases(self) -> None:
        held = [
            (lease.node, lease.protocol, lease.host_port)
            for record in self.state.live
            for lease in record.identity.leases
        ]
        assert len(held) == len(set(held)), "two live leases share a port"

    def _check_capacity(self) -> None:
        target, deployment = self.state.target, self.state.deployment
        if target is None or deployment is None or deployment.from_revision is None:
            return
        if deployment.status is not DeploymentStatus.RUNNING or self.disturbed:
            return
        if deployment.from_count != self.state.count:
            return
        bounds = capacity(self.state.count, target.app.rollout)
        assert len(self.state.live) <= bounds.maximum_live, "more live than the maximum"
        assert len(self.serving()) >= bounds.minimum_healthy, "fewer serving than the minimum"

    disturbed: bool = False

    def serving(self) -> set[str]:
        """The instances that get traffic and answer it."""
        return {
            e.instance_id
            for r in self.routes
            for e in r.endpoints
            if e.state is EndpointState.READY
            and e.instance_id in self.instances
            and self.instances[e.instance_id].state is EngineState.RUNNING
        }

    def _check_forward(self, after: AppState) -> None:
        for record in after.instances:
            assert record.phase >= self.phases.get(record.id, Phase.PLANNED), "a phase moved back"
            self.phases[record.id] = record.phase


ROLLOUTS = {
    "start first": Rollout(),
    "stop first": Rollout(minimum_percent=0, maximum_percent=100),
    "half at a time": Rollout(minimum_percent=50, maximum_percent=100),
    "one more than needed": Rollout(minimum_percent=100, maximum_percent=100),
    "room for half more": Rollout(minimum_percent=50, maximum_percent=150),
    "for ever": Rollout(
        progress_deadline_s=0.0, strict_bounds=True, breaker=Breaker(enabled=False, reset=True)
    ),
    "to the letter": Rollout(
        minimum_percent=0,
        maximum_percent=100,
        progress_deadline_s=0.0,
        strict_bounds=True,
        breaker=Breaker(rollback=False, reset=True),
    ),
}
QUICK = HealthCheck(start_period_s=1.0)
