"""Histories that thousands of seeds once found, each as short as it can be told."""

from __future__ import annotations

from collections.abc import Sequence

from tests.simulation.histories import Step

# By the seed that found it: how long everything takes depends on that.
FOUND: dict[int, tuple[int, Sequence[Step]]] = {
    # The balancer cannot be read when a canary begins: who serves cannot be told, so nobody is idle.
    1816: (
        3,
        (
            Step("strategy", (0, 4, "canary", False, 1, "25%,50%", 1.0, 2, 0)),
            Step("wait", (1.0,)),
            Step("call", ("observe", "fail", 3, True)),
            Step("strategy", (0, 5, "canary", False, 1, "50%", 1.0, 4, 2)),
        ),
    ),
    1888: (
        1,
        (
            Step("strategy", (4, 5, "canary", True, 1, "10%,60%,90%", 15.0, 2, 2)),
            Step("wait", (20.0,)),
            Step("wait", (20.0,)),
            Step("strategy", (0, 4, "canary", False, 1, "50%", 5.0, 4, 1)),
            Step("call", ("observe", "fail", 2, True)),
            Step("wait", (8.0,)),
        ),
    ),
    # A canary takes over from a restart that has begun two of what it is to begin one of.
    4880: (
        3,
        (
            Step("deploy", (0, 2, 0, 2, 0, 0)),
            Step("wait", (3.0,)),
            Step("restart", (0, 7)),
            Step("strategy", (2, 5, "canary", True, 0, "10%,60%,90%", 0.0, 0, 2)),
        ),
    ),
    # A node is emptied that a canary runs on: its successor is beside it for a moment.
    1506: (
        3,
        (
            Step("deploy", (0, 0, 0, 2, 0, 0)),
            Step("wait", (20.0,)),
            Step("strategy", (1, 4, "canary", False, 0, "10%,60%,90%", 15.0, 0, 1)),
            Step("wait", (20.0,)),
            Step("mark", (1, True)),
        ),
    ),
    # An instance is called ill and replaced between two looks at whether all is quiet: that was no rest.
    7268: (
        3,
        (
            Step("deploy", (0, 0, 0, 1, 0, 0)),
            Step("wait", (0.05,)),
            Step("deploy", (1, 0, 1, 3, 4, 0)),
            Step("wait", (9.0,)),
            Step("sicken", (4,)),
            Step("deploy", (0, 0, 1, 1, 3, 0)),
            Step("sicken", (2,)),
            Step("wait", (0.3,)),
        ),
    ),
    # An instance recovers as its replacement comes up, and another one dies: one slot twice, another one empty.
    1662: (
        1,
        (
            Step("deploy", (0, 1, 0, 1, 0, 0)),
            Step("wait", (3.0,)),
            Step("wait", (3.0,)),
            Step("strategy", (0, 4, "canary", True, 1, "25%,50%", 5.0, 2, 0, 0)),
            Step("connections", (3, 2)),
            Step("wait", (8.0,)),
            Step("wait", (20.0,)),
            Step("delete", (0, 0)),
            Step("deploy", (1, 5, 4, 3, 3, 0)),
            Step("wait", (1.0,)),
            Step("put", (0, 0, 3, 0, False, 0)),
            Step("wait", (3.0,)),
            Step("lie", (3, False, 3, 0.0, False)),
            Step("wait", (3.0,)),
            Step("die", (4, 1)),
        ),
    ),
}
