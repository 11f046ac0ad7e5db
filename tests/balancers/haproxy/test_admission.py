"""Which listeners are let in: those that run first, one per port, and only where the kernel agrees."""

from __future__ import annotations

from portway.balancers.haproxy.admission import admit
from portway.balancers.haproxy.listeners import Listener, build_listener
from portway.core.app import ListenerSpec
from portway.core.routes import Route, RouteKey


def make_listener(owner: str, address: str, service_port: int) -> Listener:
    route = Route(
        key=RouteKey(address=address, service_port=service_port),
        owner=owner,
        port_name="web",
        listener=ListenerSpec(),
    )
    return build_listener(route, public_addresses=("0.0.0.0",), certificates={}, fallback_pem="")


def bound(*listeners: Listener) -> dict[str, tuple[tuple[str, ...], int]]:
    return {one.name: (one.addresses, one.route.key.service_port) for one in listeners}


def free(_address: str, _service_port: int) -> tuple[str, str]:
    return "", ""


def taken(address: str, service_port: int) -> tuple[str, str]:
    return f"{address}:{service_port} is taken", "wait"


def test_the_one_that_runs_wins_over_a_newcomer() -> None:
    old, new = make_listener("z/old", "", 80), make_listener("a/new", "127.0.0.1", 80)
    accepted, problems = admit([new, old], bound=bound(old), bind_problem=free)
    assert accepted == (old,)
    assert [(p.owner, p.message) for p in problems] == [
        ("a/new", "Port 80 is already served for z/old.")
    ]


def test_different_addresses_share_a_port_number() -> None:
    pair = [make_listener("a", "127.0.0.1", 80), make_listener("b", "127.0.0.2", 80)]
    accepted, problems = admit(pair, bound={}, bind_problem=free)
    assert len(accepted) == 2
    assert problems == []


def test_the_kernel_is_not_asked_about_what_is_ours() -> None:
    old, new = make_listener("a", "", 80), make_listener("b", "127.0.0.1", 80)
    accepted, problems = admit([new], bound=bound(old), bind_problem=taken)
    assert accepted == (new,)
    assert problems == []


def test_a_port_the_kernel_refuses_is_left_out_with_its_reason() -> None:
    accepted, problems = admit([make_listener("a", "", 80)], bound={}, bind_problem=taken)
    assert accepted == ()
    assert [(p.message, p.hint, p.retryable) for p in problems] == [
        ("0.0.0.0:80 is taken", "wait", True)
    ]
