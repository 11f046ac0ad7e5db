"""interpolate: the rules."""

from __future__ import annotations

import pytest

from portway.core.errors import ManifestError
from portway.manifests.interpolate import TemplateError, parse_dotenv, parse_template, variables_of
from tests.manifests.compose_files import (
    problem_of,
    service,
    service_problem,
    service_text,
    warning_of,
)

SET = {"A": "1", "EMPTY": "", "B": "$A"}

FILLED = {
    "x": "x",
    "$A": "1",
    "${A}": "1",
    "${A}2": "12",
    "$A-$A": "1-1",
    "$$A": "$A",
    "$$$A": "$1",
    "${A:-d}": "1",
    "${EMPTY:-d}": "d",
    "${EMPTY-d}": "",
    "${UNSET:-d}": "d",
    "${UNSET-d}": "d",
    "${UNSET-}": "",
    "${UNSET:-a b: c}": "a b: c",
    "${UNSET:-${A}}": "1",
    "${UNSET:-${UNSET2:-${UNSET3:-deep}}}": "deep",
    "${UNSET:-$$x}": "$x",
    "${UNSET:-$A}-${UNSET:-b}": "1-b",
    "${A:+yes}": "yes",
    "${EMPTY:+yes}": "",
    "${EMPTY+yes}": "yes",
    "${UNSET+yes}": "",
    "${A:?needed}": "1",
    "${EMPTY?needed}": "",
    "$B": "$A",
    "é${A}": "é1",
}


@pytest.mark.parametrize("text", FILLED)
def test_variables_are_filled_in_as_compose_does(text: str) -> None:
    app = service(f'user: "{text}"', variables=SET)
    assert app.user == FILLED[text]


@pytest.mark.parametrize(
    "text",
    ["${", "${}", "${A", "$", "$ ", "$1", "${1A}", "$(date)", "${A!x}", "${A:}", "${A:-${B}", "a$"],
)
def test_a_malformed_variable_is_an_error_that_says_how_to_write_it(text: str) -> None:
    problem = service_problem(f'user: "{text}"', variables=SET)
    assert (problem.path, problem.line) == ("services.web.user", 4)
    assert "Write" in problem.hint or "Close" in problem.hint or "After" in problem.hint


def test_an_unset_variable_is_empty_and_warned_of_at_its_place() -> None:
    warning = warning_of(service_text("user: ${NOBODY}"))
    assert "NOBODY is not set" in warning.message
    assert (warning.path, warning.line, warning.column) == ("services.web.user", 4, 11)


@pytest.mark.parametrize(
    "text", ["${NEED:?say please}", "${NEED?say please}", "${EMPTY:?say please}"]
)
def test_a_required_variable_that_is_missing_is_an_error_with_the_files_own_words(
    text: str,
) -> None:
    problem = service_problem(f"user: {text}", variables=SET)
    assert "is required: say please" in problem.message
    assert ".env" in problem.hint


def test_a_variable_cannot_change_the_structure_of_the_file() -> None:
    app = service("user: ${EVIL}", variables={"EVIL": "x\nprivileged: true"})
    assert app.user == "x\nprivileged: true"
    assert not app.container.privileged


def test_a_variable_that_is_filled_in_is_not_filled_again() -> None:
    assert service("user: $B", variables={"B": "${A}", "A": "1"}).user == "${A}"


@pytest.mark.parametrize(
    "name", ["PORT", "PORT0", "PORT12", "PORTS", "PORT_WEB", "PORT_5000", "HOST"]
)
def test_what_is_known_only_at_start_stays_as_written_where_the_instance_sees_it(name: str) -> None:
    app = service(
        f"command: run ${name}",
        f"entrypoint: [sh, '${{{name}}}']",
        f"environment: {{X: ${name}}}",
        f"healthcheck: {{test: 'curl :${name}'}}",
    )
    assert app.command == ("run", f"${name}")
    assert app.entrypoint == ("sh", f"${{{name}}}")
    assert app.environment == {"X": f"${name}"}
    assert app.health.command == ("CMD-SHELL", f"curl :${name}")


def test_elsewhere_a_name_known_only_at_start_is_unset() -> None:
    assert "PORT0 is not set" in warning_of(service_text("user: $PORT0")).message


def test_a_set_variable_beats_the_one_known_at_start() -> None:
    assert service("command: run $PORT", variables={"PORT": "99"}).command == ("run", "99")


def test_a_default_in_the_file_beats_the_one_known_at_start() -> None:
    assert service("command: run ${PORT:-3000}").command == ("run", "3000")


def test_only_values_are_filled_in_never_keys() -> None:
    assert service("environment: {$A: x}", variables=SET).environment == {"$A": "x"}


def test_the_users_own_x_keys_are_left_alone() -> None:
    assert service("x-note: ${", "user: a").user == "a"


def test_variables_work_in_every_kind_of_value() -> None:
    app = service("ports: ['${P:-80}:5000']", "deploy: {replicas: $N}", variables={"N": "3"})
    assert app.ports[0].service_ports == (80,)
    assert app.count == 3


def test_values_that_grow_without_bound_are_refused() -> None:
    big = {"BIG": "x" * 100_000}
    problem = problem_of(service_text('user: "' + "$BIG" * 100 + '"'), variables=big)
    assert "too long" in problem.message


def test_defaults_nested_too_deep_are_refused() -> None:
    with pytest.raises(TemplateError, match="too deep"):
        parse_template("${A:-" * 50 + "}" * 50)


def test_the_names_of_a_template_include_those_in_defaults() -> None:
    assert [v.name for v in variables_of(parse_template("$A ${B:-${C}} $$D"))] == ["A", "B", "C"]


DOTENV = {
    "A=1": {"A": "1"},
    "A=1\r\nB=2\r\n": {"A": "1", "B": "2"},
    "export A=1": {"A": "1"},
    "  A = 1 ": {"A": "1"},
    "A=": {"A": ""},
    "# c\n\nA=1 # c": {"A": "1"},
    "A=x#y": {"A": "x#y"},
    "A=#y": {"A": ""},
    "A=a=b": {"A": "a=b"},
    "A='a # $B'": {"A": "a # $B"},
    'A="a # b" # c': {"A": "a # b"},
    'A="a\\nb\\t\\"\\\\"': {"A": 'a\nb\t"\\'},
    "A='1\n2'\nB=3": {"A": "1\n2", "B": "3"},
    "A=1\nB=$A${A}": {"A": "1", "B": "11"},
    "B=${A:-d}": {"B": "d"},
    'B="${OUT}"': {"B": "o"},
    "OUT": {"OUT": "o"},
    "NOBODY": {},
    "A=p$%w": {"A": "p$%w"},
    'A="\\$x"': {"A": "$x"},
    "A.b-c=1": {"A.b-c": "1"},
    "\ufeffA=1": {"A": "1"},
    "": {},
}


@pytest.mark.parametrize("text", DOTENV)
def test_a_dotenv_file_is_read_line_by_line(text: str) -> None:
    assert parse_dotenv(text, ".env", {"OUT": "o"}) == DOTENV[text]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\n=2", 2),
        ("A=1\nB C", 2),
        ("1A=x", 1),
        ("A=1\n\nB='open\nC=1", 3),
        ('A="a" b', 1),
        ("A='1\n2'\n?", 3),
        ("A=${B:?}", 1),
    ],
)
def test_a_line_of_a_dotenv_file_that_is_no_variable_is_an_error_with_its_number(
    text: str, line: int
) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_dotenv(text, ".env")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line) == (".env", line)


def test_every_bad_line_of_a_dotenv_file_is_told() -> None:
    with pytest.raises(ManifestError) as caught:
        parse_dotenv("=1\n=2\n", ".env")
    assert [p.line for p in caught.value.problems] == [1, 2]
