"""compose_labels: the rules."""

from __future__ import annotations

import pytest

from portway.core.app import Balance, ListenerProtocol, ListenerSpec
from tests.manifests.compose_files import (
    problems_of,
    service,
    service_problem,
    service_text,
    warning_of,
    warnings_of,
)


def listener(*labels: str, ports: str = "[443:5000]") -> ListenerSpec:
    return service(f"ports: {ports}", f"labels: [{', '.join(labels)}]").ports[0].listener


@pytest.mark.parametrize("prefix", ["convox", "portway"])
@pytest.mark.parametrize("protocol", ["http", "https", "tcp", "tls"])
def test_a_label_says_what_a_listener_speaks(prefix: str, protocol: str) -> None:
    assert listener(f"{prefix}.port.443.protocol={protocol}").protocol is ListenerProtocol(protocol)


def test_labels_may_be_a_map() -> None:
    app = service("ports: [443:1]", "labels: {convox.port.443.protocol: tls}")
    assert app.ports[0].listener.protocol is ListenerProtocol.TLS


def test_an_unknown_protocol_is_an_error() -> None:
    problem = service_problem("ports: [443:1]", "labels: [convox.port.443.protocol=ssl]")
    assert "'ssl', which is no protocol" in problem.message
    assert problem.hint == "Did you mean 'tls'?"
    assert (problem.line, problem.path) == (5, "services.web.labels[0]")


@pytest.mark.parametrize("prefix", ["convox", "portway"])
def test_proxy_and_secure_are_switches(prefix: str) -> None:
    assert listener(f"{prefix}.port.443.proxy=true").proxy_protocol
    assert listener(f"{prefix}.port.443.secure=true").secure
    assert not listener(f"{prefix}.port.443.secure=false").secure


def test_the_access_log_is_a_switch() -> None:
    assert service("labels: {portway.access_log: 'true'}").labels["portway.access_log"] == "true"
    problem = service_problem("labels: [portway.access_log=perhaps]")
    assert "portway.access_log must be true or false, not 'perhaps'" in problem.message


def test_what_only_portway_knows_is_a_portway_label() -> None:
    spec = listener(
        "portway.port.443.protocol=http",
        "portway.port.443.balance=leastconn",
        "portway.port.443.sticky=true",
        "portway.port.443.slow-start=30s",
    )
    assert spec.balance is Balance.LEAST_CONNECTIONS
    assert spec.sticky
    assert spec.slow_start_s == 30
    assert (
        "did you mean"
        in warning_of(
            service_text("ports: [443:1]", "labels: [convox.port.443.balance=leastconn]")
        ).hint.lower()
    )


def test_a_portway_label_wins_whatever_the_order() -> None:
    labels = ["convox.port.443.protocol=tcp", "portway.port.443.protocol=http"]
    assert listener(*labels).protocol is ListenerProtocol.HTTP
    assert listener(*reversed(labels)).protocol is ListenerProtocol.HTTP


def test_a_label_names_the_listener_not_the_container_port() -> None:
    warning = warning_of(
        service_text("ports: [443:5000]", "labels: [convox.port.5000.protocol=tls]")
    )
    assert "no port 5000 is declared" in warning.message
    assert "did you mean its listener, 443" in warning.hint


def test_a_label_reaches_bare_ports_and_every_port_of_a_pool() -> None:
    assert (
        listener("portway.port.5000.protocol=http", ports="[5000]").protocol
        is ListenerProtocol.HTTP
    )
    assert (
        listener("portway.port.81.protocol=http", ports="['80-82:1']").protocol
        is ListenerProtocol.HTTP
    )


def test_a_label_for_a_port_outside_the_balancer_is_warned_of() -> None:
    text = service_text("ports: [53:53/udp]", "labels: [portway.port.53.protocol=tcp]")
    assert "the balancer has no part" in warning_of(text).message


def test_a_label_beats_app_protocol() -> None:
    app = service(
        "ports: [{target: 1, published: 443, app_protocol: http}]",
        "labels: [convox.port.443.protocol=https]",
    )
    assert app.ports[0].listener.protocol is ListenerProtocol.HTTPS


@pytest.mark.parametrize(
    "label", ["balance=fastest", "sticky=perhaps", "slow-start=soon", "proxy=x", "secure="]
)
def test_a_value_a_port_label_cannot_have_is_an_error(label: str) -> None:
    problem = service_problem("ports: [443:1]", f"labels: ['portway.port.443.{label}']")
    assert problem.path == "services.web.labels[0]"


def test_stickiness_needs_http() -> None:
    problem = service_problem(
        "ports: [443:1]",
        "labels: {portway.port.443.protocol: tcp, portway.port.443.sticky: 'true'}",
    )
    assert "needs an HTTP listener" in problem.message


@pytest.mark.parametrize("value", ["1", "60", "3600"])
def test_the_idle_timeout_is_the_labels(value: str) -> None:
    assert listener(f"convox.idle.timeout={value}").idle_timeout_s == float(value)


BAD_VALUES = [
    ("convox.idle.timeout=0", "must be a number between 1 and 3600"),
    ("convox.idle.timeout=3601", "must be a number between 1 and 3600"),
    ("convox.draining.timeout=0", "convox.draining.timeout for web must be between 1 and 3600"),
    ("convox.draining.timeout=x", "convox.draining.timeout for web must be between 1 and 3600"),
    (
        "convox.health.timeout=61",
        "convox.health.timeout is invalid for web, must be a number between 0 and 60",
    ),
    (
        "convox.health.timeout=x",
        "convox.health.timeout is invalid for web, must be a number between 0 and 60",
    ),
    ("convox.health.interval=4", "must be a number between 5 and 300"),
    ("convox.health.interval=301", "must be a number between 5 and 300"),
    (
        "convox.health.threshold.healthy=1",
        "convox.health.threshold.healthy is invalid for web, must be a number between 2 and 10",
    ),
    ("convox.health.threshold.unhealthy=11", "must be a number between 2 and 10"),
    ("portway.health.threshold.healthy=1.5", "must be a whole number"),
    ("convox.deployment.minimum=101", "must be a number between 0 and 100"),
    ("convox.deployment.maximum=99", "must be a number between 100 and 1000"),
    ("convox.deployment.maximum=1e3", "must be a number"),
    ("convox.start.shift=x", "invalid shift: x"),
    ("portway.balancer=maybe", "must be true or false"),
    ("portway.balancer", "has no value"),
]


@pytest.mark.parametrize(("label", "message"), BAD_VALUES)
def test_a_value_out_of_bounds_is_an_error_in_convoxs_words(label: str, message: str) -> None:
    problem = service_problem("ports: [80:80]", f"labels: ['{label}']")
    assert message in problem.message
    assert (problem.line, problem.path) == (5, "services.web.labels[0]")


def test_start_shift_is_kept_for_start() -> None:
    assert service("labels: [convox.start.shift=5000]").start_shift == 5000
    assert service("labels: {convox.start.shift: 5000, portway.start.shift: 7}").start_shift == 7


def test_only_exactly_false_turns_convoxs_balancer_off() -> None:
    text = service_text("ports: [80:80]", "labels: [convox.balancer=no]")
    assert "only 'false' means anything" in warning_of(text).message
    assert service("ports: [80:80]", "labels: [convox.balancer=no]").ports[0].service_ports == (80,)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("convox.agent=true", "as many instances as it is told"),
        ("convox.cron.nightly=* * * * ? bin/x", "nothing on a timetable"),
        ("convox.environment.secure=true", "never shows variables"),
        ("convox.helth.path=/x", 'Did you mean "convox.health.path"?'),
        ("portway.port.80.protcol=http", 'Did you mean "portway.port.80.protocol"?'),
        ("portway.zzz=1", "not one portway knows"),
    ],
)
def test_a_label_that_means_nothing_here_is_warned_of(label: str, words: str) -> None:
    warning = warning_of(service_text("ports: [80:80]", f"labels: ['{label}']"))
    assert words in warning.message + warning.hint
    assert warning.path == "services.web.labels[0]"


def test_other_labels_are_the_containers_own() -> None:
    app = service("labels: [com.example=1, traefik.enable=true, bare]")
    assert app.labels == {"com.example": "1", "traefik.enable": "true", "bare": ""}
    assert not warnings_of(service_text("labels: [com.example=1]"))


def test_a_label_given_twice_is_warned_of_and_the_last_counts() -> None:
    text = service_text("ports: [80:80]", "labels: [portway.start.shift=1, portway.start.shift=2]")
    assert "given twice" in warning_of(text).message


def test_every_bad_label_is_told() -> None:
    assert (
        len(problems_of(service_text("labels: [convox.idle.timeout=0, convox.start.shift=x]"))) == 2
    )
