"""Served: what is counted is no difference, everything else is one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.routes import EndpointState, RouteKey, ServedEndpoint, ServedPool, ServedRoute
from portway.core.served import serves_alike
from portway.core.traffic import Traffic

ONE = ServedEndpoint(
    instance_id="shop/web.1.1",
    address="10.0.0.2",
    port_number=80,
    state=EndpointState.READY,
    connections=0,
)
ROUTE = ServedRoute(
    key=RouteKey(address="", service_port=80),
    owner="shop/web",
    port_name="80",
    endpoints=(ONE,),
    pools=(ServedPool(name="blue", endpoints=(ONE,)),),
)
BUSY = replace(ONE, connections=9, traffic=Traffic(requests=5))


def test_what_is_counted_is_no_difference() -> None:
    counted = replace(
        ROUTE,
        requests=5,
        failed=1,
        traffic=Traffic(requests=5),
        endpoints=(BUSY,),
        pools=(replace(ROUTE.pools[0], endpoints=(BUSY,), traffic=Traffic(requests=5)),),
    )
    assert serves_alike(ROUTE, counted)


@pytest.mark.parametrize(
    "other",
    [
        replace(ROUTE, owner="shop/api"),
        replace(ROUTE, endpoints=()),
        replace(ROUTE, endpoints=(replace(ONE, state=EndpointState.DRAINING),)),
        replace(ROUTE, endpoints=(replace(ONE, address="10.0.0.3"),)),
        replace(ROUTE, pools=()),
        replace(ROUTE, pools=(ServedPool(name="blue"),)),
        replace(ROUTE, pools=(replace(ROUTE.pools[0], name="green"),)),
    ],
)
def test_everything_else_is_one(other: ServedRoute) -> None:
    assert not serves_alike(ROUTE, other)
