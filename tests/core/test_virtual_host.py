"""A port may be behind the shared listeners: it is drained there too before its instance stops."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import VirtualHost
from portway.core.instance import Phase
from portway.core.pooled import SHARED, bound_groups, is_served_by_its_groups, shared_name
from portway.core.routes import EndpointState, ServedEndpoint, ServedPool
from portway.core.state import AppState
from portway.store.codec import from_body, to_body
from tests.core.balancing.test_targets import app_state
from tests.core.test_pooled import KEY, endpoint, observed, phase, planned


def hosted(**fields: object) -> AppState:
    """An App of one instance, its port with a virtual host and no target group."""
    state = app_state(**fields)
    revisions = {
        name: replace(
            each,
            app=replace(
                each.app,
                targets=(),
                ports=tuple(replace(p, virtual=VirtualHost(hosts=("a",))) for p in each.app.ports),
            ),
        )
        for name, each in state.revisions.items()
    }
    target = revisions.get(state.target.id) if state.target else None
    return replace(state, revisions=revisions, target=target or state.target)


def pools(state: AppState, *endpoints: ServedEndpoint):
    (name,) = {shared_name(state.app_id, p.name) for r in state.revisions.values() for p in r.app.ports}  # fmt: skip
    return {name: ((KEY, ServedPool(name=name, endpoints=endpoints)),)}


def test_an_app_with_a_virtual_host_is_bound_to_the_shared_listeners() -> None:
    assert bound_groups(hosted()) == {SHARED}
    assert SHARED not in bound_groups(app_state())


def test_an_instance_serves_once_the_shared_listeners_send_it_requests() -> None:
    state = hosted(phase=Phase.READY)
    record = state.instances[0]
    for given, serves in (
        (pools(state, endpoint()), True),
        (pools(state), False),
        (pools(state, endpoint(state=EndpointState.DRAINING)), False),
        ({}, True),
    ):
        assert is_served_by_its_groups(state, observed(state, given), record) is serves


def test_an_instance_is_drained_behind_the_shared_listeners_before_it_stops() -> None:
    state = replace(hosted(phase=Phase.DRAINING, draining_at_ms=1000), count=0)
    busy = endpoint(state=EndpointState.DRAINING, connections=1)
    assert phase(planned(state, pools(state, busy))) is Phase.DRAINING
    assert phase(planned(state, pools(state, endpoint()))) is Phase.DRAINING
    assert phase(planned(state, pools(state))) is Phase.STOPPING


def test_a_port_that_was_saved_without_one_has_none() -> None:
    spec = next(iter(hosted().revisions.values())).app.ports[0]
    body = to_body(spec)
    assert from_body(type(spec), body, where="x") == spec
    del body["virtual"], body["unserved"]
    assert from_body(type(spec), body, where="x") == replace(spec, virtual=None)
