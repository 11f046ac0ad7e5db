"""compose_health: the rules."""

from __future__ import annotations

import pytest

from portway.core.app import CheckKind, HealthCheck
from tests.manifests.compose_files import service, service_problem, service_text, warning_of


def check(*lines: str) -> HealthCheck:
    return service(*lines).health


def labelled(*labels: str, ports: str = "['80:5000', '443:5001']") -> HealthCheck:
    return check(f"ports: {ports}", f"labels: [{', '.join(labels)}]")


def test_without_a_word_the_first_port_is_tried() -> None:
    assert check("ports: [80:80]") == HealthCheck()


@pytest.mark.parametrize(
    ("test", "kind", "command"),
    [
        ("curl -f x || exit 1", CheckKind.COMMAND, ("CMD-SHELL", "curl -f x || exit 1")),
        ("[CMD, curl, '-f', x]", CheckKind.COMMAND, ("curl", "-f", "x")),
        ("[CMD-SHELL, curl x]", CheckKind.COMMAND, ("CMD-SHELL", "curl x")),
        ("[NONE]", CheckKind.NONE, ()),
    ],
)
def test_a_test_is_a_command_inside_the_instance(
    test: str, kind: CheckKind, command: object
) -> None:
    health = check("healthcheck:", f"  test: {test}")
    assert (health.kind, health.command) == (kind, command)


def test_the_times_are_the_files() -> None:
    health = check(
        "healthcheck:",
        "  test: x",
        "  interval: 1m30s",
        "  timeout: 500ms",
        "  retries: 7",
        "  start_period: 2m",
        "  start_interval: 250ms",
    )
    assert (health.interval_s, health.timeout_s, health.unhealthy_threshold) == (90, 0.5, 7)
    assert (health.start_period_s, health.start_interval_s) == (120, 0.25)


def test_times_that_are_not_given_are_portways_own() -> None:
    default = HealthCheck()
    health = check("healthcheck: {test: x}")
    assert (health.interval_s, health.timeout_s) == (default.interval_s, default.timeout_s)
    assert health.start_period_s == default.start_period_s


def test_a_disabled_check_is_none() -> None:
    assert check("healthcheck: {disable: true}").kind is CheckKind.NONE


def test_a_check_without_a_test_says_what_is_tried_instead() -> None:
    assert "first TCP port" in warning_of(service_text("healthcheck: {interval: 3s}")).message
    assert check("healthcheck: {interval: 3s}").interval_s == 3


@pytest.mark.parametrize(
    "line", ["test: []", "test: [curl, x]", "test: [CMD]", "test: [NONE, x]", "test: ''", "test: {a: b}",
             "interval: 30", "interval: soon", "interval: 0s", "retries: 0", "retries: x", "timeout: -1s"]
)  # fmt: skip
def test_a_check_that_cannot_be_is_an_error_at_its_place(line: str) -> None:
    problem = service_problem(
        "healthcheck:",
        "  test: x" if "test" not in line else f"  {line}",
        *(() if "test" in line else (f"  {line}",)),
    )
    assert problem.path.startswith("services.web.healthcheck.")


def test_a_number_without_a_unit_is_told_the_unit() -> None:
    assert service_problem("healthcheck: {test: x, interval: 30}").hint == "Write 30s for seconds."


def test_a_path_label_asks_over_http_on_the_first_port() -> None:
    health = labelled("convox.health.path=/h")
    assert (health.kind, health.path, health.port_name) == (CheckKind.HTTP, "/h", None)


def test_a_port_label_names_the_container_port() -> None:
    health = labelled("convox.health.path=/h", "convox.health.port=5001")
    assert (health.kind, health.port_name) == (CheckKind.HTTP, "443")


def test_a_secure_port_is_asked_over_https() -> None:
    health = labelled(
        "convox.health.path=/h", "convox.health.port=5001", "convox.port.443.secure=true"
    )
    assert health.kind is CheckKind.HTTPS


def test_a_port_label_without_a_path_only_connects() -> None:
    assert labelled("convox.health.port=5001").kind is CheckKind.TCP


def test_a_port_that_is_not_declared_is_an_error_in_convoxs_words() -> None:
    problem = service_problem("ports: [80:5000]", "labels: [convox.health.port=9]")
    assert problem.message == "web service has convox.health.port set to a port it does not declare"
    assert "5000" in problem.hint


def test_the_listeners_number_is_recognised_and_the_container_port_named() -> None:
    problem = service_problem("ports: [80:5000]", "labels: [convox.health.port=80]")
    assert "80 is the listener; write its container port, 5000" in problem.hint


def test_a_path_needs_a_port_to_ask() -> None:
    assert "needs a TCP port" in service_problem("labels: [portway.health.path=/x]").message
    assert (
        "needs a TCP port"
        in service_problem("ports: [5/udp]", "labels: [portway.health.path=/x]").message
    )


@pytest.mark.parametrize("path", ["health", "/a b", "/x\\ny"])
def test_a_path_is_a_path(path: str) -> None:
    problem = service_problem("ports: [80:80]", f'labels: ["portway.health.path={path}"]')
    assert "must be a path" in problem.message


def test_the_interval_is_the_timeout_and_two_seconds() -> None:
    health = labelled("convox.health.timeout=20")
    assert (health.timeout_s, health.interval_s) == (20, 22)
    assert labelled("convox.health.path=/").interval_s == 5


def test_an_interval_label_beats_that() -> None:
    health = labelled("convox.health.timeout=20", "convox.health.interval=30")
    assert (health.timeout_s, health.interval_s) == (20, 30)


def test_with_labels_the_thresholds_are_two_and_two_unless_they_say_otherwise() -> None:
    health = labelled("convox.health.path=/")
    assert (health.healthy_threshold, health.unhealthy_threshold) == (2, 2)
    health = labelled("convox.health.threshold.healthy=3", "convox.health.threshold.unhealthy=4")
    assert (health.healthy_threshold, health.unhealthy_threshold) == (3, 4)


def test_a_timeout_of_zero_which_convox_let_pass_is_the_default() -> None:
    assert labelled("convox.health.timeout=0").timeout_s == 3


def test_portways_own_labels_know_no_limits_of_an_elb() -> None:
    health = labelled("portway.health.interval=0.5", "portway.health.threshold.healthy=1")
    assert (health.interval_s, health.healthy_threshold) == (0.5, 1)


def test_a_label_that_names_a_path_is_used_instead_of_the_test_and_says_so() -> None:
    lines = ("ports: [80:80]", "healthcheck: {test: x}", "labels: [portway.health.path=/h]")
    assert check(*lines).kind is CheckKind.HTTP
    assert "instead of healthcheck.test" in warning_of(service_text(*lines)).message


def test_a_label_that_only_gives_a_threshold_keeps_the_test_and_its_times() -> None:
    health = check(
        "ports: [80:80]",
        "healthcheck: {test: x, interval: 9s}",
        "labels: [portway.health.threshold.healthy=3]",
    )
    assert (health.kind, health.interval_s, health.healthy_threshold) == (CheckKind.COMMAND, 9, 3)


def readied(*labels: str, ports: str = "['80:5000', '443:5001']") -> HealthCheck | None:
    return service(f"ports: {ports}", f"labels: [{', '.join(labels)}]").readiness


def test_labels_say_what_counts_as_an_answer_and_how_it_is_asked_for() -> None:
    health = labelled(
        "portway.health.path=/h",
        "'portway.health.status=200-299,401'",
        "portway.health.method=head",
        "portway.health.host=shop.example:8443",
    )
    assert (health.kind, health.statuses) == (CheckKind.HTTP, ((200, 299), (401, 401)))
    assert (health.method, health.host) == ("HEAD", "shop.example:8443")
    assert HealthCheck().statuses == ((200, 399),)


def test_a_protocol_label_decides_what_is_spoken() -> None:
    assert labelled("portway.health.protocol=https").kind is CheckKind.HTTPS
    assert labelled("portway.health.protocol=http", "portway.health.path=/h").path == "/h"
    assert labelled("portway.health.protocol=tcp").kind is CheckKind.TCP
    https = labelled("portway.health.protocol=HTTPS", "portway.health.path=/h")
    assert (https.kind, https.path) == (CheckKind.HTTPS, "/h")


def test_a_command_label_runs_a_shell_inside_the_instance() -> None:
    health = labelled("portway.health.command=test -f /ready")
    assert (health.kind, health.command) == (
        CheckKind.COMMAND,
        ("CMD-SHELL", "test -f /ready"),
    )


def test_grace_and_delay_are_seconds_or_durations() -> None:
    health = labelled("portway.health.grace=1m30s", "portway.health.delay=5")
    assert (health.start_period_s, health.delay_s) == (90, 5)
    assert (health.healthy_threshold, health.interval_s) == (1, HealthCheck().interval_s)
    assert labelled("portway.health.interval=500ms").interval_s == 0.5


def test_a_pace_that_the_healthcheck_sets_is_kept_with_a_path_label() -> None:
    lines = ("ports: [80:80]", "healthcheck: {interval: 9s, retries: 4}")
    health = check(*lines, "labels: [portway.health.path=/h]")
    assert (health.interval_s, health.unhealthy_threshold) == (9, 4)


def test_without_a_readiness_label_nobody_asks_whether_it_is_ready() -> None:
    assert readied("portway.health.path=/h") is None


def test_readiness_is_a_check_of_its_own() -> None:
    lines = ("portway.health.path=/h", "portway.readiness.path=/ready", "portway.readiness.port=5001",
             "portway.readiness.interval=2", "portway.readiness.threshold.healthy=3", "'portway.readiness.status=204'")  # fmt: skip
    ready = readied(*lines)
    assert ready == HealthCheck(
        kind=CheckKind.HTTP,
        path="/ready",
        port_name="443",
        interval_s=2,
        healthy_threshold=3,
        statuses=((204, 204),),
    )
    assert labelled(*lines).path == "/h"


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ("portway.readiness.interval=2", "says nothing of what to ask"),
        ("portway.readiness.status=204", "says nothing of what to ask"),
        ("portway.readiness.path=ready", "must be a path that begins with '/'"),
        ("portway.readiness.port=9", "set to a port it does not declare"),
        ("portway.health.status=204", "for an HTTP check only"),
        ("portway.health.path=/h, portway.health.status=ok", "which names no HTTP statuses"),
        ("portway.health.path=/h, portway.health.method=POST", "is 'POST'"),
        ("portway.health.path=/h, 'portway.health.host=a b'", "which is no host name"),
        ("portway.health.path=/h, 'portway.health.host=a..b'", "which is no host name"),
        ("portway.health.protocol=htp", "which no check speaks"),
        ("portway.health.protocol=tcp, portway.health.path=/h", "has no meaning for a TCP check"),
        ("portway.health.command=x, portway.health.path=/h", "has no meaning beside"),
        ("portway.health.command=", "is empty"),
        ("portway.health.delay=soon", "must be seconds between 0 and 3600"),
        ("portway.health.grace=2h", "must be seconds between 0 and 3600"),
        ("portway.health.interval=0.01", "must be a number between 0.1 and 300"),
    ],
)
def test_a_label_that_cannot_be_is_an_error_at_its_place_with_a_way_out(
    labels: str, says: str
) -> None:
    problem = service_problem("ports: [80:80]", f"labels: [{labels}]")
    assert says in problem.message
    assert problem.path.startswith("services.web.labels")
    assert problem.hint
    assert problem.line == 5


def test_convox_never_had_the_labels_that_are_portways_own() -> None:
    text = service_text("ports: [80:80]", "labels: [convox.health.status=204]")
    assert "not one portway knows" in warning_of(text).message
    assert "portway.health.status" in warning_of(text).hint
