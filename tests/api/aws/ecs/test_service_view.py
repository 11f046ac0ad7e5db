"""A service as DescribeServices shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from portway.api.aws.ecs.service_view import deployment_configuration, shown_service
from portway.controller.overview import Overview
from portway.core.ecs.history import History, ServiceEvent
from portway.core.instance import Phase
from portway.core.placement import NodeView
from portway.core.state import AppState, DeploymentStatus
from tests.api.aws.ecs.test_service_store import WEB
from tests.core.ecs.made import APP_ID, NAMES, app, deployment, record, state


def shown(of: AppState | None, service: Any = WEB, **fields: Any) -> dict[str, Any]:
    nodes = tuple(NodeView(name=n, address="10.0.0.1", draining=n == "b") for n in "abc")
    overview = Overview(home_id="h", apps={APP_ID: of} if of else {}, nodes=nodes)
    return shown_service(service, overview, NAMES, **fields)


def test_counts_are_of_what_runs_and_not_of_what_leaves() -> None:
    found = shown(state(record(1, Phase.READY), record(2, Phase.PLANNED), record(3, Phase.DRAINING), count=2))  # fmt: skip
    counts = [found[name] for name in ("desiredCount", "runningCount", "pendingCount")]
    assert (found["status"], counts) == ("ACTIVE", [2, 1, 1])


def test_of_one_that_is_gone_nothing_is_counted() -> None:
    found = shown(None)
    assert (found["status"], found["deployments"], found["desiredCount"]) == ("INACTIVE", [], 0)
    assert found["taskDefinition"] == WEB.task_definition


def test_a_daemon_should_run_once_on_every_machine_that_takes_tasks() -> None:
    daemon = replace(WEB, spec={"schedulingStrategy": "DAEMON"})
    assert shown(state(), daemon)["desiredCount"] == 2


def test_tags_are_shown_only_where_they_are_asked_for() -> None:
    assert "tags" not in shown(state())
    assert shown(state(), include=("TAGS",))["tags"] == [{"key": "k", "value": "v"}]


def test_events_are_newest_first_with_ids_that_stay() -> None:
    events = tuple(ServiceEvent(at_ms=n, serial=n, message=f"m{n}") for n in (2, 1))
    history = History(events=events, serial=2)
    first, second = shown(state(), history=history)["events"]
    assert (first["message"], first["createdAt"], second["message"]) == ("m2", 2, "m1")
    assert first["id"] != second["id"]
    assert shown(state(), history=history)["events"][0] == first


def test_behind_a_classic_load_balancer_there_is_no_rollout() -> None:
    classic = replace(WEB, spec={"loadBalancers": [{"loadBalancerName": "httpd"}]})
    [plain] = shown(state(record(1, Phase.READY)))["deployments"]
    [one] = shown(state(record(1, Phase.READY), of=app("httpd")), classic)["deployments"]
    assert plain["rolloutState"] == "COMPLETED"
    assert "rolloutState" not in one


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, (200, 100)),
        ({"schedulingStrategy": "DAEMON"}, (100, 0)),
        ({"deploymentConfiguration": {"maximumPercent": 150}}, (150, 100)),
        ({"deploymentConfiguration": {"minimumHealthyPercent": 0}}, (200, 0)),
    ],
)
def test_the_percentages_have_their_defaults(spec: Any, expected: tuple[int, int]) -> None:
    found = deployment_configuration(spec)
    assert (found["maximumPercent"], found["minimumHealthyPercent"]) == expected


def test_a_breaker_that_was_half_said_is_off_for_the_rest() -> None:
    said = {"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True}}}
    assert deployment_configuration(said)["deploymentCircuitBreaker"] == {"enable": True, "rollback": False}  # fmt: skip


def test_a_role_is_shown_as_an_arn() -> None:
    role = replace(WEB, spec={"role": "ecsServiceRole"})
    assert shown(state(), role)["roleArn"] == "arn:aws:iam::000000000000:role/ecsServiceRole"
    assert "roleArn" not in shown(state())


def test_a_deployment_that_is_taken_back_is_shown_until_it_is_back() -> None:
    failed = deployment("R2", DeploymentStatus.FAILED)
    going = state(record(1, Phase.PLANNED), deployment=failed)
    back, gone = shown(going)["deployments"]
    assert (back["status"], back["rolloutState"]) == ("PRIMARY", "IN_PROGRESS")
    assert (gone["status"], gone["rolloutState"], gone["runningCount"]) == ("ACTIVE", "FAILED", 0)
    assert gone["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    steady = state(record(1, Phase.READY), deployment=failed)
    assert len(shown(steady)["deployments"]) == 1
