"""An instance in the pools of load balancers leaves them before it is stopped, and is in them before an old one goes."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import Rollout
from portway.core.health import Health, HealthStatus
from portway.core.instance import Phase
from portway.core.observed import Observed
from portway.core.plan import StopInstance
from portway.core.pooled import endpoints_in_pools, instance_of, is_served_by_its_groups
from portway.core.ports import PortPool, PortRange
from portway.core.reconcile import reconcile
from portway.core.routes import EndpointState, RouteKey, ServedEndpoint, ServedPool
from tests.core.balancing.test_targets import app_state, seen

KEY = RouteKey(address="127.64.0.1", service_port=80)
GROUP = "arn:tg"


def pooled(*endpoints: ServedEndpoint):
    return {GROUP: ((KEY, ServedPool(name=GROUP, endpoints=endpoints)),)}


def endpoint(name: str = "s/w.1.1", state=EndpointState.READY, connections: int = 0):
    return ServedEndpoint(
        instance_id=name,
        address="127.0.0.1",
        port_number=32768,
        state=state,
        connections=connections,
    )


def observed(state, pools) -> Observed:
    return Observed(instances=seen(state), served={}, pooled=pools)


def planned(state, pools, *, now_ms: int = 1000, **fields):
    ports = PortPool(PortRange(first=31000, last=31010), hold_down_ms=0)
    view = replace(observed(state, pools), **fields)
    return reconcile(state, view, host_pool=ports, service_pool=ports, now_ms=now_ms)


def phase(plan) -> Phase:
    return next(r.phase for r in plan.state.instances if r.id == "s/w.1.1")


def leaving(**fields):
    state = app_state(phase=Phase.DRAINING, draining_at_ms=1000, **fields)
    return replace(state, count=0)


def test_an_endpoint_names_the_instance_however_often_it_is_bound():
    assert instance_of("s/w.1.1#2") == instance_of("s/w.1.1") == "s/w.1.1"
    state = app_state()
    both = pooled(endpoint(), endpoint("s/w.1.1#1"), endpoint("s/w.2.2"))
    assert len(list(endpoints_in_pools(observed(state, both), "s/w.1.1"))) == 2


def test_an_instance_serves_once_every_pool_sends_it_new_connections():
    state = app_state(phase=Phase.READY)
    record = state.instances[0]

    def serves(pools) -> bool:
        return is_served_by_its_groups(state, observed(state, pools), record)

    assert serves(pooled(endpoint()))
    assert serves({})  # no listener uses the group
    assert not serves({GROUP: ()})  # one does, but the balancer has no pool yet
    assert not serves(pooled(endpoint(state=EndpointState.DRAINING)))
    assert not serves(pooled())


def test_an_instance_stops_only_when_no_pool_sends_it_anything_and_nobody_is_connected():
    draining = EndpointState.DRAINING
    assert phase(planned(leaving(), pooled(endpoint()))) is Phase.DRAINING
    busy = pooled(endpoint(state=draining, connections=1))
    assert phase(planned(leaving(), busy)) is Phase.DRAINING
    idle = pooled(endpoint(state=draining))
    assert phase(planned(leaving(), idle)) is Phase.STOPPING


def test_the_delay_of_the_groups_bounds_the_draining():
    busy = pooled(endpoint(state=EndpointState.DRAINING, connections=1))
    kept = planned(leaving(), busy, now_ms=200_000, drain_timeout_s=300.0)
    assert phase(kept) is Phase.DRAINING
    assert phase(planned(leaving(), busy, now_ms=301_000, drain_timeout_s=300.0)) is Phase.STOPPING


def test_nothing_is_stopped_while_a_pool_has_it():
    stopping = app_state(phase=Phase.STOPPING, draining_at_ms=0, stopping_at_ms=0)
    stopping = replace(stopping, count=0)
    still = planned(stopping, pooled(endpoint(state=EndpointState.DRAINING)))
    assert not [a for a in still.actions if isinstance(a, StopInstance)]
    out = planned(stopping, pooled())
    assert [a.instance_id for a in out.actions if isinstance(a, StopInstance)] == ["s/w.1.1"]


def test_an_old_instance_stays_until_its_successor_is_in_the_pools():
    old = app_state(phase=Phase.READY, ready_at_ms=1)
    target = replace(old.target, id="R2")
    record = old.instances[0]
    identity = replace(record.identity, id="s/w.1.2", serial=2, revision="R2", leases=())
    state = replace(
        old,
        target=target,
        revisions={**old.revisions, "R2": target},
        instances=(record, replace(record, identity=identity)),
    )
    healthy = {i: Health(status=HealthStatus.PASSING) for i in ("s/w.1.1", "s/w.1.2")}
    assert phase(planned(state, pooled(endpoint()), health=healthy)) is Phase.READY
    both = pooled(endpoint(), endpoint("s/w.1.2"))
    assert phase(planned(state, both, health=healthy)) is Phase.DRAINING


def test_nobody_makes_room_while_it_cannot_be_told_who_is_in_the_pools():
    old = app_state(phase=Phase.READY, ready_at_ms=1)
    stop_first = Rollout(minimum_percent=100, maximum_percent=100, strict_bounds=True)
    target = replace(old.target, id="R2", app=replace(old.target.app, rollout=stop_first))
    state = replace(old, target=target, revisions={**old.revisions, "R2": target})
    unread = planned(state, {GROUP: ()}, served=None)
    assert phase(unread) is Phase.READY
    assert unread.wake_at_ms == 2000


def test_behind_a_classic_load_balancer_the_pools_of_its_own_ports_count():
    state = app_state(phase=Phase.READY)
    assert state.target is not None
    app = state.target.app
    bound = replace(app, targets=tuple(replace(b, group="httpd") for b in app.targets))
    revision = replace(state.target, app=bound)
    state = replace(state, target=revision, revisions={revision.id: revision})
    [record] = state.instances
    number = record.identity.leases[0].host_port

    def serves(**pools: tuple[ServedEndpoint, ...]) -> bool:
        served = {
            f"httpd:{name[1:]}": ((KEY, ServedPool(name=name, endpoints=found)),)
            for name, found in pools.items()
        }
        return is_served_by_its_groups(state, observed(state, served), record)

    assert serves(**{f"p{number}": (endpoint(),)})
    assert not serves(**{f"p{number}": ()})
    assert serves(**{f"p{number}": (endpoint(),), "p1": ()})  # a listener for somebody else
