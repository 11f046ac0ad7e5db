"""Seeded histories: the real planner among crashes, lost answers, deaths and new releases. A failure names its seed."""

from __future__ import annotations

import random

import pytest

from portway.core.health import HealthStatus
from portway.core.observed import StartFailure
from portway.core.plan import StartInstance
from portway.core.ports import PortPool, PortRange
from portway.core.state import DeploymentStatus
from tests.simulation.seeds import batches, commit, name_of, run_batch
from tests.simulation.world import ROLLOUTS, World, revision

STEPS = 60


class History:
    """One run of the world under one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rollout = self.random.choice(list(ROLLOUTS.values()))
        self.world = World()
        self.releases = 0
        self.release(self.random.choice(["web", "web", "web", "bad", "crash"]))

    def release(self, image: str) -> None:
        self.releases += 1
        name = f"R{self.releases}"
        # A deployment that supersedes another has no sound "before" to measure the minimum by.
        self.world.disturbed = self.world.disturbed or self.releases > 1
        self.world.deploy(
            revision(name, image=image, rollout=self.rollout), count=self.random.randint(0, 5)
        )

    def disturb(self) -> None:
        """One thing the world may do to us."""
        fault = self.random.choice(
            [
                self.die,
                self.sicken,
                self.silence_engine,
                self.silence_balancer,
                self.deploy_again,
                self.open_connections,
                self.restart_controller,
                self.vanish,
                self.steal_port,
            ]
        )
        self.world.disturbed = True
        fault()

    def _some_instance(self) -> str | None:
        return self.random.choice(sorted(self.world.instances)) if self.world.instances else None

    def die(self) -> None:
        if victim := self._some_instance():
            self.world.exit(victim, self.random.choice([0, 1, 137]))

    def sicken(self) -> None:
        victim = self._some_instance()
        if victim in self.world.ever_healthy:
            self.world.set_health(str(victim), HealthStatus.FAILING)

    def vanish(self) -> None:
        if victim := self._some_instance():
            self.world.instances.pop(victim)
            self.world.health.pop(victim, None)

    def silence_engine(self) -> None:
        self.world.engine_answers = not self.world.engine_answers

    def silence_balancer(self) -> None:
        self.world.balancer_answers = not self.world.balancer_answers

    def deploy_again(self) -> None:
        self.release(self.random.choice(["web", "web", "bad", "crash"]))

    def open_connections(self) -> None:
        if victim := self._some_instance():
            self.world.connections[victim] = self.random.randint(0, 5)

    def steal_port(self) -> None:
        for record in self.world.state.live:
            if record.id not in self.world.instances:
                self.world.start_failures[record.id] = StartFailure(
                    at_ms=self.world.now_ms, reason="the port is taken", port_taken=True
                )

    def restart_controller(self) -> None:
        """All that is not stored is forgotten; the pools come back from the store."""
        world = self.world
        world.health.clear()
        world.applied = None
        pool = PortPool(PortRange(first=31000, last=31999), hold_down_ms=5000)
        pool.restore((lease, "shop/web") for r in world.state.live for lease in r.identity.leases)
        world.host_pool = pool

    def partial_step(self) -> None:
        """A step of which only some actions are carried out; the rest is lost with the controller."""
        plan = self.world.plan()
        if self.random.random() < 0.2:
            return  # crashed before the decisions were saved
        self.world.save(plan)
        for action in plan.actions:
            if self.random.random() < 0.7:
                self.world.perform(action)
                if isinstance(action, StartInstance) and self.random.random() < 0.1:
                    self.world.perform(action)  # the answer was lost and it is done twice
                self.world.check()

    def settle(self) -> None:
        """No more faults: everything answers, nobody is connected."""
        world = self.world
        world.engine_answers = world.balancer_answers = True
        world.connections.clear()
        world.start_failures.clear()
        for instance_id in list(world.health):
            if world.health[instance_id].status is HealthStatus.FAILING:
                world.health.pop(instance_id)
        world.run(until_ms=3_600_000)


@pytest.mark.parametrize("batch", batches(), ids=name_of)
def test_safety_holds_at_every_step_and_the_world_converges_once_faults_stop(batch: range):
    run_batch(batch, check)


def check(seed: int) -> str | None:
    try:
        live(seed)
    except AssertionError as error:
        return f"planner, seed {seed} of commit {commit()}: {error}\nagain: make sim SEED={seed}"
    return None


def live(seed: int) -> None:
    history = History(seed)
    for _ in range(STEPS):
        history.partial_step()
        history.world.check_health()
        if history.random.random() < 0.3:
            history.disturb()
        history.world.now_ms += history.random.choice([10, 100, 1000, 10_000])
    history.settle()
    world = history.world
    deployment = world.state.deployment
    assert deployment is not None
    assert deployment.status is not DeploymentStatus.RUNNING
    target = world.state.target
    assert target is not None
    if not world.state.halted and target.app.image == "web":
        assert len(world.serving()) == world.state.count
        assert {r.identity.revision for r in world.state.live} <= {target.id}
