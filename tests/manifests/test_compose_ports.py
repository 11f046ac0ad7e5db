"""compose_ports: the rules."""

from __future__ import annotations

import pytest

from portway.core.app import App, Exposure, ListenerProtocol, PortSpec, Protocol
from tests.manifests.compose_files import (
    app_of,
    parse,
    problem_of,
    problems_of,
    service,
    service_problem,
    service_text,
    warning_of,
)

PUBLIC, INTERNAL, HOST = Exposure.PUBLIC, Exposure.INTERNAL, Exposure.HOST
TCP, UDP = Protocol.TCP, Protocol.UDP


def ports(*written: str, labels: str = "{}") -> tuple[PortSpec, ...]:
    return service(f"ports: [{', '.join(written)}]", f"labels: {labels}").ports


def port(written: str) -> PortSpec:
    (spec,) = ports(written)
    return spec


SHORT_FORMS = {
    "80": PortSpec(name="80", container_port=80, exposure=INTERNAL),
    "'80'": PortSpec(name="80", container_port=80, exposure=INTERNAL),
    "5000/tcp": PortSpec(name="5000", container_port=5000, exposure=INTERNAL),
    "80:5000": PortSpec(name="80", container_port=5000, service_ports=(80,)),
    "'80:5000'": PortSpec(name="80", container_port=5000, service_ports=(80,)),
    "80:5000/TCP": PortSpec(name="80", container_port=5000, service_ports=(80,)),
    "22:22": PortSpec(name="22", container_port=22, service_ports=(22,)),
    "8080:59": PortSpec(name="8080", container_port=59, service_ports=(8080,)),
    "127.0.0.1:80:5000": PortSpec(
        name="80", container_port=5000, service_ports=(80,), address="127.0.0.1"
    ),
    "'[::1]:80:5000'": PortSpec(name="80", container_port=5000, service_ports=(80,), address="::1"),
    "'::1:80:5000'": PortSpec(name="80", container_port=5000, service_ports=(80,), address="::1"),
    "127.0.0.1::5000": PortSpec(name="5000", container_port=5000, address="127.0.0.1"),
    "'[::1]:5000'": PortSpec(name="5000", container_port=5000, address="::1"),
    "65535:1": PortSpec(name="65535", container_port=1, service_ports=(65535,)),
    "514:6000/udp": PortSpec(
        name="514", container_port=6000, protocol=UDP, exposure=HOST, host_port=514
    ),
    "127.0.0.1:514:6000/UDP": PortSpec(
        name="514",
        container_port=6000,
        protocol=UDP,
        exposure=HOST,
        host_port=514,
        address="127.0.0.1",
    ),
    "53/udp": PortSpec(
        name="53", container_port=53, protocol=UDP, exposure=HOST, address="127.0.0.1"
    ),
    "8080-8085:80": PortSpec(
        name="8080", container_port=80, service_ports=(8080, 8081, 8082, 8083, 8084, 8085)
    ),
    "10.0.0.1:8080-8081:80": PortSpec(
        name="8080", container_port=80, service_ports=(8080, 8081), address="10.0.0.1"
    ),
}


@pytest.mark.parametrize("written", SHORT_FORMS)
def test_every_short_form_means_what_compose_users_expect(written: str) -> None:
    assert port(written) == SHORT_FORMS[written]


def test_a_range_with_a_range_is_one_port_each() -> None:
    assert [(p.name, p.service_ports, p.container_port) for p in ports("8000-8002:9000-9002")] == [
        ("8000", (8000,), 9000),
        ("8001", (8001,), 9001),
        ("8002", (8002,), 9002),
    ]


def test_a_bare_range_is_one_internal_port_each() -> None:
    specs = ports("3000-3002")
    assert [(p.name, p.container_port, p.exposure) for p in specs] == [
        ("3000", 3000, INTERNAL),
        ("3001", 3001, INTERNAL),
        ("3002", 3002, INTERNAL),
    ]


def test_a_udp_range_is_one_fixed_host_port_each() -> None:
    assert [(p.host_port, p.container_port) for p in ports("500-501:600-601/udp")] == [
        (500, 600),
        (501, 601),
    ]


def test_a_bare_port_never_makes_a_public_one_internal() -> None:
    assert [p.exposure for p in ports("80:5000", "5001")] == [PUBLIC, INTERNAL]
    assert [p.exposure for p in ports("5001", "80:5000")] == [INTERNAL, PUBLIC]


def test_one_container_port_may_have_two_listeners() -> None:
    assert [(p.name, p.service_ports, p.container_port) for p in ports("80:80", "443:80")] == [
        ("80", (80,), 80),
        ("443", (443,), 80),
    ]


def test_every_port_of_a_service_has_a_name_of_its_own() -> None:
    specs = ports("80:5000", "80", "80:80/udp", "127.0.0.1:81:1", "10.0.0.1:81:1")
    assert [p.name for p in specs] == ["80", "80-2", "80-udp", "81", "81-2"]


def test_a_bare_port_given_twice_counts_once_and_is_warned_of() -> None:
    warning = warning_of(service_text("ports: [5000, 5000/tcp]"))
    assert warning.path == "services.web.ports[1]"
    assert len(service("ports: [5000, 5000/tcp]").ports) == 1


LONG_FORMS = {
    "{target: 80}": PortSpec(name="80", container_port=80, exposure=INTERNAL),
    "{target: 80, published: 8080}": PortSpec(
        name="8080", container_port=80, service_ports=(8080,)
    ),
    "{target: 80, published: '8080', name: web}": PortSpec(
        name="web", container_port=80, service_ports=(8080,)
    ),
    "{target: 80, published: 8000-8001}": PortSpec(
        name="8000", container_port=80, service_ports=(8000, 8001)
    ),
    "{target: 80, published: 8080, host_ip: 127.0.0.1}": PortSpec(
        name="8080", container_port=80, service_ports=(8080,), address="127.0.0.1"
    ),
    "{target: 80, host_ip: 127.0.0.1}": PortSpec(name="80", container_port=80, address="127.0.0.1"),
    "{target: 53, published: 53, protocol: udp}": PortSpec(
        name="53", container_port=53, protocol=UDP, exposure=HOST, host_port=53
    ),
    "{target: 80, published: 8080, mode: host}": PortSpec(
        name="8080", container_port=80, exposure=HOST, host_port=8080
    ),
    "{target: 80, published: 8080, mode: ingress}": PortSpec(
        name="8080", container_port=80, service_ports=(8080,)
    ),
}


@pytest.mark.parametrize("written", LONG_FORMS)
def test_every_long_form_means_what_the_compose_spec_says(written: str) -> None:
    assert port(written) == LONG_FORMS[written]


@pytest.mark.parametrize(
    ("word", "protocol"),
    [("http", "http"), ("HTTPS", "https"), ("grpc", "http"), ("tcp", "tcp"), ("postgres", "auto")],
)
def test_app_protocol_says_what_the_listener_speaks(word: str, protocol: str) -> None:
    spec = port(f"{{target: 80, published: 80, app_protocol: {word}}}")
    assert spec.listener.protocol is ListenerProtocol(protocol)


def test_without_a_word_the_listener_finds_out_what_is_spoken() -> None:
    assert port("80:80").listener.protocol is ListenerProtocol.AUTO


REFUSED = {
    "0": "out of range",
    "0:80": "out of range",
    "80:0": "out of range",
    "65536": "out of range",
    "65536:80": "out of range",
    "80:70000": "out of range",
    "99999999999999999999999:80": "out of range",
    "-1": "negative",
    "'-1:80'": "negative",
    "80:-1": "negative",
    "80/tcp/udp": "more than one protocol",
    "80/sctp": "not a protocol",
    "80/": "not a protocol",
    "534a": "not a number",
    "534b:5000": "not a number",
    "5000:534c": "not a number",
    "'８０'": "not a number",
    "http": "not a number",
    "80-": "has no end",
    "1-2-3": "not a number",
    "90-80": "runs backwards",
    "90-80:80": "runs backwards",
    "8000-8005:9000-9002": "not of the same size",
    "8000:9000-9002": "8000 is one port, but 9000-9002 are 3",
    "'80:'": "container port is missing",
    "':80'": "nothing stands before the ':'",
    "':'": "container port is missing",
    "5000:9000:1000": "one number too many",
    "localhost:80:80": "not an IP address",
    "1.2.3:80:80": "not an IP address",
    "'[::1:80:80'": "not a port",
    "''": "is empty",
    "[80]": "must be a single value",
    "{80: 5000}": "is a map",
    "{published: 80, protocol: tcp}": "needs a target",
    "{target: 80, published: 0}": "out of range",
    "{target: 80, protocol: sctp}": "not a protocol",
    "{target: 80, mode: hsot}": "not a mode",
    "{target: 80, host_ip: me}": "not an IP address",
    "{target: 80, published: 80, name: '8 0'}": "cannot name a port",
    "8000-8001:53/udp": "is a pool",
}


@pytest.mark.parametrize("written", REFUSED)
def test_a_port_that_cannot_be_is_refused_with_its_place_and_the_fix(written: str) -> None:
    problem = service_problem("ports:", f"  - {written}")
    assert REFUSED[written] in problem.message
    assert problem.path.startswith("services.web.ports[0]")
    assert problem.line == 5
    assert problem.column >= 9
    assert problem.hint or written in ("''", "[80]")


def test_a_wrong_part_of_a_long_form_is_shown_where_it_stands() -> None:
    problem = service_problem("ports:", "  - target: 80", "    published: 0")
    assert (problem.path, problem.line, problem.column) == (
        "services.web.ports[0].published",
        6,
        20,
    )


def test_every_bad_port_is_told_not_only_the_first() -> None:
    problems = problems_of(service_text("ports: [0, 80:80, 70000, x]"))
    assert [p.path[-2] for p in problems] == ["0", "2", "3"]


def test_ports_must_be_a_list() -> None:
    assert "must be a list" in service_problem("ports: 80").message


def test_a_missing_space_is_explained() -> None:
    assert 'write "80:5000"' in service_problem("ports:", "  - 80: 5000").hint


def test_too_many_ports_are_refused() -> None:
    assert "more than 5000 ports" in service_problem("ports: ['1-65535:1-65535']").message


CONFLICTS = [
    ("80:1", "80:2"),
    ("80:1", "127.0.0.1:80:2"),
    ("0.0.0.0:80:1", "127.0.0.1:80:2"),
    ("'[::]:80:1'", "127.0.0.1:80:2"),
    ("127.0.0.1:80:1", "127.0.0.1:80:2"),
    ("80-82:1-3", "82:4"),
    ("80-82:1", "81:4"),
    ("53:1/udp", "53:2/udp"),
    ("{target: 1, published: 80, mode: host}", "80:2"),
]


@pytest.mark.parametrize(("one", "other"), CONFLICTS)
def test_two_ports_wanting_one_number_are_refused_and_both_places_named(
    one: str, other: str
) -> None:
    text = f"services:\n  a:\n    image: x\n    ports: [{one}]\n  b:\n    image: x\n    ports: [{other}]\n"
    problem = problem_of(text)
    assert "b" in problem.message
    assert "which a" in problem.message
    assert "docker-compose.yml:4:13, services.a.ports[0]" in problem.message
    assert (problem.line, problem.path) == (7, "services.b.ports[0]")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("80:1", "81:1"),
        ("127.0.0.1:80:1", "127.0.0.2:80:1"),
        ("53:53/tcp", "53:53/udp"),
        ("3306", "3306"),
        ("80:5000", "80"),
    ],
)
def test_ports_that_can_live_together_are_accepted(one: str, other: str) -> None:
    text = f"a: {{image: x, ports: [{one}]}}\nb: {{image: x, ports: [{other}]}}\n"
    assert len(parse(text).apps) == 2


def test_services_that_are_left_out_claim_no_ports() -> None:
    text = "services:\n  a: {image: x, ports: ['80:1']}\n  b: {image: x, ports: ['80:1'], profiles: [p]}\n"
    assert app_of(text).name == "a"


def test_without_the_balancer_the_left_number_is_the_host_port() -> None:
    (spec,) = ports("80:5000", labels="{convox.balancer: 'false'}")
    assert (spec.exposure, spec.host_port, spec.service_ports) == (HOST, 80, ())


def test_without_the_balancer_a_bare_port_stays_on_this_machine() -> None:
    (spec,) = ports("5000", labels="{portway.balancer: 'false'}")
    assert (spec.exposure, spec.host_port, spec.address) == (HOST, None, "127.0.0.1")


def exposed(written: str) -> App:
    return service(f"expose: {written}")


def test_expose_lists_container_ports() -> None:
    assert exposed("[3000, '3001', 4000-4002, 53/udp, 3000]").expose == (
        3000,
        3001,
        4000,
        4001,
        4002,
        53,
    )


@pytest.mark.parametrize("written", ["[80:80]", "[x]", "[0]", "['']", "[1-65535]"])
def test_expose_takes_container_ports_only(written: str) -> None:
    assert service_problem(f"expose: {written}").hint


@pytest.mark.parametrize("entry", ["1-4000:80", "1-4000:1-4000", "1-4000"])
def test_many_ranges_are_counted_together(entry: str) -> None:
    problems = problems_of(
        service_text(
            f"ports: ['{entry}', '127.0.0.1:{entry}']"
            if ":" in entry
            else f"ports: ['{entry}', 5001-7000]"
        )
    )
    assert any("more than 5000 ports" in p.message for p in problems)


def test_the_ports_of_all_services_are_counted_too() -> None:
    text = "".join(f"s{n}: {{image: x, ports: ['1-5000']}}\n" for n in range(5))
    assert "more than 20000 ports" in problem_of(text).message


def test_very_many_addresses_and_labels_do_not_take_long() -> None:
    ports = ", ".join(f"'10.0.{n // 250}.{n % 250}:80:1'" for n in range(4900))
    labels = ", ".join(f"portway.port.{n}.proxy=true" for n in range(5000))
    app = service(f"ports: [{ports}]", f"labels: [{labels}]")
    assert len(app.ports) == 4900
    assert all(spec.listener.proxy_protocol for spec in app.ports)
