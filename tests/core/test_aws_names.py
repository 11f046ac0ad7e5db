"""ARNs and ids as AWS writes them."""

from __future__ import annotations

import re

import pytest

from portway.core.aws_names import (
    AwsNames,
    is_arn,
    last_part,
    read_arn,
    service_app_id,
    slug,
    task_app_id,
)

NAMES = AwsNames(region="eu-west-1", account_id="123456789012", home_id="h1")
OTHERS = AwsNames(region="eu-west-1", account_id="123456789012", home_id="h2")


@pytest.mark.parametrize("name", ["web", "a", "web-2", "x" * 63])
def test_a_name_that_is_a_slug_stays(name: str) -> None:
    assert slug(name) == name


@pytest.mark.parametrize("name", ["Web", "web_1", "-web", "web-", "x" * 64, "_", "X" * 255, "é"])
def test_another_name_becomes_a_slug_with_a_few_digits(name: str) -> None:
    made = slug(name)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]*-[0-9a-f]{6}", made)
    assert len(made) <= 63
    assert slug(made) == made


def test_names_that_look_alike_stay_apart() -> None:
    assert len({slug(name) for name in ("Web", "web", "WEB", "web_", "web-")}) == 5


def test_a_service_and_a_task_are_apps_of_their_clusters_stack() -> None:
    assert service_app_id("default", "web") == "default/web"
    assert task_app_id("default", "job", "0123456789abcdef") == "default/job-0123456789ab"


def test_arns_are_as_aws_writes_them() -> None:
    begin = "arn:aws:ecs:eu-west-1:123456789012:"
    assert NAMES.cluster_arn("c") == f"{begin}cluster/c"
    assert NAMES.service_arn("c", "web") == f"{begin}service/c/web"
    assert NAMES.task_definition_arn("web", 7) == f"{begin}task-definition/web:7"
    assert NAMES.task_arn("c", "ab") == f"{begin}task/c/ab"
    arn = NAMES.container_instance_arn("c", "local")
    assert arn == f"{begin}container-instance/c/{NAMES.container_instance_id('local')}"
    container = NAMES.container_arn("c", "ab", "web")
    assert re.search(r":container/c/ab/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", container)
    assert NAMES.service_deployment_arn("c", "web", "d").startswith(f"{begin}service-deployment/c/web/")  # fmt: skip
    assert NAMES.service_revision_arn("c", "web", "d").startswith(f"{begin}service-revision/c/web/")


def test_ids_have_their_forms_and_never_change() -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", NAMES.container_instance_id("local"))
    assert re.fullmatch(r"i-[0-9a-f]{17}", NAMES.ec2_instance_id("local"))
    assert re.fullmatch(r"[0-9a-f]{32}", NAMES.task_id("c/web.1.1", 5))
    assert re.fullmatch(r"ecs-svc/[1-9][0-9]{18}", NAMES.deployment_id("c/web", "R1"))
    assert NAMES.deployment_id("c/web", "R1") == NAMES.deployment_id("c/web", "R1")


def test_what_differs_has_another_id() -> None:
    assert NAMES.task_id("c/web.1.1", 5) != NAMES.task_id("c/web.1.1", 6)
    assert NAMES.deployment_id("c/web", "R1") != NAMES.deployment_id("c/web", "R2")
    assert NAMES.ec2_instance_id("local") != OTHERS.ec2_instance_id("local")


def test_an_arn_is_taken_apart() -> None:
    arn = read_arn(NAMES.task_arn("c", "ab"))
    assert arn is not None
    assert (arn.service, arn.region, arn.kind) == ("ecs", "eu-west-1", "task")
    assert arn.resource == "task/c/ab"


@pytest.mark.parametrize("text", ["", "web", "arn:aws:ecs", "arn:aws:ecs:r:a:", "x:aws:ecs:r:a:b"])
def test_what_is_no_arn_is_none(text: str) -> None:
    assert read_arn(text) is None


def test_a_name_may_be_given_as_its_arn() -> None:
    assert last_part(NAMES.cluster_arn("c")) == last_part("c") == "c"
    assert is_arn(NAMES.cluster_arn("c"))
    assert not is_arn("c")
