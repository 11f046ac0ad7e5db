"""Marathon's constraints: where one more instance may go, given where the others are."""

from __future__ import annotations

import time

import pytest

from portway.core.app import Constraint, ConstraintOperator, Placement
from portway.core.constraints import field_value, refusal_of
from portway.core.placement import Ground, Misfit, NodeView, Refusal, fitting
from tests.simulation.world import World, app, revision

O = ConstraintOperator  # noqa: E741


def allowed(
    operator: ConstraintOperator,
    wanted: str,
    value: str | None,
    *placed: str | None,
    count: int = 10,
    known: frozenset[str] = frozenset("abc"),
) -> bool:
    constraint = Constraint(field="rack", operator=operator, value=wanted)
    return not refusal_of(constraint, value, placed=placed, count=count, known=known)


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "placed", "may"),
    [
        (O.UNIQUE, "", "a", (), True),
        (O.UNIQUE, "", "a", ("b",), True),
        (O.UNIQUE, "", "a", ("b", "a"), False),
        (O.CLUSTER, "a", "a", ("b",), True),
        (O.CLUSTER, "a", "b", (), False),
        (O.CLUSTER, "", "b", (), True),
        (O.CLUSTER, "", "b", ("a", "b"), False),
        (O.CLUSTER, "", "a", ("a", "b"), True),
        (O.IS, "a", "a", (), True),
        (O.IS, "a", "b", (), False),
        (O.LIKE, "rack-[1-3]", "rack-2", (), True),
        (O.LIKE, "rack-[1-3]", "rack-22", (), False),
        (O.UNLIKE, "rack-[1-3]", "rack-2", (), False),
        (O.UNLIKE, "rack-[1-3]", "rack-4", (), True),
        (O.MAX_PER, "2", "a", ("a", "b"), True),
        (O.MAX_PER, "2", "a", ("a", "a"), False),
        (O.MAX_PER, "many", "a", (), False),
    ],
)
def test_each_operator_looks_at_the_value_and_at_where_the_others_are(
    operator: ConstraintOperator, wanted: str, value: str, placed: tuple[str, ...], may: bool
) -> None:
    assert allowed(operator, wanted, value, *placed) is may


@pytest.mark.parametrize("operator", ConstraintOperator)
def test_what_a_node_does_not_have_fails_every_operator_but_unlike(
    operator: ConstraintOperator,
) -> None:
    assert allowed(operator, "1", None) is (operator is O.UNLIKE)


def test_groups_are_opened_up_to_their_number_and_then_filled_evenly() -> None:
    assert allowed(O.GROUP_BY, "2", "b", "a")
    assert not allowed(O.GROUP_BY, "2", "c", "a", "b"), "there are two groups already"
    assert allowed(O.GROUP_BY, "2", "a", "a", "b", count=4)
    assert not allowed(O.GROUP_BY, "2", "a", "a", "a", "b", count=4)
    assert allowed(O.GROUP_BY, "2", "a", "a", "a", "b", "b", count=5), "one is left over"
    assert not allowed(O.GROUP_BY, "2", "b", "a", "a", "a", "b", "b", count=5)


def test_groups_without_a_number_are_as_many_as_there_are_values() -> None:
    assert allowed(O.GROUP_BY, "", "c", "a", "b", count=3)
    assert not allowed(O.GROUP_BY, "", "a", "a", "b", count=3)


def test_fields_are_the_nodes_address_its_region_its_zone_and_its_attributes() -> None:
    def value(field: str) -> str | None:
        attributes = {"region": "eu", "zone": "a", "load": "0.123456", "rack": "7"}
        return field_value(field, address="10.0.0.1", attributes=attributes)

    assert [value(f) for f in ("hostname", "@hostname")] == ["10.0.0.1"] * 2
    assert [value(f) for f in ("@region", "@zone", "rack")] == ["eu", "a", "7"]
    assert value("load") == "0.123", "a scalar has at most three decimals"
    assert value("disk") is None


def test_a_pattern_that_could_take_for_ever_is_never_met_and_says_so() -> None:
    constraint = Constraint(field="rack", operator=O.LIKE, value="(a+)+")
    began = time.monotonic()
    said = refusal_of(constraint, "a" * 100 + "b", placed=(), count=1, known=())
    assert said.startswith("the pattern is too elaborate")
    assert time.monotonic() - began < 10


def nodes(*racks: str) -> tuple[NodeView, ...]:
    return tuple(
        NodeView(name=f"n{nth}", address=f"10.0.0.{nth}", attributes={"rack": rack} if rack else {})
        for nth, rack in enumerate(racks, start=1)
    )


def test_a_node_that_breaks_a_constraint_is_refused_with_the_constraint_and_why() -> None:
    constraint = Constraint(field="rack", operator=O.UNIQUE)
    spec = app(placement=Placement(constraints=(constraint,)))
    ground = Ground(nodes=nodes("r1"), mine={}, load={}, alike=("n1",), count=2)
    refused = fitting(spec, ground)
    assert isinstance(refused, Refusal)
    assert refused.code is Misfit.CONSTRAINT
    assert refused.reason == "its constraint rack UNIQUE is not met: one runs where rack is r1"


def running_on(world: World) -> list[str]:
    return sorted(r.identity.node for r in world.state.live)


def deployed(placement: Placement, *racks: str, count: int) -> World:
    world = World(nodes=nodes(*racks))
    world.deploy(revision("R1", placement=placement), count=count)
    world.run(until_ms=30_000)
    return world


def test_unique_places_one_a_rack_and_says_why_no_more_start() -> None:
    unique = Placement(constraints=(Constraint(field="rack", operator=O.UNIQUE),))
    world = deployed(unique, "r1", "r2", "r2", "", count=3)
    assert len(running_on(world)) == 2
    (blocked,) = world.plan().blocked
    assert "its constraint rack UNIQUE is not met" in blocked.reason


def test_instances_of_an_older_revision_do_not_count() -> None:
    unique = Placement(constraints=(Constraint(field="hostname", operator=O.UNIQUE),))
    world = deployed(unique, "r1", "r2", count=2)
    assert running_on(world) == ["n1", "n2"]
    world.deploy(revision("R2", placement=unique), count=2)
    world.run()
    assert running_on(world) == ["n1", "n2"]
    assert {r.identity.revision for r in world.state.live} == {"R2"}


def test_groups_are_even_and_stay_so_when_there_are_fewer() -> None:
    grouped = Placement(constraints=(Constraint(field="rack", operator=O.GROUP_BY),))
    world = deployed(grouped, "r1", "r1", "r2", count=4)
    assert [node in ("n1", "n2") for node in running_on(world)].count(True) == 2
    world.deploy(revision("R1", placement=grouped), count=2)
    world.run()
    assert sorted(node == "n3" for node in running_on(world)) == [False, True]
