"""What a real HAProxy does with rules, compared with what `choose` says, and with what an ALB does."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portway.balancers.haproxy.balancer import HAProxyBalancer
from portway.core.app import ListenerProtocol, ListenerSpec
from portway.core.errors import BalancerError
from portway.core.routes import Endpoint, EndpointState, Pool, Route, RouteKey
from portway.core.rules import (
    Action,
    Condition,
    Forward,
    ForwardedMode,
    Part,
    PoolSpec,
    Redirect,
    Request,
    Respond,
    Rule,
    RuledListener,
    Sticky,
    StickyKind,
    choose,
)
from tests.balancers.conftest import StartInstance
from tests.balancers.support import (
    LOOPBACK,
    Answer,
    Connection,
    EchoInstance,
    connect,
    eventually,
    fetch,
    free_service_port,
    header_of,
    headers_of,
    make_endpoint,
    needs_haproxy,
)

pytestmark = needs_haproxy


def pool(name: str, *instances: EchoInstance, **spec: object) -> Pool:
    return Pool(
        name=name,
        spec=PoolSpec(**spec),  # pyright: ignore[reportArgumentType]
        endpoints=tuple(make_endpoint(one) for one in instances),
    )


def ruled(
    service_port: int,
    default: Action,
    *rules: Rule,
    pools: Sequence[Pool] = (),
    protocol: ListenerProtocol = ListenerProtocol.HTTP,
    address: str = LOOPBACK,
    listener: RuledListener | None = None,
) -> Route:
    return Route(
        key=RouteKey(address=address, service_port=service_port),
        owner="lb:web",
        port_name="listener",
        listener=ListenerSpec(protocol=protocol),
        rules=rules,
        default=default,
        pools=tuple(pools),
        ruled=listener or RuledListener(),
    )


def to(*names: str) -> Forward:
    return Forward(pools=tuple((name, 1) for name in names))


def path_is(value: str, action: Action) -> Rule:
    return Rule(name=value, conditions=(Condition(part=Part.PATH, values=(value,)),), action=action)


def patterns(letters: str) -> st.SearchStrategy[str]:
    return st.text(alphabet=letters, min_size=1, max_size=4)


VALUES = st.lists(patterns("aB.*?-"), min_size=1, max_size=2).map(tuple)
CONDITIONS = st.one_of(
    st.builds(Condition, part=st.just(Part.HOST), values=VALUES),
    st.builds(
        Condition,
        part=st.just(Part.PATH),
        values=st.lists(patterns("aB/%2*?").map("/".__add__), min_size=1, max_size=2).map(tuple),
    ),
    st.builds(
        Condition, part=st.just(Part.HEADER), values=VALUES, name=st.sampled_from(["x-a", "X-B!"])
    ),
    st.builds(
        Condition, part=st.just(Part.METHOD), values=st.sampled_from([("GET",), ("PUT", "HEAD")])
    ),
    st.builds(
        Condition,
        part=st.just(Part.QUERY),
        pairs=st.lists(
            st.tuples(
                st.text(alphabet="aB*?", max_size=2), st.text(alphabet="aB*?=\\", max_size=3)
            ),
            min_size=1,
            max_size=2,
        ).map(tuple),
    ),
    st.builds(
        Condition,
        part=st.just(Part.SOURCE),
        values=st.sampled_from([("127.0.0.0/8",), ("10.0.0.0/8", "::1/128")]),
    ),
    st.builds(
        Condition,
        part=st.sampled_from([Part.HOST, Part.PATH]),
        values=st.sampled_from([("a+$",), ("^/?[ab]'?", "B{2}")]),
        is_regex=st.just(True),
    ),
)
RULES = st.lists(st.lists(CONDITIONS, min_size=1, max_size=3), min_size=6, max_size=12)
REQUESTS = st.builds(
    Request,
    source=st.just(LOOPBACK),
    method=st.sampled_from(["GET", "PUT", "get"]),
    host=st.text(alphabet="aAb.-", min_size=1, max_size=4),
    path=st.text(alphabet="aAB/%2", max_size=4).map("/".__add__),
    query=st.none() | st.text(alphabet="aAb=&*", max_size=6),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["X-A", "x-b!"]), st.text(alphabet="aAb.", min_size=1, max_size=3)
        ),
        max_size=2,
    ).map(tuple),
)


async def asked(connection: Connection, request: Request) -> Answer:
    target = request.path + ("" if request.query is None else f"?{request.query}")
    lines = [f"{request.method} {target} HTTP/1.1", f"Host: {request.host}:80"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    await connection.send(("\r\n".join(lines) + "\r\n\r\n").encode())
    return await connection.answer()


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(rules=RULES, requests=st.lists(REQUESTS, min_size=15, max_size=30))
async def test_haproxy_chooses_as_the_oracle_does(
    balancer: HAProxyBalancer, rules: list[list[Condition]], requests: list[Request]
) -> None:
    tried = [
        Rule(name=str(at), conditions=tuple(conditions), action=Respond(status=420 + at))
        for at, conditions in enumerate(rules)
    ]
    default = Respond(status=404)
    served = await balancer.observe()
    number = served[0].key.service_port if served else free_service_port()
    await balancer.apply("lb:web", [ruled(number, default, *tried)])
    connection = await connect(number)
    for request in requests:
        expected = choose(tried, default, request)
        assert isinstance(expected, Respond)
        assert ((await asked(connection, request)).status, request) == (expected.status, request)
    await connection.close()


async def test_answers_and_redirects_are_what_was_written(balancer: HAProxyBalancer) -> None:
    body = "<i>\"no'\\n #$%[src]</i>\n\u00e9\n"
    rules = (
        path_is("/body", Respond(status=418, content_type="text/html", body=body)),
        path_is("/empty", Respond(status=503)),
        path_is("/there", Redirect(status=301, protocol="HTTPS", port_text="443")),
        path_is(
            "/nasty",
            Redirect(status=302, host="x.test", path="/a'\"b%41#{path}", query="q=#{query}&r"),
        ),
    )
    number = free_service_port()
    await balancer.apply("lb:web", [ruled(number, Respond(status=404, body="none"), *rules)])
    said = await fetch(number, "/body")
    assert (said.status, said["content-type"], said.body) == (418, "text/html", body)
    assert ((await fetch(number, "/empty")).status, (await fetch(number, "/x")).body) == (
        503,
        "none",
    )
    there = await fetch(number, "/there?a=1&b=%20")
    assert (there.status, there["location"]) == (301, "https://shop.test/there?a=1&b=%20")
    assert (await fetch(number, "/there"))["location"] == "https://shop.test/there"
    nasty = await fetch(number, "/nasty?k=v")
    assert nasty["location"] == f"http://x.test:{number}/a'\"b%41nasty?q=k=v&r"
    assert "302 Found" in nasty.body
    assert (await fetch(number, "/", method="TRACE")).status == 405


async def test_weights_share_requests_and_a_cookie_keeps_a_client(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    blue, green = await start_instance("blue"), await start_instance("green")
    number = free_service_port()
    spread = Forward(pools=(("blue", 3), ("green", 1), ("none", 0)))
    rules = (
        path_is("/kept", Forward(pools=(("blue", 1), ("green", 1)), sticky_s=60)),
        path_is("/off", Forward(pools=(("blue", 0), ("green", 0)))),
        path_is("/empty", to("none")),
    )
    pools = (pool("blue", blue), pool("green", green), pool("none"))
    await balancer.apply("lb:web", [ruled(number, spread, *rules, pools=pools)])
    connection = await connect(number)
    seen = Counter([(await connection.request()).instance for _ in range(200)])
    assert set(seen) == {"blue", "green"}
    assert 100 < seen["blue"] < 190  # 150 of 200; one in 10^7 runs is outside
    first = await connection.request("/kept")
    cookie = headers_of(first.head, "set-cookie")[0].partition(";")[0]
    assert cookie.startswith("AWSALBTG=")
    kept = {(await connection.request("/kept", f"Cookie: {cookie}")).instance for _ in range(20)}
    assert kept == {first.instance}
    assert (await connection.request("/off")).status == 503
    assert (await connection.request("/empty")).status == 503
    await connection.close()
    (served,) = await balancer.observe()
    counted = {one.name: one.traffic.requests for one in served.pools}
    assert sum(counted.values()) == 200 + 21 + 1
    assert counted["none"] == 1  # the empty pool answers itself


async def test_a_sticky_client_moves_only_when_its_endpoint_leaves(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    number = free_service_port()
    sticky = Sticky(kind=StickyKind.COOKIE, duration_s=60)
    route = ruled(number, to("web"), pools=[pool("web", a, b, sticky=sticky)])
    await balancer.apply("lb:web", [route])
    connection = await connect(number)
    first = await connection.request()
    (cookie, twin) = headers_of(first.head, "set-cookie")
    assert re.match(r"AWSALB=[0-9a-f]{12}; Expires=\w{3}, .* GMT; Path=/; HttpOnly$", cookie)
    assert re.match(r"AWSALBCORS=.*; SameSite=None; Secure$", twin)
    asks = [f"Cookie: {cookie.partition(';')[0]}", f"Cookie: {twin.partition(';')[0]}"]
    again = {(await connection.request("/", ask)).instance for ask in asks * 3}
    assert again == {first.instance}
    left = [one for one in (a, b) if one.name != first.instance]
    gone = replace(route, pools=(pool("web", *left, sticky=sticky),))
    await balancer.apply("lb:web", [gone])
    moved = await fetch(number, "/", asks[0])
    assert moved.instance == left[0].name
    assert headers_of(moved.head, "set-cookie")[0].partition(";")[0] != cookie.partition(";")[0]
    await connection.close()
    assert (await balancer.info()).reloads == 1


async def test_a_refused_connection_a_silent_endpoint_and_no_endpoint_are_told_apart(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    silent = await start_instance("silent")
    number, nobody = free_service_port(), free_service_port()
    dead = tuple(
        Endpoint(instance_id=f"dead{n}", address=f"127.0.0.{n}", port_number=nobody) for n in (1, 2)
    )
    rules = (path_is("/dead", to("dead")), path_is("/empty", to("empty")))
    pools = (pool("web", silent), Pool(name="dead", endpoints=dead), Pool(name="empty"))
    listener = RuledListener(idle_timeout_s=0.3)
    route = ruled(number, to("web"), *rules, pools=pools, listener=listener)
    await balancer.apply("lb:web", [route])
    bad, late, none = await asyncio.gather(
        *(fetch(number, path) for path in ("/dead", "/hold", "/empty"))
    )
    assert [bad.status, late.status, none.status] == [502, 504, 503]
    assert "<h1>502 Bad Gateway</h1>" in bad.body
    assert "<h1>504 Gateway Timeout</h1>" in late.body
    assert "<h1>503 Service Temporarily Unavailable</h1>" in none.body
    assert {one["server"] for one in (bad, late, none)} == {"awselb/2.0"}


async def test_endpoints_are_told_of_the_client_as_the_listener_says(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    routes = {
        mode: ruled(
            free_service_port(),
            to("web"),
            pools=[pool("web", a)],
            listener=RuledListener(forwarded=mode, preserve_host=False, drop_invalid_headers=True),
        )
        for mode in ForwardedMode
    }
    await balancer.apply("lb:web", list(routes.values()))
    told: dict[ForwardedMode, list[str]] = {}
    for mode, route in routes.items():
        number = route.key.service_port
        await fetch(
            number, "/", "X-Forwarded-For: 6.6.6.6", "X_Odd: 1", "X-Forwarded-Proto: gopher"
        )
        told[mode] = headers_of(a.heads[-1], "x-forwarded-for")
        assert headers_of(a.heads[-1], "x-forwarded-proto") == ["http"]
        assert headers_of(a.heads[-1], "x-forwarded-port") == [str(number)]
        assert headers_of(a.heads[-1], "host") == [f"shop.test:{number}"]
        assert headers_of(a.heads[-1], "x_odd") == []
    assert told == {
        ForwardedMode.APPEND: [f"6.6.6.6, {LOOPBACK}"],
        ForwardedMode.PRESERVE: ["6.6.6.6"],
        ForwardedMode.REMOVE: [],
    }
    number = routes[ForwardedMode.APPEND].key.service_port
    for sent, expected in (
        ((), r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}"),
        (("X-Amzn-Trace-Id: Root=1-a-b",), r"Self=1-[0-9a-f]{8}-[0-9a-f]{24};Root=1-a-b"),
        (("X-Amzn-Trace-Id: Lineage=x",), r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Lineage=x"),
    ):
        await fetch(number, "/", *sent)
        assert re.fullmatch(expected, header_of(a.heads[-1], "x-amzn-trace-id"))
        assert headers_of(a.heads[-1], "x-forwarded-for") == [LOOPBACK]


async def test_changed_rules_lose_no_request(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    blue, green = await start_instance("blue"), await start_instance("green")
    number = free_service_port()
    pools = (pool("blue", blue), pool("green", green))
    routes = [ruled(number, to(name), pools=pools) for name in ("blue", "green", "blue", "green")]
    await balancer.apply("lb:web", routes[:1])
    asking = True
    seen: list[tuple[int, str]] = []

    async def client() -> None:
        while asking:
            answer = await fetch(number)
            seen.append((answer.status, answer.instance))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(client())
        held = tasks.create_task(fetch(number, "/hold"))
        await eventually(lambda: any("/hold" in head for head in blue.heads))
        for route in routes[1:]:
            await balancer.apply("lb:web", [route])
            last = len(seen)
            await eventually(lambda last=last: len(seen) > last + 4)
        asking = False
        blue.hold.set()
    assert held.result().instance == "blue"
    assert {status for status, _ in seen} == {200}
    assert (await fetch(number)).instance == "green"


async def test_many_load_balancers_share_a_service_port_and_an_endpoint_is_in_many_pools(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a = await start_instance("a")
    number = free_service_port()
    pools = (pool("web", a), pool("api", a))
    rule = path_is("/api", to("api"))
    routes = [
        ruled(number, to("web"), rule, pools=pools, address=f"127.64.0.{n}") for n in (1, 2, 3)
    ]
    await balancer.apply("lb:web", routes)
    for n in (1, 2, 3):
        reader, writer = await asyncio.open_connection(f"127.64.0.{n}", number)
        assert (await Connection(reader, writer).request("/api")).instance == "a"
        writer.close()
    served = await balancer.observe()
    assert [
        one.traffic.requests for route in served for one in route.pools if one.name == "api"
    ] == [1] * 3


async def test_streams_are_shared_by_weight_and_kept_by_source(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b, c = [await start_instance(name) for name in "abc"]
    by_source, by_weight = free_service_port(), free_service_port()
    sticky = Sticky(kind=StickyKind.SOURCE)
    tcp = ListenerProtocol.TCP
    await balancer.apply(
        "lb:web",
        [
            ruled(by_source, to("web"), pools=[pool("web", a, b, c, sticky=sticky)], protocol=tcp),
            ruled(
                by_weight,
                Forward(pools=(("a", 1), ("b", 1), ("c", 0))),
                pools=[pool(one.name, one, proxy_protocol=1) for one in (a, b, c)],
                protocol=tcp,
            ),
        ],
    )

    async def reached(number: int) -> str:
        connection = await connect(number)
        await connection.send(b"\x01\x02")
        answer = await connection.receive()
        await connection.close()
        return answer[:1].decode()

    assert len({await reached(by_source) for _ in range(5)}) == 1
    assert {await reached(by_weight) for _ in range(30)} == {"a", "b"}
    assert [bool(one.proxied) for one in (b, c)] == [True, False]


async def test_what_haproxy_cannot_load_is_refused_and_what_it_had_goes_on(
    balancer: HAProxyBalancer, start_instance: StartInstance
) -> None:
    a, b = await start_instance("a"), await start_instance("b")
    route = ruled(free_service_port(), to("web"), pools=[pool("web", a)])
    await balancer.apply("lb:web", [route])
    bad = Condition(part=Part.PATH, values=("(",), is_regex=True)
    rules = (Rule(name="1", conditions=(bad,), action=Respond(status=403)),)
    draining = replace(make_endpoint(a), state=EndpointState.DRAINING)
    pools = (Pool(name="web", endpoints=(draining, make_endpoint(b))),)
    with pytest.raises(BalancerError, match="cannot serve port"):
        await balancer.apply("lb:web", [replace(route, rules=rules, pools=pools)])
    assert (await fetch(route.key.service_port)).instance == "b"
