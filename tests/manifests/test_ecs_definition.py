"""Task definitions: what is refused, in which words, and what ECS would show of those that are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from portway.manifests.ecs_definition import check_definition, overridden, registered

SEEDS = Path(__file__).parent.parent / "golden" / "task-definitions"
WEB: dict[str, Any] = {"name": "web", "image": "nginx", "memory": 64}


def definition(*containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"family": "web", "containerDefinitions": list(containers or (WEB,)), **more}


def faults(value: Any) -> list[str]:
    return [fault.message for fault in check_definition(value).faults]


def test_a_definition_of_describe_is_one_of_register() -> None:
    """Seed 000: what the two describe-task-definition print is taken back, and shown again as it was."""
    for path in sorted(SEEDS.glob("*.json")):
        printed = json.loads(path.read_text())["taskDefinition"]
        checked = check_definition(printed)
        assert (checked.faults, checked.ignored) == ((), ())
        shown = registered(checked.body)
        (container,) = shown["containerDefinitions"]
        (wanted,) = printed["containerDefinitions"]
        assert {key: container[key] for key in wanted} == wanted
        assert (shown["family"], shown["volumes"]) == (printed["family"], printed["volumes"])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "must be an object"),
        ({"family": 3, "containerDefinitions": [WEB]}, "must be a text"),
        (definition(family=""), "Family should not be null or empty."),
        (definition(family="a b"), "Family contains invalid characters."),
        ({"family": "x", "containerDefinitions": []}, "Container list cannot be empty."),
        (definition({"image": "x", "memory": 64}), "Container.name should not be null or empty."),
        (definition({"name": "x", "memory": 64}), "Container.image should not be null or empty."),
        (definition({"name": "web", "image": "x"}), "Invalid setting for container 'web'. At least one of 'memory' or 'memoryReservation' must be specified."),
        (definition({**WEB, "memory": 4}), "no container less than 6"),
        (definition({**WEB, "memoryReservation": 65}), "'memoryReservation' (65) is more than"),
        (definition(WEB, memory="32"), "more than the task's (32)"),
        (definition(WEB, WEB), "Two containers are called 'web'"),
        (definition({**WEB, "essential": False}), "At least one container must be essential"),
        (definition({**WEB, "image": "a b"}), "holds no spaces"),
        (definition({**WEB, "environment": [{"value": "x"}]}), "name should not be null or empty."),
        (definition({**WEB, "dependsOn": [{"containerName": "x", "condition": "START"}]}), "'x' is none of the task's containers"),
        (definition({**WEB, "dependsOn": [{"containerName": "web", "condition": "START"}]}), "in a circle"),
        (definition({**WEB, "name": "a"}, {**WEB, "dependsOn": [{"containerName": "a", "condition": "HEALTHY"}]}), "has no health check"),
        (definition({**WEB, "name": "a"}, {**WEB, "dependsOn": [{"containerName": "a", "condition": "SUCCESS"}]}), "is essential"),
        (definition({**WEB, "mountPoints": [{"sourceVolume": "v", "containerPath": "/x"}]}), "Unknown volume 'v'"),
        (definition({**WEB, "healthCheck": {"command": ["x"]}}), "begins with CMD"),
        (definition({**WEB, "healthCheck": {"command": ["CMD", "x"], "interval": 1}}), "interval is 5 to 300, not 1"),
        (definition({**WEB, "logConfiguration": {"logDriver": "awslogs"}}), "awslogs-group"),
        (definition({**WEB, "logConfiguration": {"logDriver": "awsfirelens"}}), "awsfirelens is not supported"),
        (definition({**WEB, "logConfiguration": {"logDriver": "x"}}), "must be one of json-file"),
        (definition(cpu="x"), "no number of units"),
        (definition(memory="1 TB"), "no number of MiB"),
        (definition(pidMode="host"), "pidMode is not supported"),
        (definition(requiresCompatibilities=["FARGATE"]), "Fargate only supports network mode"),
        (definition(runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}), "Windows"),
        (definition(volumes=[{"name": "v", "host": {"sourcePath": "x"}}]), "begins with '/'"),
        (definition(volumes=[{"name": "v"}, {"name": "v"}]), "Two volumes are called 'v'"),
        (definition(*({**WEB, "name": f"c{n}"} for n in range(11))), "Too many containers."),
        (definition({**WEB, "image": "x" * 256}), "Container.image should be 255 characters or less"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_a_sentence(value: Any, words: str) -> None:
    assert any(words in message for message in faults(value)), faults(value)


def test_what_has_no_effect_is_named_with_its_reason() -> None:
    value = definition({**WEB, "memry": 1, "repositoryCredentials": {"credentialsParameter": "x"}})
    ignored = check_definition(value).ignored
    assert [fault.where[-1] for fault in ignored] == ["memry", "repositoryCredentials"]
    assert ignored[0].hint == 'Did you mean "memory"?'


def test_empty_values_ask_for_nothing_and_are_not_refused() -> None:
    value = definition(inferenceAccelerators=[], taskRoleArn=None, proxyConfiguration=None)
    assert faults(value) == []


def test_a_registered_definition_says_what_it_needs_and_where_it_can_run() -> None:
    shown = registered(
        definition(
            {**WEB, "logConfiguration": {"logDriver": "json-file"}, "privileged": True},
            networkMode="host",
        )
    )
    names = [attribute["name"] for attribute in shown["requiresAttributes"]]
    assert "com.amazonaws.ecs.capability.logging-driver.json-file" in names
    assert "com.amazonaws.ecs.capability.privileged-container" in names
    assert shown["compatibilities"] == ["EXTERNAL", "EC2"]
    own = registered(definition(networkMode="awsvpc", cpu="256", memory="512"))
    assert own["compatibilities"] == ["EC2", "FARGATE"]


def test_overrides_change_what_they_name_and_nothing_else() -> None:
    body = definition({**WEB, "environment": [{"name": "A", "value": "1"}]})
    override = {
        "name": "web",
        "command": ["x"],
        "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}],
    }
    changed, strangers = overridden(body, {"containerOverrides": [override, {"name": "y"}]})
    (container,) = changed["containerDefinitions"]
    assert container["command"] == ["x"]
    assert {p["name"]: p["value"] for p in container["environment"]} == {"A": "3", "B": "2"}
    assert strangers == ["y"]
    assert body["containerDefinitions"][0]["environment"] == [{"name": "A", "value": "1"}]
