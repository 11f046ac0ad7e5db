"""Seeded histories: the real planner among crashes, lost answers, deaths and new releases. A failure names its seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from portway.core.app import Strategy, StrategyKind
from portway.core.health import Health, HealthStatus
from portway.core.observed import StartFailure
from portway.core.plan import ApplyRoutes, StartInstance
from portway.core.ports import PortPool, PortRange
from portway.core.state import Deployment, DeploymentStatus
from portway.core.strategy import resumed, stepped
from tests.simulation import seeds, steps
from tests.simulation.histories import Step
from tests.simulation.mutations import a_pause_pauses_nothing, mutated
from tests.simulation.seeds import batches, name_of, run_batch
from tests.simulation.world import ROLLOUTS, World, revision

STEPS = 60
IMAGES = ("web", "web", "bad", "crash")
ROLLING = Strategy()
STRATEGIES = (
    ROLLING,
    ROLLING,
    Strategy(kind=StrategyKind.CANARY, canary_percents=(25, 50), bake_s=20.0),
    Strategy(kind=StrategyKind.CANARY, canary_percents=(10,), hold=True),
    Strategy(kind=StrategyKind.BLUE_GREEN, bake_s=5.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a history begins with, and what no shrinking takes from it."""

    rollout: str
    image: str
    count: int


def history(seed: int) -> tuple[Beginning, tuple[Step, ...]]:
    """The beginning and the steps of a seed; each step says all about itself, so that any of them can be left out."""
    dice = random.Random(f"planner {seed}")
    image = dice.choice(["web", "web", "web", "bad", "crash"])
    beginning = Beginning(
        rollout=dice.choice(list(ROLLOUTS)), image=image, count=dice.randint(0, 5)
    )
    made: list[Step] = []
    for _ in range(STEPS):
        made.append(Step("look", (dice.randrange(10**6),)))
        if dice.random() < 0.35:
            made.append(_disturbance(dice))
        made.append(Step("wait", (dice.choice([10, 100, 1000, 10_000]),)))
    return beginning, tuple(made)


def _disturbance(dice: random.Random) -> Step:
    nth = dice.randrange(12)
    return dice.choice(
        [
            Step("die", (nth, dice.choice([0, 1, 137]))),
            Step("sicken", (nth,)),
            Step("unready", (nth,)),
            Step("silence_engine"),
            Step("silence_balancer"),
            Step(
                "release",
                (dice.choice(IMAGES), dice.randint(0, 5), dice.randrange(len(STRATEGIES))),
            ),
            Step("open_connections", (nth, dice.randint(0, 5))),
            Step("restart_controller"),
            Step("vanish", (nth,)),
            Step("steal_port"),
            Step("pause"),
            Step("resume"),
        ]
    )


class History:
    """One life of the world."""

    def __init__(self, beginning: Beginning) -> None:
        self.rollout = ROLLOUTS[beginning.rollout]
        self.world = World()
        self.releases = 0
        self.do_release(beginning.image, beginning.count, 0)

    def go_through(self, some: Sequence[Step]) -> None:
        """One step after the other."""
        for step in some:
            # A deployment that supersedes another, or is disturbed, has no sound "before" to measure the minimum by.
            self.world.disturbed |= step.name not in ("look", "wait")
            getattr(self, f"do_{step.name}")(*step.arguments)

    def do_release(self, image: str, count: int, strategy: int) -> None:
        self.releases += 1
        self.world.disturbed = self.world.disturbed or self.releases > 1
        self.world.deploy(
            revision(f"R{self.releases}", image=image, rollout=self.rollout), count=count
        )
        self._change(self._deployment, strategy=STRATEGIES[strategy])

    @property
    def _deployment(self) -> Deployment:
        assert self.world.state.deployment is not None
        return self.world.state.deployment

    def _change(self, deployment: Deployment, **fields: object) -> None:
        changed = replace(deployment, **fields)  # type: ignore[arg-type]
        self.world.state = replace(self.world.state, deployment=changed)

    def _victim(self, nth: int) -> str | None:
        there = sorted(self.world.instances)
        return there[nth % len(there)] if there else None

    def do_wait(self, time_ms: int) -> None:
        self.world.now_ms += time_ms

    def do_die(self, nth: int, code: int) -> None:
        if victim := self._victim(nth):
            self.world.exit(victim, code)

    def do_sicken(self, nth: int) -> None:
        victim = self._victim(nth)
        if victim in self.world.ever_healthy:
            self.world.set_health(str(victim), HealthStatus.FAILING)

    def do_unready(self, nth: int) -> None:
        """It does not want traffic; said of it again, it does."""
        if (victim := self._victim(nth)) and self.world.readiness.pop(victim, None) is None:
            verdict = Health(status=HealthStatus.FAILING, failures=1, detail="it is busy")
            self.world.readiness[victim] = verdict

    def do_vanish(self, nth: int) -> None:
        if victim := self._victim(nth):
            self.world.instances.pop(victim)
            self.world.health.pop(victim, None)

    def do_silence_engine(self) -> None:
        self.world.engine_answers = not self.world.engine_answers

    def do_silence_balancer(self) -> None:
        self.world.balancer_answers = not self.world.balancer_answers

    def do_open_connections(self, nth: int, count: int) -> None:
        if victim := self._victim(nth):
            self.world.connections[victim] = count

    def do_steal_port(self) -> None:
        for record in self.world.state.live:
            if record.id not in self.world.instances:
                self.world.start_failures[record.id] = StartFailure(
                    at_ms=self.world.now_ms, reason="the port is taken", port_taken=True
                )

    def do_restart_controller(self) -> None:
        """All that is not stored is forgotten; the pools come back from the store."""
        world = self.world
        world.health.clear()
        world.applied = None
        pool = PortPool(PortRange(first=31000, last=31999), hold_down_ms=5000)
        pool.restore((lease, "shop/web") for r in world.state.live for lease in r.identity.leases)
        world.host_pool = pool

    def do_pause(self) -> None:
        deployment = self._deployment
        if deployment.status is DeploymentStatus.RUNNING and deployment.paused_at_ms is None:
            self._change(deployment, paused_at_ms=self.world.now_ms)

    def do_resume(self) -> None:
        """A paused one goes on; else one that holds at a step."""
        deployment, now_ms = self._deployment, self.world.now_ms
        if deployment.status is not DeploymentStatus.RUNNING:
            return
        if deployment.paused_at_ms is not None:
            self._change(resumed(deployment, now_ms=now_ms))
        elif deployment.strategy.hold and deployment.baking_since_ms is not None:
            self._change(stepped(deployment, now_ms=now_ms))

    def do_look(self, seed: int) -> None:
        """A look of which only some actions are carried out; the rest is lost with the controller."""
        dice, world, before = random.Random(seed), self.world, self.world.state
        plan = world.plan()
        if dice.random() < 0.2:
            return  # crashed before the decisions were saved
        world.save(plan)
        running = {i for i, one in world.instances.items() if one.state.value == "running"}
        failing = {i for i, h in world.health.items() if h.status is HealthStatus.FAILING}
        out = failing | {i for i, h in world.readiness.items() if h.status is HealthStatus.FAILING}
        steps.a_pause_moves_nothing(before, plan.state, sound=running - failing, failing=failing)
        steps.no_step_starts_more_than_its_own(before, plan.state, failing=failing)
        since_ms = before.deployment.baking_since_ms if before.deployment else None
        steps.a_step_takes_its_time(
            before, plan.state, told=False, now_ms=world.now_ms, since_ms=since_ms
        )
        steps.an_ended_deployment_goes_back(before, plan.state)
        for action in plan.actions:
            if isinstance(action, ApplyRoutes):
                steps.a_canary_gets_its_share(plan.state, action.routes, out=out)
                steps.a_blue_green_switches_at_once(plan.state, action.routes, out=out)
            if dice.random() < 0.7:
                world.perform(action)
                if isinstance(action, StartInstance) and dice.random() < 0.1:
                    world.perform(action)  # the answer was lost and it is done twice
                world.check()
        world.check_health()

    def settle(self) -> None:
        """No more faults: everything answers, nobody is connected, and whatever waits for a word gets it."""
        world = self.world
        world.engine_answers = world.balancer_answers = True
        world.connections.clear()
        world.start_failures.clear()
        world.readiness.clear()
        for instance_id in list(world.health):
            if world.health[instance_id].status is HealthStatus.FAILING:
                world.health.pop(instance_id)
        for _ in range(60):
            self.do_resume()
            if self._deployment.status is not DeploymentStatus.RUNNING:
                break
            world.run(until_ms=60_000)
            world.now_ms += 10_000  # a check comes whatever the planner waits for
            world.check_health()
        world.run(until_ms=3_600_000)


def live(beginning: Beginning, some: Sequence[Step], log: list[str]) -> None:
    """The whole history, and what must have become of it. `log`: what is said meanwhile."""
    life = History(beginning)
    life.world.log = log
    life.go_through(some)
    life.settle()
    state = life.world.state
    assert state.deployment is not None, "the deployment is forgotten"
    assert state.target is not None, "the target is forgotten"
    rollout = state.target.app.rollout
    if rollout.is_patient and not rollout.breaker.enabled and state.target.app.image != "web":
        assert len(state.live) <= 2 * max(state.count, 5), "it piles up"
        return
    assert state.deployment.status is not DeploymentStatus.RUNNING, "the deployment never ends"
    if not state.halted and state.target.app.image == "web":
        assert len(life.world.serving()) == state.count, "not as many serve as were asked for"
        assert {r.identity.revision for r in state.live} <= {state.target.id}, "an old one runs"
        slots = sorted(r.identity.slot for r in state.live)
        assert len(slots) == len(set(slots)), f"a slot is filled twice: {slots}"


def broken(beginning: Beginning, some: Sequence[Step], log: list[str] | None = None) -> str:
    """What the history breaks; "" when nothing."""
    try:
        live(beginning, some, [] if log is None else log)
    except AssertionError as error:
        return str(error) or "an assertion"
    return ""


def check(seed: int) -> str | None:
    beginning, made = history(seed)
    why = broken(beginning, made)
    if not why:
        return None

    def fails(some: Sequence[Step]) -> bool:
        return _kind(broken(beginning, some)) == _kind(why)

    short = seeds.shrink(made, fails)
    log: list[str] = []
    again = broken(beginning, short, log)
    return seeds.report(seed, again, whole=len(made), steps=(beginning, *short), trace=log)


def _kind(why: str) -> str:
    return why.partition(":")[0].partition("\n")[0]


def test_a_failure_says_its_seed_and_the_fewest_steps_that_show_it() -> None:
    with mutated(a_pause_pauses_nothing()):
        said = next(filter(None, map(check, range(seeds.DEFAULT))))
    assert said.splitlines()[0].startswith("seed ")
    assert f"of commit {seeds.commit()}" in said
    assert "a_pause_moves_nothing" in said
    assert said.count("\n  pause") == 1
    assert "again: make sim SEED=" in said


@pytest.mark.parametrize("batch", batches(), ids=name_of)
def test_safety_holds_at_every_step_and_the_world_converges_once_faults_stop(batch: range):
    run_batch(batch, check)
