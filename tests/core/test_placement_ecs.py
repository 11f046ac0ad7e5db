"""Room, constraints and strategies: which nodes one more instance fits on, the best first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import App, Container, Placement, PortSpec, Resources, SpreadKind
from portway.core.placement import (
    FIXED_PORTS_MAX,
    Ground,
    Misfit,
    NodeUse,
    NodeView,
    Refusal,
    demand_of,
    fitting,
    is_eligible,
    leaves_first,
)

MIB = 1024 * 1024
SPREAD, BINPACK, RANDOM = SpreadKind.SPREAD, SpreadKind.BINPACK, SpreadKind.RANDOM


def node(name: str, *, zone: str = "z1", **fields: object) -> NodeView:
    known = {"cpu_units": 1024, "memory_bytes": 512 * MIB}
    attributes = {"ecs.availability-zone": zone}
    return NodeView(name=name, address="10.0.0.1", **({"attributes": attributes} | known | fields))  # type: ignore[arg-type]


def app(*, cpu: int = 128, memory_mib: int = 64, **placement: object) -> App:
    return App(
        id="shop/web",
        resources=Resources(cpu_shares=cpu, memory_bytes=memory_mib * MIB),
        placement=Placement(**({"reserves": True} | placement)),  # type: ignore[arg-type]
    )


def ground(
    *nodes: NodeView, mine: dict[str, int] | None = None, bits: int = 0, **used: NodeUse
) -> Ground:
    return Ground(nodes=nodes, mine=mine or {}, load={}, used=used, bits=bits)


def refused(one: App, on: Ground) -> Refusal:
    answer = fitting(one, on)
    assert isinstance(answer, Refusal), answer
    return answer


def test_what_is_asked_for_is_that_of_all_containers_a_reservation_before_a_limit() -> None:
    one = replace(
        app(),
        ports=(PortSpec(name="80", container_port=80, host_port=80),),
        containers=(
            Container(
                name="log",
                image="log",
                resources=Resources(cpus=0.5, memory_bytes=100 * MIB, memory_reservation_bytes=MIB),
            ),
            Container(name="idle", image="idle", resources=Resources(cpu_shares=2)),
        ),
    )
    assert demand_of(one) == NodeUse(
        cpu_units=128 + 512, memory_bytes=65 * MIB, fixed_ports=1, instances=1
    )
    assert demand_of(app(cpu_units=7, memory_bytes=9)).cpu_units == 7
    assert demand_of(replace(one, placement=Placement())) == NodeUse(instances=1)


@pytest.mark.parametrize(
    ("one", "on", "code"),
    [
        (app(), ground(), Misfit.NO_NODES),
        (app(), ground(node("a", available=False)), Misfit.AGENT),
        (app(), ground(node("a", draining=True)), Misfit.AGENT),
        (app(cpu=2000), ground(node("a")), Misfit.CPU),
        (app(), ground(node("a"), a=NodeUse(cpu_units=1000)), Misfit.CPU),
        (app(memory_mib=600), ground(node("a")), Misfit.MEMORY),
        (app(members=("attribute:gpu exists",)), ground(node("a")), Misfit.ATTRIBUTE),
        (
            app(members=("attribute:ecs.availability-zone == z2",)),
            ground(node("a")),
            Misfit.CONSTRAINT,
        ),
        (
            app(members=("runningTasksCount < 1",)),
            ground(node("a"), a=NodeUse(instances=1)),
            Misfit.CONSTRAINT,
        ),
        (app(members=("nonsense",)), ground(node("a")), Misfit.CONSTRAINT),
        (app(distinct=True), ground(node("a"), mine={"a": 1}), Misfit.CONSTRAINT),
        (app(node="b"), ground(node("a")), Misfit.CONSTRAINT),
    ],
)
def test_what_does_not_fit_says_what_is_missing(one: App, on: Ground, code: Misfit) -> None:
    answer = refused(one, on)
    assert answer.code is code
    assert answer.reason
    assert answer.node == (on.nodes[0].name if on.nodes else "")


def test_the_nearest_is_the_one_that_passed_the_most() -> None:
    far, near = node("far", cpu_units=1), node("near", memory_bytes=MIB)
    answer = refused(app(), ground(far, near))
    assert (answer.code, answer.node) == (Misfit.MEMORY, "near")
    assert answer.reason.startswith("no node will do; the nearest, near: ")


def test_a_node_has_room_for_so_many_fixed_ports() -> None:
    one = replace(app(), ports=(PortSpec(name="80", container_port=80, host_port=80),))
    full = ground(node("a"), a=NodeUse(fixed_ports=FIXED_PORTS_MAX))
    assert refused(one, full).code is Misfit.PORTS
    assert fitting(one, ground(node("a"), a=NodeUse(fixed_ports=FIXED_PORTS_MAX - 1))) == ("a",)


def test_of_a_node_whose_size_is_not_known_everything_fits() -> None:
    small = node("a", cpu_units=0, memory_bytes=0)
    assert fitting(app(cpu=9999, memory_mib=9999), ground(small)) == ("a",)


def test_instances_are_spread_over_zones_and_in_a_zone_over_nodes() -> None:
    nodes = (node("a", zone="z1"), node("b", zone="z1"), node("c", zone="z2"))
    spread = app(strategies=((SPREAD, "attribute:ecs.availability-zone"), (SPREAD, "instanceId")))
    on = ground(*nodes, mine={"a": 1})
    assert fitting(spread, on) == ("c", "b", "a")
    assert fitting(spread, ground(*nodes, mine={"a": 1, "c": 1})) == ("b", "a", "c")


def test_packing_fills_the_fullest_that_has_room() -> None:
    nodes = (node("a"), node("b"), node("c"))
    use = {"a": NodeUse(memory_bytes=100 * MIB), "b": NodeUse(memory_bytes=500 * MIB)}
    packed = app(strategies=((BINPACK, "memory"),))
    assert fitting(packed, Ground(nodes=nodes, mine={}, load={}, used=use)) == ("a", "c")
    by_cpu = app(strategies=((BINPACK, "cpu"),), memory_mib=1)
    use = {"c": NodeUse(cpu_units=10)}
    assert fitting(by_cpu, Ground(nodes=nodes, mine={}, load={}, used=use))[0] == "c"


def test_chance_is_given_and_the_same_chance_chooses_the_same() -> None:
    nodes = tuple(node(name) for name in "abcd")
    drawn = app(strategies=((RANDOM, ""),))
    chosen = {fitting(drawn, ground(*nodes, bits=bits))[0] for bits in range(40)}  # type: ignore[index]
    assert len(chosen) > 2
    assert fitting(drawn, ground(*nodes, bits=5)) == fitting(drawn, ground(*nodes, bits=5))


def test_the_fullest_zone_and_in_it_the_fullest_node_lose_one_first() -> None:
    nodes = (node("a", zone="z1"), node("b", zone="z1"), node("c", zone="z2"))
    assert leaves_first(app(), ground(*nodes, mine={"a": 1, "b": 2, "c": 2})) == "b"
    assert leaves_first(app(), ground(*nodes, mine={"c": 1})) == "c"
    assert leaves_first(app(), ground(*nodes)) is None
    packed = app(strategies=((BINPACK, "memory"),))
    use = {"a": NodeUse(memory_bytes=10), "b": NodeUse(memory_bytes=1)}
    on = Ground(nodes=nodes[:2], mine={"a": 1, "b": 1}, load={}, used=use)
    assert leaves_first(packed, on) == "b"


def test_a_daemon_belongs_on_every_node_that_is_meant_whatever_room_it_has() -> None:
    everywhere = Placement(daemon=True)
    assert is_eligible(node("a", available=False, cpu_units=1), everywhere)
    assert not is_eligible(node("a", draining=True), everywhere)
    assert not is_eligible(node("a"), replace(everywhere, members=("attribute:gpu exists",)))
