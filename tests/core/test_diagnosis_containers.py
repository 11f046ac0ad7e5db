"""What `why` says of an instance of several containers: which one it is about."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import Container, ContainerCondition, ContainerDependency
from portway.core.diagnosis import diagnose_app
from portway.core.instance import EngineState, ObservedContainer, ObservedInstance, Phase
from tests.core.test_diagnosis import EMPTY, REVISION, facts, instance, record, state


def test_one_that_is_not_whole_yet_says_which_container_waits_for_which() -> None:
    wait = ContainerDependency(name="db", condition=ContainerCondition.HEALTHY)
    app = replace(
        REVISION.app, containers=(Container(name="db", image="db"),), container_depends_on=(wait,)
    )
    one = record(phase=Phase.PLANNED)
    halves = (
        ObservedContainer(name="web", state=EngineState.CREATED),
        ObservedContainer(name="db", state=EngineState.RUNNING, started_at_ms=1),
    )
    seen = ObservedInstance(identity=one.identity, state=EngineState.CREATED, containers=halves)
    shown = instance(one, seen=seen, inside=None)
    known = state(instances=(one,), revisions={"R1": replace(REVISION, app=app)})
    found = diagnose_app(replace(facts(shown, listeners=(EMPTY,)), state=known))
    assert "web.1.7 is not whole yet: web waits for db to become healthy" in found.sentence


def test_the_container_whose_end_was_the_instances_is_named() -> None:
    seen = ObservedInstance(
        identity=record().identity,
        state=EngineState.EXITED,
        oom_killed=True,
        failed_container="side",
    )
    found = diagnose_app(facts(instance(seen=seen, inside=None), listeners=(EMPTY,)))
    said = "the container side of web.1.7 was killed because it used more memory than its limit"
    assert said in found.sentence
