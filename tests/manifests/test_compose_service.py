"""compose_service, compose_container, compose_environment, compose_values: the rules of single keys."""

from __future__ import annotations

import pytest

from portway.core.app import ContainerOptions
from portway.manifests.compose_values import parse_duration, parse_size
from tests.manifests.compose_files import (
    app_of,
    problem_of,
    problems_of,
    service,
    service_problem,
    service_text,
    warning_of,
    warnings_of,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1m30s", 90), ("500ms", 0.5), ("2h", 7200), ("1.5s", 1.5), ("0", 0), ("1d", 86400), ("10us", 1e-5),
     ("30", None), ("", None), ("1 s", None), ("s", None), ("-1s", None), ("1e3s", None), ("1m x", None)],
)  # fmt: skip
def test_a_duration_is_numbers_with_units(text: str, seconds: float | None) -> None:
    assert parse_duration(text) == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("text", "size_bytes"), [("1", 1), ("1b", 1), ("2K", 2048), ("1 mb", 1 << 20), ("1x", None), ("", None), ("k", None), ("-1m", None)]
)  # fmt: skip
def test_a_size_is_a_number_with_a_unit(text: str, size_bytes: int | None) -> None:
    assert parse_size(text) == size_bytes


def test_a_command_line_is_words_and_the_text_itself() -> None:
    app = service("command: bundle exec 'thin -p 3000'  -x")
    assert app.command == ("bundle", "exec", "thin -p 3000", "-x")
    assert app.command_text == "bundle exec 'thin -p 3000'  -x"


def test_a_list_of_words_is_no_text() -> None:
    app = service("command: [run, 'a b', 80]")
    assert (app.command, app.command_text) == (("run", "a b", "80"), None)


def test_no_command_is_the_images_own_and_an_empty_one_clears_it() -> None:
    assert service("user: a").command is None
    assert service("command:").command is None
    assert service("command: []").command == ()
    assert service("command: ''").command == ()


@pytest.mark.parametrize(
    "line", ["command: run 'x", "command: {a: b}", "entrypoint: 'a \"b'", "command: [[a]]"]
)
def test_a_command_that_cannot_be_is_an_error(line: str) -> None:
    assert service_problem(line).line == 4


def test_a_command_that_wants_a_shell_is_warned_of() -> None:
    assert "not run by a shell" in warning_of(service_text("command: a && b")).message
    assert warnings_of(service_text("command: sh -c 'a && b'")) == ()


def test_an_entrypoint_is_words() -> None:
    assert service("entrypoint: /run.sh -x").entrypoint == ("/run.sh", "-x")
    assert service("entrypoint: [/run.sh]").entrypoint == ("/run.sh",)


def test_plain_keys_are_taken_over() -> None:
    app = service("user: '1000:1000'", "working_dir: /srv", "stop_grace_period: 1m30s")
    assert (app.user, app.working_dir, app.stop_grace_s) == ("1000:1000", "/srv", 90)
    assert service("user: a").stop_grace_s == 10
    assert service("stop_grace_period: 0s").stop_grace_s == 0


@pytest.mark.parametrize(
    ("written", "signal"),
    [
        ("SIGINT", "SIGINT"),
        ("quit", "SIGQUIT"),
        ("15", "SIGTERM"),
        ("SIGRTMIN+3", "SIGRTMIN+3"),
        ("", "SIGTERM"),
    ],
)
def test_a_stop_signal_has_its_full_name(written: str, signal: str) -> None:
    assert service(f"stop_signal: {written}").stop_signal == signal


@pytest.mark.parametrize("written", ["SIGNOPE", "0", "99", "SIGRTMIN+99", "[a]"])
def test_a_signal_that_does_not_exist_is_an_error(written: str) -> None:
    assert service_problem(f"stop_signal: {written}").path == "services.web.stop_signal"


@pytest.mark.parametrize("image", ["''", "'a b'", "[a]", "{a: b}"])
def test_an_image_is_one_name(image: str) -> None:
    problem = problem_of(f"web: {{image: {image}}}\n")
    assert problem.path == "web.image"


def test_container_options_are_taken_over() -> None:
    app = service(
        "privileged: true",
        "cap_add: [NET_ADMIN, cap_sys_time]",
        "cap_drop: [ALL]",
        "read_only: yes",
        "init: true",
        "hostname: box",
        "tty: true",
        "shm_size: 64m",
        "ulimits: {nofile: {soft: 1024, hard: 2048}, nproc: 100, core: {hard: -1}}",
        "sysctls: [net.core.somaxconn=1024]",
        "dns: 1.1.1.1",
        "security_opt: [no-new-privileges:true]",
        "devices: ['/dev/fuse:/dev/fuse']",
        "group_add: [docker, 1000]",
    )
    assert app.container == ContainerOptions(
        privileged=True,
        cap_add=("NET_ADMIN", "SYS_TIME"),
        cap_drop=("ALL",),
        read_only=True,
        init=True,
        hostname="box",
        tty=True,
        shm_size_bytes=64 << 20,
        ulimits={"nofile": (1024, 2048), "nproc": (100, 100), "core": (-1, -1)},
        sysctls={"net.core.somaxconn": "1024"},
        dns=("1.1.1.1",),
        security_opt=("no-new-privileges:true",),
        devices=("/dev/fuse:/dev/fuse",),
        group_add=("docker", "1000"),
    )


@pytest.mark.parametrize(
    "line",
    ["privileged: maybe", "read_only: []", "cap_add: ['NET ADMIN']", "ulimits: {nofile: lots}",
     "ulimits: {nofile: {soft: 2, hard: 1}}", "sysctls: [a]", "devices: [fuse]", "shm_size: big", "hostname: 'a b'",
     "dns: {a: b}", "ulimits: [a]"],
)  # fmt: skip
def test_a_container_option_that_cannot_be_is_an_error(line: str) -> None:
    assert service_problem(line).path.startswith(f"services.web.{line.split(':')[0]}")


def test_environment_may_be_a_map_or_a_list() -> None:
    expected = {"A": "1", "B": "", "C": "x=y", "D": "true", "E": "22:22"}
    assert service("environment: {A: 1, B: '', C: x=y, D: true, E: 22:22}").environment == expected
    assert service("environment: [A=1, B=, C=x=y, D=true, 'E=22:22']").environment == expected


@pytest.mark.parametrize("written", ["[NEEDED]", "{NEEDED: null}"])
def test_a_name_without_a_value_is_required(written: str) -> None:
    assert service(f"environment: {written}", variables={"NEEDED": "v"}).environment == {
        "NEEDED": "v"
    }
    problem = service_problem(f"environment: {written}")
    assert problem.message == "web requires the variable NEEDED, which is not set"
    assert ".env" in problem.hint


def test_every_missing_variable_is_told() -> None:
    assert len(problems_of(service_text("environment: [A, B, C=1]"))) == 2


def test_a_link_or_portway_itself_gives_a_required_variable() -> None:
    text = service_text("links: ['db:pg-main']", "environment: [PG_MAIN_URL, PORT, HOST, PORT_WEB]")
    assert warnings_of(text + "  db: {image: d, expose: [5432]}\n") == ()


@pytest.mark.parametrize(
    "written",
    ["['KEY = v']", "['=v']", "['KEY': v]", "[{KEY: v}]", "[[a]]", "x", "{KEY: [a]}", "{'A B': c}"],
)
def test_an_environment_that_cannot_be_is_an_error(written: str) -> None:
    assert service_problem(f"environment: {written}").path.startswith("services.web.environment")


def test_a_space_around_the_equals_sign_is_explained() -> None:
    assert service_problem("environment: ['KEY = v']").hint.startswith(
        "Write KEY=value, without spaces"
    )


FILES = {"a.env": "A=a\nB=a\n", "b.env": "B=b\nC=$A\n", "prod.env": "E=p\n"}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("a.env", {"A": "a", "B": "a"}),
        ("[a.env, b.env]", {"A": "a", "B": "b", "C": ""}),
        ("[{path: a.env}]", {"A": "a", "B": "a"}),
        ("[{path: none.env, required: false}]", {}),
        ("${KIND}.env", {"E": "p"}),
    ],
)
def test_env_files_are_read_in_order(written: str, expected: dict[str, str]) -> None:
    app = service(f"env_file: {written}", files=FILES, variables={"KIND": "prod"})
    assert app.environment == expected


def test_environment_beats_env_files() -> None:
    assert (
        service("env_file: a.env", "environment: {A: own}", files=FILES).environment["A"] == "own"
    )


def test_an_env_file_that_is_not_there_is_an_error_at_its_place() -> None:
    problem = service_problem("env_file: [a.env, none.env]", files=FILES)
    assert "none.env is not there" in problem.message
    assert (problem.path, problem.line) == ("services.web.env_file[1]", 4)


def test_a_bad_line_of_an_env_file_is_an_error_in_that_file() -> None:
    problem = service_problem("env_file: x.env", files={"x.env": "A=1\n???\n"})
    assert (problem.file, problem.line) == ("x.env", 2)


@pytest.mark.parametrize("written", ["[{required: false}]", "[[a]]", "''", "{path: [a]}"])
def test_an_env_file_that_cannot_be_is_an_error(written: str) -> None:
    assert service_problem(f"env_file: {written}").path.startswith("services.web.env_file")


def test_an_env_file_that_is_too_large_is_an_error() -> None:
    problem = service_problem("env_file: x.env", files={"x.env": "A=1\n" * 300_000})
    assert "too large" in problem.message


def test_a_bad_env_file_that_two_services_name_is_told_once() -> None:
    text = "a: {image: x, env_file: x.env}\nb: {image: x, env_file: x.env}\n"
    assert problem_of(text, files={"x.env": "???\n"}).file == "x.env"


@pytest.mark.parametrize(
    "image", ["NoSuch", "shop/Web:1", "registry.example:5000/Shop/web@sha256:ab"]
)
def test_a_capital_in_the_name_of_an_image_is_an_error_with_the_name_to_write(image: str):
    problem = problem_of(f"services:\n  web:\n    image: {image}\n")
    assert "they are lower case" in problem.message
    assert problem.hint == f"Write {image.lower()}."
    assert (problem.line, problem.column) == (3, 12)


@pytest.mark.parametrize(
    "image", ["web:V1", "MyRegistry/web", "localhost/web:RC", "r.example:5000/shop/web:A@sha256:AB"]
)
def test_capitals_are_allowed_in_registry_tag_and_digest(image: str):
    assert app_of(f"services:\n  web:\n    image: {image}\n").image == image


def test_a_service_with_a_mistyped_image_is_told_what_was_meant():
    problem = problem_of("services:\n  web:\n    imgae: httpd\n")
    assert "nothing to run" in problem.message
    assert problem.hint.endswith("It has 'imgae'. Did you mean \"image\"?")
