"""Who has a listener of a number, kept while Apps come, change and go."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.controller.listening import Listening
from portway.core.app import App, Exposure, PortSpec, Protocol
from portway.core.state import AppState, Revision


def state(app_id: str, *numbers: int, given: tuple[int, ...] = (), **spec: object) -> AppState:
    port = PortSpec(**{"name": "web", "container_port": 80, "service_ports": numbers, **spec})  # type: ignore[arg-type]
    revision = Revision(id="R", release="R", app=App(id=app_id, ports=(port,)))
    return AppState(app_id=app_id, target=revision, service_ports={f"p{n}": n for n in given})


def noted(*states: AppState) -> Listening:
    listening = Listening()
    for one in states:
        listening.note(one.app_id, None, one)
    return listening


def test_apps_are_found_by_the_numbers_they_asked_for_and_were_given():
    listening = noted(state("s/a", 80, 443), state("s/b", given=(10000,)), state("s/c", 8080))
    assert listening.apps_at([443, 10000]) == ("s/a", "s/b")
    assert listening.apps_at([80, 443, 1]) == ("s/a",)


def test_whoever_changes_is_found_by_what_it_has_now_and_whoever_goes_by_nothing():
    before, after = state("s/a", 80, 443), state("s/a", 443, 8443)
    listening = noted(before)
    listening.note("s/a", before, after)
    assert [listening.apps_at([n]) for n in (80, 443, 8443)] == [(), ("s/a",), ("s/a",)]
    listening.note("s/a", after, replace(after, target=None))
    assert listening.apps_at([443, 8443]) == ()
    assert not listening


def test_as_a_mapping_it_names_who_asked_for_a_listener_and_no_others():
    listening = noted(
        state("s/a", 80),
        state("s/b", given=(10000,)),
        state("s/c", 53, protocol=Protocol.UDP, exposure=Exposure.HOST),
    )
    assert dict(listening).keys() == {(Protocol.TCP, 80)}
    assert listening[Protocol.TCP, 80].description == "the listener of s/a"
    assert (Protocol.UDP, 80) not in listening
    with pytest.raises(KeyError):
        listening[Protocol.TCP, 10000]
