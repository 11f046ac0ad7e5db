"""compose_network: the rules."""

from __future__ import annotations

import pytest

from portway.core.app import App, Condition, Dependency, Link, Network
from tests.manifests.compose_files import (
    app_of,
    parse,
    problem_of,
    problems_of,
    service,
    service_problem,
    service_text,
    warning_of,
    warnings_of,
)

TOP = "networks:\n  front:\n  theirs: {external: true, name: real}\n"
DB = "  db:\n    image: d\n    expose: [5432]\n"


def networks(written: str, top: str = TOP) -> tuple[Network, ...]:
    return app_of(service_text(f"networks: {written}") + top).networks


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[front]", (Network(name="front"),)),
        ("[default]", ()),
        ("{default: }", ()),
        ("{front: {aliases: [a, b]}}", (Network(name="front", aliases=("a", "b")),)),
        ("{default: {aliases: [a]}}", (Network(name="default", aliases=("a",)),)),
        ("[theirs, front]", (Network(name="real", external=True), Network(name="front"))),
    ],
)
def test_a_service_joins_the_networks_it_lists_besides_the_stacks_own(
    written: str, expected: tuple[Network, ...]
) -> None:
    assert networks(written.replace(": }", ": null}")) == expected


def test_an_external_default_network_is_joined_by_all() -> None:
    top = "networks: {default: {external: {name: corp}}}\n"
    assert app_of(service_text("user: a") + top).networks == (Network(name="corp", external=True),)


def test_a_network_that_is_not_declared_is_an_error() -> None:
    problem = problem_of(service_text("networks: [frnt]") + TOP)
    assert "'frnt' is not declared" in problem.message
    assert problem.hint == 'Did you mean "front"?'
    assert problem.path == "services.web.networks[0]"


def test_a_network_driver_that_is_not_there_is_refused() -> None:
    assert (
        "macvlan"
        in problem_of(service_text("user: a") + "networks: {n: {driver: macvlan}}\n").message
    )


@pytest.mark.parametrize(
    "spec", ["internal: true", "name: x", "ipam: {}", "labels: [a]", "drivr: x"]
)
def test_what_a_network_cannot_have_is_warned_of(spec: str) -> None:
    assert warning_of(service_text("user: a") + f"networks: {{n: {{{spec}}}}}\n").path.startswith(
        "networks.n"
    )


def test_networks_that_should_keep_services_apart_are_warned_of_once() -> None:
    text = (
        "services:\n  a: {image: x, networks: [one]}\n  b: {image: x, networks: [two]}\n"
        "  c: {image: x}\nnetworks: {one: {}, two: {}}\n"
    )
    assert "networks do not keep a and b apart" in warning_of(text).message


@pytest.mark.parametrize("mode", ["bridge", "default"])
def test_the_ordinary_network_mode_is_what_portway_does_anyway(mode: str) -> None:
    assert warnings_of(service_text(f"network_mode: {mode}")) == ()


@pytest.mark.parametrize("mode", ["host", "none", "service:db", "container:x"])
def test_another_network_mode_is_refused_with_the_reason(mode: str) -> None:
    problem = service_problem(f"network_mode: {mode}")
    assert problem.path == "services.web.network_mode"
    assert problem.hint.startswith("Remove it")


def linked(written: str) -> App:
    return parse(service_text(f"links: {written}") + DB).apps[0]


def test_a_link_is_a_name_and_an_alias() -> None:
    assert linked("[db]").links == (Link(name="db", alias="db"),)
    assert linked("[db:pg, db]").links == (Link(name="db", alias="pg"), Link(name="db", alias="db"))


def test_a_linked_service_starts_first_as_in_compose() -> None:
    assert linked("[db]").depends_on == (Dependency(name="db"),)


def test_a_link_to_nothing_is_an_error_with_the_likely_name() -> None:
    problem = problem_of(service_text("links: [dbb]") + DB)
    assert problem.message == "web links to service: dbb which does not exist"
    assert problem.hint == 'Did you mean "db"?'


def test_a_link_to_itself_is_an_error() -> None:
    assert "links to itself" in service_problem("links: [web]").message


@pytest.mark.parametrize(
    ("written", "dependency"),
    [
        ("[db]", Dependency(name="db")),
        ("{db: {condition: service_healthy}}", Dependency(name="db", condition=Condition.HEALTHY)),
        ("{db: {condition: service_started}}", Dependency(name="db")),
        ("{db: {required: false}}", Dependency(name="db", required=False)),
        ("{db: null}", Dependency(name="db")),
    ],
)
def test_a_service_waits_for_what_it_depends_on(written: str, dependency: Dependency) -> None:
    assert parse(service_text(f"depends_on: {written}") + DB).apps[0].depends_on == (dependency,)


def test_depends_on_says_more_than_a_link() -> None:
    text = service_text("links: [db]", "depends_on: {db: {condition: service_healthy}}") + DB
    assert parse(text).apps[0].depends_on == (Dependency(name="db", condition=Condition.HEALTHY),)


@pytest.mark.parametrize(
    "written", ["[nobody]", "[web]", "{db: {condition: healthy}}", "db", "{nobody: {}}"]
)
def test_a_dependency_that_cannot_be_is_an_error(written: str) -> None:
    problem = problem_of(service_text(f"depends_on: {written}") + DB)
    assert problem.path.startswith("services.web.depends_on")


def test_an_optional_dependency_may_be_missing() -> None:
    assert service("depends_on: {nobody: {required: false}}").depends_on == ()


def circle(*edges: str) -> str:
    return "".join(f"{edge[0]}: {{image: x, depends_on: [{edge[1]}]}}\n" for edge in edges)


@pytest.mark.parametrize(
    ("edges", "named"),
    [
        (("ab", "ba"), "a -> b -> a"),
        (("ab", "bc", "ca"), "a -> b -> c -> a"),
        (("ab", "bc", "cb"), "b -> c -> b"),
    ],
)
def test_services_waiting_in_a_circle_are_an_error_that_names_it(
    edges: tuple[str, ...], named: str
) -> None:
    problem = problem_of(circle(*edges))
    assert named in problem.message
    assert problem.line == len(edges)


def test_links_can_close_a_circle_too() -> None:
    assert (
        "a -> b -> a"
        in problem_of("a: {image: x, links: [b]}\nb: {image: x, links: [a]}\n").message
    )


def test_two_circles_are_two_errors() -> None:
    assert len(problems_of(circle("ab", "ba", "cd", "dc"))) == 2


def test_a_diamond_is_no_circle() -> None:
    text = "a: {image: x, depends_on: [b, c]}\nb: {image: x, depends_on: [d]}\nc: {image: x, depends_on: [d]}\nd: {image: x}\n"
    assert len(parse(text).apps) == 4


def test_a_chain_of_a_thousand_services_is_followed() -> None:
    chain = [f"s{n}: {{image: x, depends_on: [s{n + 1}]}}\n" for n in range(999)]
    assert len(parse("".join(chain) + "s999: {image: x}\n").apps) == 1000


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[db:10.0.0.5]", (("db", "10.0.0.5"),)),
        ("['db=10.0.0.5']", (("db", "10.0.0.5"),)),
        ("{db: 10.0.0.5}", (("db", "10.0.0.5"),)),
        ("['db:::1']", (("db", "::1"),)),
        ("['db=[::1]']", (("db", "::1"),)),
        ("['me:host-gateway']", (("me", "host-gateway"),)),
    ],
)
def test_extra_hosts_are_names_and_addresses(written: str, expected: object) -> None:
    assert service(f"extra_hosts: {written}").extra_hosts == expected


@pytest.mark.parametrize(
    "written", ["[db]", "['db:there']", "[':1.2.3.4']", "['a b:1.2.3.4']", "x"]
)
def test_an_extra_host_that_cannot_be_is_an_error(written: str) -> None:
    assert service_problem(f"extra_hosts: {written}").line == 4
