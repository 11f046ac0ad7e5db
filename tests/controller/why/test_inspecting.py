"""What is found when an instance is looked at: which port, what is expected there, what answers."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from portway.controller.why.inspecting import STREAM_PORTS, checked_lease, expected, inspect, way_to
from portway.core.app import App, CheckKind, HealthCheck, ListenerProtocol, ListenerSpec, PortSpec
from portway.core.facts import Reached
from portway.core.instance import (
    EngineState,
    InstanceIdentity,
    InstanceRecord,
    ObservedContainer,
    ObservedInstance,
    PortBinding,
)
from portway.core.ports import Lease
from portway.core.state import AppState, Revision
from tests.controller.why.test_listening import listening_process

FIRST = PortSpec(name="80", container_port=80)
SECOND = PortSpec(name="admin", container_port=81)
APP = App(id="shop/web", ports=(FIRST, SECOND))


def lease(spec: PortSpec, number: int) -> Lease:
    return Lease(
        node="local",
        port_name=spec.name,
        container_port=spec.container_port,
        host_port=number,
        address="127.0.0.1",
        protocol=spec.protocol,
    )


def made(app: App, *numbers: int) -> tuple[AppState, InstanceRecord]:
    """The App's state with one instance, its ports leased as these numbers."""
    identity = InstanceIdentity(
        id="shop/web.1.1",
        app_id="shop/web",
        slot=1,
        serial=1,
        revision="R1",
        release="R1",
        node="local",
        leases=tuple(lease(spec, n) for spec, n in zip(app.ports, numbers, strict=True)),
    )
    record = InstanceRecord(identity=identity, planned_at_ms=1)
    revision = Revision(id="R1", release="R1", app=app)
    state = AppState(
        app_id="shop/web", target=revision, revisions={"R1": revision}, instances=(record,)
    )
    return state, record


def seen(record: InstanceRecord, pid: int, **fields: object) -> ObservedInstance:
    given: dict[str, object] = {"state": EngineState.RUNNING, "address": "127.0.0.1"}
    return ObservedInstance(
        identity=record.identity,
        reaches_container=False,
        details={"pid": str(pid)},
        **{**given, **fields},  # type: ignore[arg-type]
    )


async def test_a_process_that_listens_elsewhere_is_seen_where_it_listens():
    with socket.socket() as free, listening_process() as (pid, tcp, udp):
        free.bind(("127.0.0.1", 0))
        state, record = made(replace(APP, ports=(FIRST,)), free.getsockname()[1])
        found = await inspect(state, record, seen(record, pid))
    assert found is not None
    assert {one.port_number for one in found.listeners or ()} == {tcp, udp}
    assert found.answer is not None
    assert found.answer.reached is Reached.REFUSED
    assert not found.is_container


async def test_what_does_not_run_or_is_not_here_is_not_looked_at():
    state, record = made(APP, 31004, 31005)
    assert await inspect(state, record, seen(record, 1, state=EngineState.EXITED)) is None
    assert await inspect(state, record, seen(record, 1, address="")) is None
    nowhere = replace(seen(record, 1), details={})
    assert await inspect(state, record, nowhere) is None
    bare, alone = made(replace(APP, ports=()))
    assert await inspect(bare, alone, seen(alone, 1)) is None


def test_the_port_that_is_checked_comes_before_the_first_one():
    _, record = made(APP, 31004, 31005)
    admin = replace(APP, health=HealthCheck(port_name="admin"))
    chosen = checked_lease(admin, record)
    assert chosen is not None
    assert chosen.host_port == 31005
    chosen = checked_lease(APP, record)
    assert chosen is not None
    assert chosen.host_port == 31004


@pytest.mark.parametrize(
    ("kind", "listener", "spoken"),
    [
        (CheckKind.HTTP, ListenerSpec(), "http"),
        (CheckKind.HTTPS, ListenerSpec(), "https"),
        (CheckKind.TCP, ListenerSpec(), ""),
        (CheckKind.TCP, ListenerSpec(secure=True), "https"),
        (CheckKind.TCP, ListenerSpec(protocol=ListenerProtocol.HTTP), "http"),
        (CheckKind.TCP, ListenerSpec(protocol=ListenerProtocol.HTTPS), "http"),
        (CheckKind.TCP, ListenerSpec(protocol=ListenerProtocol.TCP), ""),
        (CheckKind.TCP, ListenerSpec(protocol=ListenerProtocol.HTTP, proxy_protocol=True), ""),
    ],
)
def test_what_an_instance_is_expected_to_speak(
    kind: CheckKind, listener: ListenerSpec, spoken: str
):
    app = App(
        id="shop/web", ports=(replace(FIRST, listener=listener),), health=HealthCheck(kind=kind)
    )
    assert expected(app, lease(FIRST, 31004)) == spoken


def test_databases_are_not_asked_for_a_page():
    assert {5432, 3306, 6379, 27017} <= STREAM_PORTS
    assert not STREAM_PORTS & {80, 443, 3000, 8000, 8080}


def test_of_several_containers_with_addresses_of_their_own_the_one_looked_into_is_asked() -> None:
    _, record = made(APP, 31001, 31002)
    bound = PortBinding(container_port=80, host_port=31001)
    containers = tuple(
        ObservedContainer(
            name=name,
            state=EngineState.RUNNING,
            container_id=name * 8,
            address=address,
            bindings=binds,
        )
        for name, address, binds in (("ab", "172.17.0.2", (bound,)), ("cd", "172.17.0.3", ()))
    )
    looked = replace(seen(record, 1), containers=containers, details={"container": "abab"})
    first, second = record.identity.leases
    assert way_to(looked, first) == ("172.17.0.2", 80, True)
    assert way_to(looked, second) == ("127.0.0.1", 31002, False)
    assert way_to(replace(looked, details={}), first) == ("127.0.0.1", 31001, False)
    assert way_to(replace(looked, reaches_container=True), second) == ("127.0.0.1", 81, True)
