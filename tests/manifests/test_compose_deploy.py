"""compose_deploy: the rules."""

from __future__ import annotations

import pytest

from portway.core.app import Resources, Restart, Rollout
from tests.manifests.compose_files import (
    parse,
    problem_of,
    service,
    service_problem,
    service_text,
    warning_of,
    warnings_of,
)


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("user: a", None),
        ("scale: 3", 3),
        ("deploy: {replicas: 4}", 4),
        ("deploy: {replicas: 0}", 0),
        ('deploy: {replicas: "\\x1c3"}', 3),  # int() takes fewer spaces off than strip()
    ],
)
def test_the_count_is_what_the_file_says_or_nothing(line: str, count: int | None) -> None:
    assert service(line).count == count


def test_scale_and_replicas_may_agree_but_not_differ() -> None:
    assert service("scale: 2", "deploy: {replicas: 2}").count == 2
    assert (
        "scale is 2, but deploy.replicas is 3"
        in service_problem("scale: 2", "deploy: {replicas: 3}").message
    )


@pytest.mark.parametrize("value", ["-1", "x", "1.5", "100000"])
def test_a_count_is_a_whole_number_within_reason(value: str) -> None:
    assert service_problem(f"deploy: {{replicas: {value}}}").path == "services.web.deploy.replicas"


def rollout(update: str, *lines: str, replicas: int = 4) -> Rollout:
    return service(f"deploy: {{replicas: {replicas}, update_config: {update}}}", *lines).rollout


def test_the_default_is_start_first() -> None:
    assert service("user: a").rollout == Rollout(minimum_percent=100, maximum_percent=200)
    assert rollout("{parallelism: 2, delay: 5s}") == Rollout(parallelism=2, delay_s=5)


def test_start_first_keeps_every_instance() -> None:
    spec = rollout("{order: start-first}")
    assert (spec.minimum_percent, spec.maximum_percent) == (100, 200)


@pytest.mark.parametrize(
    ("update", "replicas", "minimum"),
    [
        ("{order: stop-first}", 4, 75),
        ("{order: stop-first, parallelism: 2}", 4, 50),
        ("{order: stop-first, parallelism: 0}", 4, 0),
        ("{order: stop-first, parallelism: 9}", 4, 0),
        ("{order: stop-first}", 1, 0),
        ("{order: stop-first}", 0, 0),
        ("{order: stop-first}", 3, 66),
    ],
)
def test_stop_first_lowers_the_minimum_by_what_is_replaced_at_once(
    update: str, replicas: int, minimum: int
) -> None:
    spec = rollout(update, replicas=replicas)
    assert (spec.minimum_percent, spec.maximum_percent) == (minimum, 100)


STATEFUL = ["./data:/data", "data:/data", "/srv:/data", "{type: volume, source: data, target: /d}"]
STATELESS = [
    "./data:/data:ro",
    "data:/data:ro",
    "/data",
    "/var/run/docker.sock:/var/run/docker.sock",
    "/proc:/host/proc",
    "/sys/fs/cgroup:/sys/fs/cgroup",
    "/dev/fuse:/dev/fuse",
    "{type: tmpfs, target: /d}",
    "{type: bind, source: ./x, target: /d, read_only: true}",
]


def with_volume(volume: str, *lines: str) -> Rollout:
    text = service_text(f"volumes: [{volume}]", *lines) + "volumes: {data: }\n".replace(
        " }", " {}}"
    )
    return parse(text).apps[0].rollout


@pytest.mark.parametrize("volume", STATEFUL)
def test_two_versions_never_write_the_same_data_at_once(volume: str) -> None:
    spec = with_volume(volume)
    assert (spec.minimum_percent, spec.maximum_percent) == (0, 100)


@pytest.mark.parametrize("volume", STATELESS)
def test_what_writes_nothing_that_stays_is_replaced_start_first(volume: str) -> None:
    spec = with_volume(volume)
    assert (spec.minimum_percent, spec.maximum_percent) == (100, 200)


@pytest.mark.parametrize(
    "line",
    ["deploy: {update_config: {order: start-first}}", "labels: {convox.deployment.maximum: 200}"],
)
def test_the_files_own_word_beats_the_care_for_data(line: str) -> None:
    spec = with_volume("data:/data", line)
    assert (spec.minimum_percent, spec.maximum_percent) == (100, 200)


def test_a_public_service_that_will_pause_is_warned_of() -> None:
    text = service_text("ports: [80:80]", "volumes: [./x:/x]")
    warning = warning_of(text)
    assert "stops its old instance before the new one starts" in warning.message
    assert (warning.path, warning.line) == ("services.web.volumes", 5)
    assert not warnings_of(service_text("ports: [80]", "volumes: [./x:/x]"))


def test_labels_beat_update_config() -> None:
    spec = rollout(
        "{order: stop-first}",
        "labels: {convox.deployment.minimum: 50, convox.deployment.maximum: 150, portway.draining.timeout: 5}",
    )
    assert (spec.minimum_percent, spec.maximum_percent, spec.drain_timeout_s) == (50, 150, 5)


@pytest.mark.parametrize(
    "update",
    ["{order: stopfirst}", "{failure_action: explode}", "{parallelism: -1}", "{delay: 10}", "{monitor: x}",
     "{max_failure_ratio: 2}"],
)  # fmt: skip
def test_an_update_config_that_cannot_be_is_an_error(update: str) -> None:
    problem = service_problem(f"deploy: {{update_config: {update}}}")
    assert problem.path.startswith("services.web.deploy.update_config.")


def test_a_delay_is_between_single_instances_where_no_batch_is_given() -> None:
    spec = rollout("{delay: 5s}")
    assert (spec.parallelism, spec.delay_s) == (1, 5)


def test_monitor_and_max_failure_ratio_are_taken_over() -> None:
    spec = rollout("{monitor: 20s, max_failure_ratio: 0.2, failure_action: rollback}")
    assert (spec.monitor_s, spec.failure_ratio) == (20, 0.2)
    assert (Rollout().monitor_s, Rollout().failure_ratio) == (0, None)


def test_monitor_is_how_long_a_step_is_observed_unless_a_label_says_so() -> None:
    assert rollout("{monitor: 20s}").strategy.bake_s == 20
    label = "labels: {portway.deploy.bake_s: 7}"
    assert rollout("{monitor: 20s}", label).strategy.bake_s == 7
    assert rollout("{order: stop-first}").strategy.bake_s == 30


@pytest.mark.parametrize(
    "deploy",
    ["{mode: global}", "{placement: {}}", "{rollback_config: {order: stop-first}}", "{labels: {a: b}}",
     "{update_config: {failure_action: pause}}", "{update_config: {failure_action: continue}}",
     "{update_config: {parallelism: 0, delay: 5s}}",
     "{resources: {reservations: {devices: [x]}}}", "{replcas: 2}"],
)  # fmt: skip
def test_what_means_nothing_here_is_warned_of(deploy: str) -> None:
    assert warning_of(service_text(f"deploy: {deploy}")).line == 4


def test_a_mode_that_does_not_exist_is_an_error() -> None:
    assert "not a mode" in service_problem("deploy: {mode: x}").message


def resources(*lines: str) -> Resources:
    return service(*lines).resources


def test_limits_are_read_from_the_services_own_keys() -> None:
    assert resources('cpus: "\\x1f1.5"').cpus == 1.5
    assert resources("mem_limit: 512m", "mem_reservation: 64m", "cpus: 1.5", "cpu_shares: 73", "pids_limit: 100") == Resources(
        memory_bytes=512 << 20, memory_reservation_bytes=64 << 20, cpus=1.5, cpu_shares=73, pids=100
    )  # fmt: skip


def test_limits_are_read_from_deploy() -> None:
    limits = (
        "limits: {cpus: '0.5', memory: 1g, pids: 10}, reservations: {memory: 256M, cpus: '0.25'}"
    )
    assert resources(f"deploy: {{resources: {{{limits}}}}}") == Resources(
        memory_bytes=1 << 30, memory_reservation_bytes=256 << 20, cpus=0.5, cpu_shares=256, pids=10
    )


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("8388608", 8 << 20), ("4096k", 4 << 20), ("8M", 8 << 20), ("1.5gb", 3 << 29), ("1GiB", 1 << 30), ("0", None), ("8388608b", 8 << 20)],
)  # fmt: skip
def test_sizes_are_powers_of_1024(text: str, size_bytes: int | None) -> None:
    assert resources(f"mem_limit: {text}").memory_bytes == size_bytes


@pytest.mark.parametrize(
    "line", ["pids_limit: 0", "pids_limit: -1", "cpus: 0", "cpu_shares: 0", "mem_limit: 0"]
)
def test_none_and_minus_one_are_no_limit(line: str) -> None:
    assert resources(line) == Resources()


@pytest.mark.parametrize(
    "line",
    ["mem_limit: lots", "mem_limit: -1", "mem_limit: 512", "mem_limit: 3m", "cpus: -1", "cpus: many", "cpu_shares: x",
     "pids_limit: -2", "mem_limit: 1e9", "mem_limit: " + "9" * 400],
)  # fmt: skip
def test_a_limit_that_cannot_be_is_an_error(line: str) -> None:
    assert service_problem(line).path == f"services.web.{line.split(':')[0]}"


def test_bytes_written_for_megabytes_are_recognised() -> None:
    assert service_problem("mem_limit: 512").hint == "Write 512m for megabytes."


def test_two_places_for_one_limit_must_agree() -> None:
    assert (
        resources("mem_limit: 8m", "deploy: {resources: {limits: {memory: 8m}}}").memory_bytes
        == 8 << 20
    )
    problem = service_problem("mem_limit: 8m", "deploy: {resources: {limits: {memory: 9m}}}")
    assert "services.web.deploy.resources.limits.memory" in problem.message


@pytest.mark.parametrize(
    ("line", "restart"),
    [
        ("user: a", Restart.ALWAYS),
        ("restart: always", Restart.ALWAYS),
        ("restart: unless-stopped", Restart.ALWAYS),
        ("restart: 'no'", Restart.NEVER),
        ("restart: no", Restart.NEVER),
        ("restart: on-failure", Restart.ON_FAILURE),
        ("deploy: {restart_policy: {condition: none}}", Restart.NEVER),
        ("deploy: {restart_policy: {condition: on-failure}}", Restart.ON_FAILURE),
        ("deploy: {restart_policy: {condition: any}}", Restart.ALWAYS),
    ],
)
def test_what_follows_an_exit_is_what_the_file_says(line: str, restart: Restart) -> None:
    assert service(line).restart is restart


def test_a_number_of_attempts_is_warned_of() -> None:
    assert service("restart: on-failure:3").restart is Restart.ON_FAILURE
    assert "attempts" in warning_of(service_text("restart: on-failure:3")).message


@pytest.mark.parametrize(
    "line",
    ["restart: allways", "restart: on-failure:x", "deploy: {restart_policy: {condition: never}}"],
)
def test_an_unknown_restart_policy_is_an_error_with_the_known_ones(line: str) -> None:
    assert service_problem(line).hint


def migration(*lines: str) -> str:
    return service_text("depends_on: {job: {condition: service_completed_successfully}}") + (
        "  job:\n    image: j\n" + "".join(f"    {line}\n" for line in lines)
    )


def test_a_service_others_wait_for_to_complete_runs_once() -> None:
    assert parse(migration()).apps[1].restart is Restart.NEVER
    assert parse(migration("restart: on-failure")).apps[1].restart is Restart.ON_FAILURE


def test_a_service_that_never_ends_cannot_be_waited_for() -> None:
    assert "never lets it" in problem_of(migration("restart: always")).message
