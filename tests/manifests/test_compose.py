"""compose: the rules of the file as a whole."""

from __future__ import annotations

import time

import pytest

from portway.core.app import Build, Exposure
from portway.core.errors import ManifestError
from portway.manifests.base import References
from portway.manifests.compose import compose_references, parse_compose
from tests.manifests.compose_files import (
    app_of,
    parse,
    problem_of,
    problems_of,
    service_text,
    warning_of,
    warnings_of,
)

ONE = "services: {web: {image: x}}\n"


@pytest.mark.parametrize(
    "text",
    [
        "web: {image: x}\n",
        "version: '1'\nweb: {image: x}\n",
        ONE,
        "version: 2\n" + ONE,
        "version: '2'\n" + ONE,
        "version: '2.4'\n" + ONE,
        "version: 3\n" + ONE,
        "version: '3.8'\n" + ONE,
        "version:\n" + ONE,
    ],
)
def test_every_version_of_compose_is_read(text: str) -> None:
    assert app_of(text).id == "shop/web"


@pytest.mark.parametrize("version", ["4", "0", "'2.x'", "latest", "3.9.1"])
def test_an_unknown_version_is_an_error(version: str) -> None:
    problem = problem_of(f"version: {version}\n{ONE}")
    assert problem.message.startswith("unknown manifest version: ")
    assert (problem.line, problem.column) == (1, 10)


def test_the_apps_come_in_file_order() -> None:
    names = [app.name for app in parse("b: {image: x}\na: {image: x}\nc: {image: x}\n").apps]
    assert names == ["b", "a", "c"]


NO_SERVICES = [
    "version: '3'\n",
    "services:\n",
    "services: {}\n",
    "name: x\n",
    "networks: {a: {}}\n",
    "version: '2'\nweb: {image: x}\n",
]


@pytest.mark.parametrize("text", NO_SERVICES)
def test_a_file_without_services_is_an_error(text: str) -> None:
    assert any("the file has no services" in p.message for p in problems_of(text))


def test_a_mistyped_services_key_is_recognised() -> None:
    assert problem_of("servces:\n  web: {image: x}\n").hint == "Did you mean 'services'?"


@pytest.mark.parametrize("text", ["services: []\n", "services: web\n", "- web\n", "web\n", "12\n"])
def test_services_must_be_a_map(text: str) -> None:
    assert "map" in problem_of(text).message


@pytest.mark.parametrize("text", ["web: x\n", "web: [x]\n", "web:\n", "services: {web: null}\n"])
def test_a_service_must_be_a_map(text: str) -> None:
    assert problem_of(text).path.endswith("web")


def test_a_service_with_nothing_to_run_is_an_error() -> None:
    problem = problem_of("services:\n  web:\n    user: a\n")
    assert "web has nothing to run" in problem.message
    assert problem.path == "services.web"


def test_a_bare_command_is_enough_to_run() -> None:
    assert app_of("web: {command: ./serve $PORT}\n").command_text == "./serve $PORT"


@pytest.mark.parametrize("name", ["web", "web_api", "web-api", "web.api", "W1", "1web", "w" * 63])
def test_a_service_may_be_called_what_compose_allows(name: str) -> None:
    assert app_of(f"{name}: {{image: x}}\n").name == name


@pytest.mark.parametrize(
    "name", ["web/api", "'web api'", "-web", "wéb", "w" * 64, "'a\\nb'", "''", "web.1"]
)
def test_a_service_cannot_be_called_anything_else(name: str) -> None:
    name = name.replace("'", '"')
    problem = problem_of(f"services:\n  {name}: {{image: x}}\n")
    assert problem.line == 2
    assert "name" in problem.message or "long" in problem.message


def test_a_better_name_is_proposed() -> None:
    assert problem_of("web/api: {image: x}\n").hint == "For instance 'web-api'."


@pytest.mark.parametrize("stack", ["", "a/b", "x" * 64, "a b"])
def test_a_stack_cannot_be_called_anything_either(stack: str) -> None:
    with pytest.raises(ManifestError, match="stack"):
        parse_compose(ONE, stack=stack)


def test_the_file_may_name_the_stack() -> None:
    assert parse("name: ${N:-mine}\n" + ONE).name == "mine"
    assert parse(ONE).name == ""
    assert problem_of("name: a/b\n" + ONE).path == "name"


def test_an_unknown_key_is_warned_of_with_the_likely_one() -> None:
    warning = warning_of("services:\n  web:\n    image: x\n    prots: []\n")
    assert (warning.path, warning.line, warning.column) == ("services.web.prots", 4, 5)
    assert warning.hint == 'Did you mean "ports"?'
    assert warning_of("volmes: {}\n" + ONE).hint == 'Did you mean "volumes"?'


def test_the_users_own_keys_are_silent() -> None:
    text = (
        "x-a: {b: [c]}\n"
        + "services:\n  x-b: 1\n  web: {image: x, x-c: 2, build: {context: ., x-d: 1}}\n"
    )
    assert warnings_of(text) == ()


def test_services_may_share_keys_by_anchors() -> None:
    text = (
        "x-base: &base\n  restart: 'no'\n  environment: &env {A: '1'}\n"
        "services:\n  web:\n    <<: *base\n    image: x\n    environment: {<<: *env, B: '2'}\n"
    )
    app = app_of(text)
    assert app.environment == {"B": "2", "A": "1"}
    assert app.restart == "no"


@pytest.mark.parametrize(
    "line",
    [
        "container_name: x",
        "logging: {driver: syslog}",
        "stdin_open: true",
        "pid: host",
        "cpuset: '0'",
    ],
)
def test_a_key_that_means_nothing_here_is_warned_of_with_the_reason(line: str) -> None:
    warning = warning_of(service_text(line))
    assert "ignored" in warning.message
    assert (warning.line, warning.column) == (4, 5)


@pytest.mark.parametrize(
    "line",
    [
        "extends: {service: a}",
        "configs: [a]",
        "secrets: [a]",
        "volumes_from: [a]",
        "external_links: [a]",
    ],
)
def test_a_key_the_service_would_run_wrongly_without_is_refused_with_the_fix(line: str) -> None:
    problem = problem_of(service_text(line))
    assert "not supported" in problem.message
    assert problem.hint
    assert (problem.line, problem.column) == (4, 5)


def test_include_is_refused_and_top_level_secrets_are_warned_of() -> None:
    assert "one file" in problem_of("include: [a.yml]\n" + ONE).message
    assert "secrets are ignored" in warning_of("secrets: {a: {file: b}}\n" + ONE).message


def test_every_problem_is_told_in_file_order() -> None:
    text = (
        "services:\n"
        "  web:\n    image: x\n    ports: [0, 80:80]\n    user: ${\n    links: [nobody]\n"
        "  db:\n    image: y\n    ports: [80:1]\n    restart: sometimes\n"
    )
    problems = problems_of(text)
    assert [p.line for p in problems] == [4, 5, 6, 9, 10]
    with pytest.raises(ManifestError) as caught:
        parse(text)
    assert str(caught.value).startswith(
        "docker-compose.yml:4:13: services.web.ports[0]: the container port 0 is out of range\n  Ports are"
    )


PROFILED = "services:\n  web: {image: x}\n  debug: {image: x, profiles: [debug, all]}\n"


@pytest.mark.parametrize(
    ("profiles", "names"),
    [
        ((), ["web"]),
        (("debug",), ["web", "debug"]),
        (("*",), ["web", "debug"]),
        (("other",), ["web"]),
    ],
)
def test_a_service_with_profiles_runs_when_one_is_selected(
    profiles: tuple[str, ...], names: list[str]
) -> None:
    assert [app.name for app in parse(PROFILED, profiles=profiles).apps] == names


def test_depending_on_a_service_does_not_select_its_profile() -> None:
    text = PROFILED.replace("web: {image: x}", "web: {image: x, depends_on: [debug]}")
    assert "left out: none of its profiles (debug, all) is selected" in problem_of(text).message
    assert len(parse(text, profiles=("all",)).apps) == 2
    optional = text.replace("[debug]}", "{debug: {required: false}}}")
    assert parse(optional).apps[0].depends_on == ()


def test_what_is_left_out_is_not_judged() -> None:
    text = PROFILED + "  broken: {image: x, profiles: [p], environment: [NEEDED]}\n"
    assert len(parse(text).apps) == 1


def test_a_link_to_a_service_without_ports_is_warned_of() -> None:
    text = "a: {image: x, links: [b]}\nb: {image: x}\n"
    assert "no link variables are set" in warning_of(text).message
    assert warnings_of("a: {image: x, links: [b]}\nb: {image: x, expose: [1]}\n") == ()


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (".", Build(context="/project")),
        ("./app", Build(context="/project/app")),
        ("/abs", Build(context="/abs")),
        (
            "{context: ../x, dockerfile: D, target: t}",
            Build(context="/x", dockerfile="D", target="t"),
        ),
        ("{args: {A: 1, B: null, C: null}}", Build(context="/project", args={"A": "1", "B": "b"})),
        ("{args: [A=1, B]}", Build(context="/project", args={"A": "1", "B": "b"})),
    ],
)
def test_a_build_starts_at_the_manifests_directory(build: str, expected: Build) -> None:
    assert app_of(f"web: {{build: {build}}}\n", variables={"B": "b"}).build == expected


def test_convoxs_dockerfile_key_is_read_but_not_twice() -> None:
    assert app_of("web: {build: ., dockerfile: D}\n").build == Build(
        context="/project", dockerfile="D"
    )
    problem = problem_of("web: {build: {context: ., dockerfile: D}, dockerfile: E}\n")
    assert problem.message == "dockerfile specified twice for web"


@pytest.mark.parametrize(
    "build",
    ["https://x/y.git", "git@x:y", "{dockerfile_inline: FROM x}", "''", "{context: ''}", "[a]"],
)
def test_a_build_that_cannot_be_is_an_error(build: str) -> None:
    assert all(p.path.startswith("web.build") for p in problems_of(f"web: {{build: {build}}}\n"))


def test_references_name_what_the_manifest_needs() -> None:
    text = """\
name: ${NAME}
x-own: ${NOT_THIS}
services:
  web:
    image: x:${TAG:-${FALLBACK}}
    command: run $PORT ${DB}
    environment: [BARE, K=$V, HOST, PORT0]
    env_file: [web.env, {path: extra.env, required: false}]
    volumes: [~/x:/y]
    user: $PORT
    build: {context: ., args: [ARG]}
    labels: {a: $$NO}
  job:
    image: x
    env_file: {path: ./job.env}
    environment: {NULLED: , SET: '1'}
""".replace("env_file: {path: ./job.env}", "env_file: [{path: ./job.env}]").replace(
        ": ,", ": null,"
    )
    assert compose_references(text, file="f") == References(
        variables=(
            "NAME", "TAG", "FALLBACK", "PORT", "DB", "V", "BARE", "HOST", "PORT0", "ARG", "HOME", "NULLED",
        ),
        files=("web.env", "extra.env", "./job.env"),
        optional_files=("extra.env",),
    )  # fmt: skip


def test_variables_in_the_path_of_an_env_file_are_filled_in_when_given() -> None:
    text = "web: {image: x, env_file: '${KIND}.env'}\n"
    assert compose_references(text, file="f").files == ("${KIND}.env",)
    assert compose_references(text, file="f", variables={"KIND": "dev"}).files == ("dev.env",)
    assert app_of(text, variables={"KIND": "dev"}, files={"${KIND}.env": "A=1"}).environment == {
        "A": "1"
    }


def test_references_of_version_1_are_found_too() -> None:
    assert compose_references("web: {image: $I}\n", file="f").variables == ("I",)


def test_references_of_a_file_that_is_no_yaml_are_an_error() -> None:
    with pytest.raises(ManifestError):
        compose_references("a: [", file="f")


def test_a_malformed_variable_does_not_hide_the_other_references() -> None:
    assert compose_references("web: {image: '${', user: $U}\n", file="f").variables == ("U",)


def test_fifty_services_are_read_at_once() -> None:
    one = """\
  s{n}:
    image: registry/app:${{TAG:-1}}
    command: run --port $PORT --name s{n}
    environment: {{A: '1', B: '2', C: $X, D: 'long value'}}
    ports: ['{port}:5000', 5001]
    depends_on: {{s{before}: {{condition: service_healthy}}}}
    healthcheck: {{test: [CMD, curl, -f, 'http://localhost'], interval: 5s}}
    labels: [portway.port.{port}.protocol=http, a=b]
    volumes: ['./x{n}:/x:ro']
    deploy: {{replicas: 2, resources: {{limits: {{memory: 64m, cpus: '0.5'}}}}}}
"""
    text = "services:\n" + "".join(
        one.format(n=n, before=n - 1, port=8000 + n) for n in range(1, 51)
    )
    text = text.replace("    depends_on: {s0: {condition: service_healthy}}\n", "")
    started = time.perf_counter()
    manifest = parse(text, variables={"X": "x"})
    print(f"50 services in {time.perf_counter() - started:.3f} s")
    assert len(manifest.apps) == 50
    assert sum(p.exposure is Exposure.PUBLIC for app in manifest.apps for p in app.ports) == 50
