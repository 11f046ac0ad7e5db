"""Histories: the steps one seed makes.

Every step says all about itself (victims by number, not by name), so that a history without some of its steps is a
history too: that is how a failing one is made short.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from portway.core.app import (
    App,
    Backoff,
    Breaker,
    Constraint,
    ConstraintOperator,
    Exposure,
    HealthCheck,
    Placement,
    PortSpec,
    Resources,
    Rollout,
    Unreachable,
)
from tests.simulation.machine import IMAGES

STACKS = ("blog", "shop")
ROLLOUTS = ("", "100 100", "50 100", "0 100", "50 150")
WORKERS = (
    5  # beside web: nothing, a worker, another one, a fixed port; or a check of web's readiness
)
READINESS = 4
LOOSE = "cluster"
LOOSE_APPS = 2
LOOSE_KINDS = 3  # as compose has it; as ECS; as ECS, with what is asked for set aside
MARATHON = 3  # as Marathon: back-off, constraints, dynamic ports, several checks, lost nodes
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens: an order, a fault, time."""

    name: str
    arguments: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return " ".join([self.name, *map(str, self.arguments)])


def history(seed: int) -> tuple[int, tuple[Step, ...]]:
    """(nodes, steps) of a seed."""
    dice = random.Random(f"history {seed}")
    nodes = dice.choice([1, 1, 3])
    steps: list[Step] = [Step("deploy", (0, dice.choice([0, 1, 2]), 0, dice.randint(1, 3), 0, 0))]
    for _ in range(dice.randint(6, 14)):
        order = _order(dice)
        steps.append(order)
        if dice.random() < 0.7:
            steps.append(_fault(dice, nodes))
        steps.append(_time(dice))
        if dice.random() < 0.2:
            steps.append(Step("crash", (dice.randint(0, 25), dice.random() < 0.3)))
            steps.append(_time(dice))
        if order.name in ("pause", "strategy") and dice.random() < 0.6:
            # What stands still refuses nearly all else: mostly somebody says how it goes on.
            steps.append(
                Step(dice.choice(["resume", "resume", "cancel", "pause"]), (_stack_of(order), 0))
            )
            steps.append(_time(dice))
    return nodes, tuple(_with_loose_ones(seed, nodes, steps))


def _with_loose_ones(seed: int, nodes: int, steps: list[Step]) -> list[Step]:
    """Every other history has a loose stack beside the others, whose apps are put and taken away in between."""
    dice, others = random.Random(f"loose {seed}"), random.Random(f"marathon {seed}")
    if dice.random() < 0.5:
        return steps
    for _ in range(dice.randint(2, 7)):
        patience = dice.choice([0, 0, 0, dice.randint(1, 8)])
        nth = dice.randrange(LOOSE_APPS)
        image = dice.choices(range(len(IMAGES)), [6, 5, 5, 2, 1, 1, 1])[0]
        count, kind = dice.randint(0, 4), dice.randrange(LOOSE_KINDS)
        kind = MARATHON if others.random() < 0.25 else kind
        order = dice.choices(
            [
                Step("put", (nth, image, count, kind, dice.random() < 0.2, patience)),
                Step("take away", (nth, patience)),
                Step("resize", (nth, count, patience)),
                Step("mark", (dice.randrange(nodes), nodes > 1, patience)),
            ],
            [8, 1, 2, 1],
        )[0]
        steps.insert(dice.randint(1, len(steps)), order)
    return steps


def _stack_of(order: Step) -> int:
    return order.arguments[4] if order.name == "strategy" else order.arguments[0]


def _time(dice: random.Random) -> Step:
    if dice.random() < 0.5:
        return Step("turns", (dice.randint(0, 60),))
    return Step("wait", (dice.choice([0.05, 0.3, 1.0, 3.0, 8.0, 20.0]),))


def _order(dice: random.Random) -> Step:
    stack, patience = dice.randrange(len(STACKS)), dice.choice([0, 0, 0, 0, dice.randint(1, 8)])
    name = dice.choices(
        [
            "deploy",
            "strategy",
            "scale",
            "restart",
            "rollback",
            "cancel",
            "pause",
            "resume",
            "delete",
            "env",
            "stop",
        ],
        [6, 5, 3, 2, 2, 2, 2, 1, 1, 1, 2],
    )[0]
    match name:
        case "deploy":
            image = dice.choices(range(len(IMAGES)), [6, 4, 4, 2, 1, 2, 2])[0]
            worker = dice.randrange(WORKERS)
            count, rollout = dice.randint(1, 4), dice.randrange(len(ROLLOUTS))
            return Step("deploy", (stack, image, worker, count, rollout, patience))
        case "strategy":
            return _strategy(dice, stack, patience)
        case "scale":
            return Step("scale", (stack, dice.randint(0, 5), patience))
        case "stop":
            return Step("stop", (stack, dice.randrange(4), patience))
        case "env":
            return Step("env", (stack, dice.randrange(3), patience))
        case _:
            return Step(name, (stack, patience))


def _strategy(dice: random.Random, stack: int, patience: int) -> Step:
    """A deploy by steps; now and then on a fixed port, which refuses a second set."""
    image = dice.choices(range(len(IMAGES)), [6, 5, 5, 2, 1, 1, 1])[0]
    kind, hold = dice.choice(["canary", "canary", "blue-green"]), dice.random() < 0.3
    canary = dice.choice(["", "50%", "25%,50%", "10%,60%,90%"]) if kind == "canary" else ""
    worker = dice.choices(range(WORKERS), [4, 1, 1, 1, 6])[0]
    bake_s, rollout = dice.choice([0.0, 1.0, 5.0, 15.0]), dice.randrange(len(ROLLOUTS))
    count = dice.randint(1, 5)
    return Step(
        "strategy", (image, count, kind, hold, stack, canary, bake_s, worker, rollout, patience)
    )


def _fault(dice: random.Random, nodes: int) -> Step:
    made: dict[str, Callable[[], Step]] = {
        "call": lambda: _call_fault(dice),
        "die": lambda: Step("die", (dice.randrange(8), dice.choice([0, 1, 137]))),
        "sicken": lambda: Step("sicken", (dice.randrange(8),)),
        "lie": lambda: _lie(dice),
        "unready": lambda: Step("unready", (dice.randrange(8), dice.choice([0, 0, 1500, 7000]))),
        "connections": lambda: Step("connections", (dice.randrange(8), dice.randint(1, 3))),
        "steal": lambda: Step("steal", (dice.randrange(24), dice.randint(1, 6))),
        "claim": lambda: Step("claim", (dice.randrange(24),)),
        "block": lambda: Step("block", (dice.randrange(2),)),
        "unblock": lambda: Step("unblock"),
        "silence": lambda: Step("silence", (dice.random() < 0.7,)),
        "clock": lambda: Step("clock", (dice.choice([-HOUR_MS, -1000, 1000, HOUR_MS]),)),
        "lose node": lambda: Step("lose node", (dice.randrange(nodes),)),
        "regain nodes": lambda: Step("regain nodes"),
    }
    weights = [10, 3, 2, 4, 4, 2, 2, 1, 1, 1, 1, 2, *([2, 2] if nodes > 1 else [0.5, 2])]
    return made[dice.choices(list(made), weights)[0]]()


def _call_fault(dice: random.Random) -> Step:
    operation = dice.choice(
        ["start", "stop", "remove", "list", "nodes", "apply", "observe", "save", "save"]
    )
    kinds = ["fail", "lose", "slow"] if operation == "save" else ["fail", "fail", "lose", "slow"]
    if operation in ("start", "stop", "remove", "apply"):
        kinds += ["twice", "hang"]
    if operation == "list":
        kinds += ["stale", "stale", "empty", "hang"]
    kind = dice.choice(kinds)
    times = 1 if kind in ("hang", "stale", "empty", "lose") else dice.randint(1, 3)
    return Step("call", (operation, kind, times, dice.random() < 0.85))


def _lie(dice: random.Random) -> Step:
    passed = dice.choice([False, False, True, None])
    times, takes_s = dice.randint(1, 4), dice.choice([0.0, 2.5])
    return Step("lie", (dice.randrange(8), passed, times, takes_s, dice.random() < 0.3))


def loose_app(nth: int, image: int, kind: int) -> App:
    """One app of the loose stack. The second has its listener's number fixed."""
    patient = Rollout(
        progress_deadline_s=0.0,
        strict_bounds=True,
        minimum_percent=50,
        maximum_percent=200,  # with less, one instance could never be replaced by the letter
        drain_timeout_s=20.0,
        breaker=Breaker(reset=True),
    )
    listeners = (8300 + nth,) if nth else ()
    app = App(
        id=f"{LOOSE}/app{nth}",
        image=IMAGES[image],
        ports=(PortSpec(name="80", container_port=80, service_ports=listeners),),
        health=HealthCheck(interval_s=2.0, start_period_s=4.0),
        rollout=patient if kind else Rollout(drain_timeout_s=20.0),
        resources=Resources(memory_bytes=64 << 20, cpu_shares=128),
        placement=Placement(reserves=True) if kind == 2 else Placement(),
    )
    return _as_marathon(app) if kind == MARATHON else app


def _as_marathon(app: App) -> App:
    """The same app with all that Marathon does otherwise; it has a breaker, or what cannot run would be tried for ever."""
    (web,) = app.ports
    own = PortSpec(name="own", container_port=0, shuffled=True, exposure=Exposure.HOST)
    most = Constraint(field="hostname", operator=ConstraintOperator.MAX_PER, value="5")
    patient = Rollout(progress_deadline_s=0.0, drain_timeout_s=20.0, breaker=Breaker(reset=True))
    return replace(
        app,
        ports=(replace(web, shuffled=True), own),
        rollout=patient,
        placement=Placement(constraints=(most,)),
        further_checks=(app.health,),
        backoff=Backoff(first_s=0.5, factor=2.0, maximum_s=8.0),
        kill_oldest=True,
        unreachable=Unreachable(inactive_after_s=3.0, expunge_after_s=5.0),
    )


def manifest(stack: int, image: int, worker: int, count: int, rollout: int) -> str:
    """The compose file of one deploy."""
    first = 8000 + 100 * stack
    low, high = (ROLLOUTS[rollout] or "100 200").split()
    health = "    healthcheck: {interval: 2s, start_period: 4s}\n"
    quick = "      - portway.draining.timeout=20\n"
    text = (
        f"services:\n  web:\n    image: {IMAGES[image]}\n    ports: ['{first}:80', '5000']\n"
        f"    scale: {count}\n{health}    labels:\n{quick}"
    )
    if rollout:
        text += (
            f"      - convox.deployment.minimum={low}\n      - convox.deployment.maximum={high}\n"
        )
    if worker == READINESS:
        text += (
            "      - portway.readiness.path=/ready\n      - portway.readiness.interval=1\n"
            "      - portway.readiness.threshold.unhealthy=1\n"
        )
    if worker in (1, 2):
        text += (
            f"  worker:\n    image: web:{worker}\n    depends_on: [web]\n    links: ['web:front']\n"
        )
    if worker == 3:
        text += f"  dns:\n    image: web\n    ports: ['{5300 + stack}:53/udp']\n"
    return text
