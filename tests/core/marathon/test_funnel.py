"""Why nodes do not take an instance, in the words of the launch queue."""

from __future__ import annotations

import pytest

from portway.core.app import Constraint, ConstraintOperator, Placement, Resources
from portway.core.marathon.funnel import Reason, Summary, node_reasons, reason_of, reject_summary
from portway.core.placement import Ground, Misfit, NodeView
from portway.core.plan import Blocked
from tests.simulation.world import app


def test_the_funnel_narrows_by_what_each_reason_declined() -> None:
    found = reject_summary([Reason.CPUS, Reason.CONSTRAINT, Reason.CONSTRAINT, None])
    assert [s.reason for s in found] == list(Reason)
    narrowing = [(s.declined, s.processed) for s in found if s.reason is not Reason.SCARCE]
    assert narrowing[:5] == [(0, 4), (2, 4), (0, 2), (0, 2), (1, 2)]
    assert found[-1] == Summary(reason=Reason.SCARCE, declined=0, processed=1)


def test_nothing_looked_at_is_a_funnel_of_zeros() -> None:
    assert {(s.declined, s.processed) for s in reject_summary([])} == {(0, 0)}


@pytest.mark.parametrize("code", [Misfit.THROTTLED, Misfit.DELAYED, Misfit.BOUNDS, "", "x"])
def test_what_is_about_no_node_is_no_reason(code: str) -> None:
    assert reason_of(code) is None


def test_every_node_has_the_reason_it_does_not_take_one_more() -> None:
    constraint = Constraint(field="rack", operator=ConstraintOperator.IS, value="r1")
    spec = app(
        placement=Placement(reserves=True, constraints=(constraint,)),
        resources=Resources(cpus=1.0, memory_bytes=1 << 30),
    )
    rack = {"rack": "r1"}
    nodes = (
        NodeView(name="fits", address="a", attributes=rack, cpu_units=4096, memory_bytes=4 << 30),
        NodeView(name="away", address="a", attributes=rack, available=False),
        NodeView(name="small", address="a", attributes=rack, cpu_units=512, memory_bytes=4 << 30),
        NodeView(name="full", address="a", attributes=rack, cpu_units=4096, memory_bytes=1 << 20),
        NodeView(name="elsewhere", address="a", cpu_units=4096, memory_bytes=4 << 30),
    )
    ground = Ground(nodes=nodes, mine={}, load={})
    rest = (Reason.MAINTENANCE, Reason.CPUS, Reason.MEMORY, Reason.CONSTRAINT)
    assert node_reasons(spec, ground) == (None, *rest)
    blocked = (Blocked(app_id="shop/web", reason="8080 is leased", code=Misfit.PORTS),)
    assert node_reasons(spec, ground, blocked) == (Reason.PORTS, *rest)
