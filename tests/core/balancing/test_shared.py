"""Virtual hosts become rules: who answers where, in which order, and who shares a pool."""

from __future__ import annotations

from dataclasses import replace

from portway.balancers.haproxy.ruled_problem import ruled_problem
from portway.core.app import (
    Balance,
    JointPort,
    ListenerProtocol,
    ListenerSpec,
    PortSpec,
    VirtualHost,
)
from portway.core.balancing.shared import (
    NOBODY,
    SharedPort,
    places_of,
    ports_in,
    shared_routes,
)
from portway.core.diagnosis_rules import diagnose_rules
from portway.core.facts import Verdict
from portway.core.routes import Endpoint, EndpointState, Route
from portway.core.rules import Forward, Redirect, Request, StickyKind, choose


def port(
    name: str, *hosts: str, listener: ListenerSpec | None = None, **said: object
) -> SharedPort:
    host = replace(VirtualHost(hosts=hosts), **said)
    spec = PortSpec(name="http", container_port=80, virtual=host, listener=listener or ListenerSpec())  # fmt: skip
    one = Endpoint(instance_id=f"s/{name}.1.1", address="10.0.0.1", port_number=80)
    return SharedPort(app_id=f"s/{name}", spec=spec, endpoints=(one,))


def routes(*ports: SharedPort, certificates: tuple[str, ...] = ("c",)) -> tuple[Route, ...]:
    return shared_routes(ports, http_port=80, https_port=443, certificates=certificates)


def met(route: Route, host: str, path: str = "/") -> str:
    """The pool, or what is answered instead."""
    assert route.default is not None
    action = choose(route.rules, route.default, Request(source="127.0.0.1", host=host, path=path))
    match action:
        case Forward():
            return action.pools[0][0]
        case Redirect():
            return f"{action.status} {action.protocol} {action.port_text}"
        case _:
            return str(action.status)


def test_a_request_meets_the_longest_path_first_and_a_whole_host_before_one_with_a_star() -> None:
    plain, _ = routes(
        port("any", "*"),
        port("wild", "*.x.test"),
        port("www", "www.x.test"),
        port("api", "*.x.test", path="/api"),
        port("v2", "*.x.test", path="/api/v2"),
    )
    assert met(plain, "www.x.test") == "s/www:http"
    assert met(plain, "WWW.X.test", "/api/v2/y") == "s/v2:http"
    assert met(plain, "b.x.test", "/apis") == "s/api:http"
    assert met(plain, "b.x.test") == "s/wild:http"
    assert met(plain, "other") == "s/any:http"


def test_a_larger_weight_is_tried_first() -> None:
    plain, _ = routes(port("a", "*", path="/api"), port("b", "x.test", weight=2))
    assert met(plain, "x.test", "/api") == "s/b:http"


def test_characters_of_a_path_mean_themselves() -> None:
    plain, _ = routes(port("a", "x.test", path="/a*b?"))
    assert met(plain, "x.test", "/a*b?c") == "s/a:http"
    assert met(plain, "x.test", "/aXbY") == "503"


def test_ports_of_one_host_and_path_are_one_pool_of_all_their_instances() -> None:
    plain, _ = routes(port("blue", "x.test", "blue.test"), port("green", "X.test"))
    assert met(plain, "x.test") == "s/blue:http+s/green:http"
    assert met(plain, "blue.test") == "s/blue:http"
    both = next(pool for pool in plain.pools if len(ports_in(pool.name)) == 2)
    assert [one.instance_id for one in both.endpoints] == ["s/blue.1.1", "s/green.1.1"]


def test_plain_http_is_sent_to_https_where_that_is_wanted() -> None:
    plain, secure = routes(port("a", "x.test", redirects=True))
    assert met(plain, "x.test") == "301 https 443"
    assert (met(secure, "x.test"), plain.pools) == ("s/a:http", ())
    assert (secure.listener.protocol, secure.certificates) == (ListenerProtocol.HTTPS, ("c",))


def test_without_a_certificate_there_is_no_https_and_without_a_host_no_listener() -> None:
    assert [r.key.service_port for r in routes(port("a", "x.test"), certificates=())] == [80]
    assert routes() == ()
    assert places_of([replace(port("a", "x"), spec=PortSpec(name="p", container_port=1))]) == ()


def test_ports_of_one_joint_number_are_one_listener_whatever_it_speaks() -> None:
    joint = JointPort(group="g", service_port=8080)
    told = {}
    for protocol in (ListenerProtocol.HTTP, ListenerProtocol.TCP, ListenerProtocol.AUTO):
        listener = ListenerSpec(protocol=protocol, sticky=True)
        made = [port(name, listener=listener) for name in ("blue", "green")]
        two = [replace(one, spec=replace(one.spec, virtual=None, joint=joint)) for one in made]
        (route,) = routes(*two)
        told[protocol] = route.listener.protocol
        assert (route.key.service_port, route.rules, ruled_problem(route)) == (8080, (), "")
        (pool,) = route.pools
        assert [one.instance_id for one in pool.endpoints] == ["s/blue.1.1", "s/green.1.1"]
        assert (pool.spec.sticky is not None) == (protocol is ListenerProtocol.HTTP)
    assert told[ListenerProtocol.AUTO] is ListenerProtocol.TCP


def test_a_pool_balances_as_the_port_says_and_a_sticky_one_has_marathon_lbs_cookie() -> None:
    listener = ListenerSpec(balance=Balance.LEAST_CONNECTIONS, sticky=True)
    plain, _ = routes(port("a", "x.test", listener=listener))
    (pool,) = plain.pools
    assert pool.spec.balance is Balance.LEAST_CONNECTIONS
    assert pool.spec.sticky is not None
    assert (pool.spec.sticky.kind, pool.spec.sticky.cookie) == (StickyKind.COOKIE, "mesosphere_server_id")  # fmt: skip


def test_why_walks_from_the_host_to_the_instances() -> None:
    draining = port("old", "old.test")
    gone = replace(draining.endpoints[0], state=EndpointState.DRAINING)
    plain, _ = routes(port("a", "x.test", path="/api"), replace(draining, endpoints=(gone,)), replace(port("none", "none.test"), endpoints=()))  # fmt: skip

    def why(host: str, path: str = "/") -> tuple[Verdict, str, str]:
        found = diagnose_rules("it", plain, host=host, path=path)
        return found.verdict, found.sentence, found.fix

    assert why("x.test", "/api/y")[:2] == (Verdict.OK, "rule x.test/api of the virtual hosts forwards it to s/a:http")  # fmt: skip
    verdict, sentence, fix = why("x.test")
    assert verdict is Verdict.BROKEN
    assert "no rule of the virtual hosts matches GET x.test/ (x.test/api: host x.test, path /api*;" in sentence  # fmt: skip
    assert "HAPROXY_0_VHOST" in fix
    assert "no instance of s/old:http takes requests: 1 keep what they have" in why("old.test")[1]
    assert why("none.test")[2].startswith("`portway why s/none` says why")
    assert plain.default == NOBODY
