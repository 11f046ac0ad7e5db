"""The containers of an instance: their order, what they wait for, and what their states make of the instance."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import App, Container, ContainerCondition, ContainerDependency, PortSpec
from portway.core.containers import (
    fault_of,
    hopeless,
    how_it_ended,
    layers,
    members,
    together,
    unmet,
    waiting_for,
)
from portway.core.instance import EngineState, ObservedContainer

START, COMPLETE = ContainerCondition.START, ContainerCondition.COMPLETE
SUCCESS, HEALTHY = ContainerCondition.SUCCESS, ContainerCondition.HEALTHY
CREATED, RUNNING, EXITED = EngineState.CREATED, EngineState.RUNNING, EngineState.EXITED


def after(name: str, condition: ContainerCondition = START) -> tuple[ContainerDependency, ...]:
    return (ContainerDependency(name=name, condition=condition),)


def container(name: str, **fields: object) -> Container:
    return Container(name=name, image="i", **fields)  # type: ignore[arg-type]


def group(*others: Container, **fields: object) -> App:
    return App(id="s/web", image="web", container_name="web", containers=others, **fields)  # type: ignore[arg-type]


def seen(
    name: str = "web", state: EngineState = RUNNING, *, code: int | None = None, **fields: object
) -> ObservedContainer:
    started = {} if state is CREATED else {"started_at_ms": 1000}
    given = {**started, "exit_code": code, **fields}
    return ObservedContainer(name=name, state=state, **given)  # type: ignore[arg-type]


def names(app: App) -> list[list[str]]:
    return [[member.name for member in layer] for layer in layers(members(app))]


def test_an_instance_of_one_container_has_one_member_called_as_its_app() -> None:
    (only,) = members(App(id="s/web", image="i"))
    assert (only.name, only.essential) == ("web", True)
    assert members(group(container_start_timeout_s=9))[0].start_timeout_s == 9


def test_containers_start_after_those_they_wait_for() -> None:
    app = group(
        container("log"),
        container("db", depends_on=after("log")),
        container_depends_on=after("db", HEALTHY),
    )
    assert names(app) == [["log"], ["db"], ["web"]]


def test_a_link_and_a_shared_volume_wait_for_the_others_start() -> None:
    app = group(
        container("db", volumes_from=(("data", True),)),
        container("data"),
        container_links=(("db", "database"),),
    )
    assert names(app) == [["data"], ["db"], ["web"]]
    assert members(app)[0].depends_on == after("db")


def test_what_is_written_of_a_linked_container_counts_more_than_the_link() -> None:
    app = group(
        container("db"),
        container_links=(("db", "db"),),
        container_depends_on=after("db", HEALTHY),
    )
    assert members(app)[0].depends_on == after("db", HEALTHY)


def test_a_port_belongs_to_the_container_that_it_names() -> None:
    ports = (
        PortSpec(name="a", container_port=80),
        PortSpec(name="b", container_port=81, container="side"),
    )
    _, side = members(group(container("side"), ports=ports))
    assert [spec.name for spec in side.app.ports] == ["b"]


@pytest.mark.parametrize(
    ("app", "fault"),
    [
        (group(container("side")), ""),
        (group(container("web")), "two of its containers are called web"),
        (group(container("side", depends_on=after("db"))), "side names db, which is none"),
        (group(container("side"), container_links=(("x", "y"),)), "web names x, which is none"),
        (
            group(container("side"), ports=(PortSpec(name="p", container_port=1, container="z"),)),
            'its port "p" is of z, which is none',
        ),
        (
            group(container("side", depends_on=after("web")), container_links=(("side", "s"),)),
            "wait for each other in a circle",
        ),
        (group(container("side", depends_on=after("side"))), "in a circle"),
    ],
)
def test_containers_that_refer_to_nothing_or_in_a_circle_are_told(app: App, fault: str) -> None:
    assert fault in fault_of(app)
    assert bool(fault_of(app)) is bool(fault)


@pytest.mark.parametrize(
    ("condition", "other", "holds"),
    [
        (START, seen("db", CREATED), False),
        (START, seen("db"), True),
        (START, seen("db", EXITED, code=1), True),
        (COMPLETE, seen("db"), False),
        (COMPLETE, seen("db", EXITED, code=1), True),
        (SUCCESS, seen("db", EXITED, code=1), False),
        (SUCCESS, seen("db", EXITED, code=0), True),
        (HEALTHY, seen("db"), False),
        (HEALTHY, seen("db", health="starting"), False),
        (HEALTHY, seen("db", health="healthy"), True),
        (HEALTHY, seen("db", EXITED, health="healthy"), False),
    ],
)
def test_a_condition_holds_or_not(
    condition: ContainerCondition, other: ObservedContainer, holds: bool
) -> None:
    dependencies = after("db", condition)
    assert (unmet(dependencies, {"db": other}) is None) is holds
    assert unmet(dependencies, {}) == dependencies[0]


@pytest.mark.parametrize(
    ("condition", "other", "why"),
    [
        (HEALTHY, seen("db", CREATED), ""),
        (HEALTHY, seen("db", health="unhealthy"), ""),
        (HEALTHY, seen("db", EXITED, code=3), "to become healthy, exited with code 3"),
        (SUCCESS, seen("db", EXITED, code=1), "to succeed, exited with code 1"),
        (START, ObservedContainer(name="db", state=EXITED, error="no such file"), "did not start"),
    ],
)
def test_what_cannot_be_met_any_more_is_said(
    condition: ContainerCondition, other: ObservedContainer, why: str
) -> None:
    said = hopeless(after("db", condition)[0], other, timeout_s=60, now_ms=2000)
    assert why in said
    assert bool(said) is bool(why)


def test_what_one_waits_for_is_said_until_it_has_been_started() -> None:
    app = group(container("db"), container_depends_on=after("db", HEALTHY))
    assert (
        waiting_for(app, [seen("web", CREATED), seen("db")]) == "web waits for db to become healthy"
    )
    assert waiting_for(app, []) == "web waits for db to become healthy"
    assert waiting_for(app, [seen("web"), seen("db")]) == ""


def test_a_dependency_has_its_start_timeout_and_no_longer() -> None:
    wanted = after("db", HEALTHY)[0]
    assert hopeless(wanted, seen("db"), timeout_s=60, now_ms=61_000) == ""
    late = hopeless(wanted, seen("db"), timeout_s=60, now_ms=61_001)
    assert late == "db, which it waits for, did not become healthy within 60 s"
    assert hopeless(wanted, None, timeout_s=60, now_ms=99_000) == ""


def test_it_is_created_until_all_have_been_started() -> None:
    assert together([seen(), seen("side", CREATED)]).state is CREATED
    assert together([seen(), seen("side")]).state is RUNNING


def test_the_end_of_one_that_is_not_essential_is_not_the_instances() -> None:
    over = seen("init", EXITED, code=1, essential=False)
    assert together([over, seen()]).state is RUNNING


def test_the_end_of_the_first_essential_one_is_the_instances() -> None:
    one = seen("a", EXITED, code=1, finished_at_ms=3000)
    other = seen("b", EXITED, code=143, finished_at_ms=2000)
    whole = together([one, other, seen("c"), seen("d", CREATED)])
    assert (whole.state, whole.ended_by) == (EXITED, other)


def test_where_none_is_essential_the_last_end_counts() -> None:
    one, two = (seen(name, EXITED, code=0, essential=False) for name in "ab")
    assert together([one, seen("b", essential=False)]).state is RUNNING
    assert together([one, two]).state is EXITED


def test_it_is_as_healthy_as_the_least_healthy_essential_one() -> None:
    well, ill = seen("a", health="healthy"), seen("b", health="unhealthy")
    assert together([well, ill]).health == "unhealthy"
    assert together([well, replace(ill, essential=False)]).health == "healthy"
    assert together([well, seen("c", health="starting")]).health == "starting"
    assert together([seen()]).health == ""


def test_an_end_is_told_in_words() -> None:
    assert "more memory than its limit" in how_it_ended(
        seen(state=EXITED, oom_killed=True, code=137)
    )
    assert how_it_ended(seen(state=EXITED)) == "ended"
