"""What all of ECS's objects have: names, clusters, pages, tags."""

from __future__ import annotations

from typing import Any

import pytest

from portway.api.aws.ecs.common import (
    CLUSTER_KIND,
    check_tags,
    cluster_named,
    find_cluster,
    fresh_cluster,
    listed,
    merged,
    missing,
    within,
)
from portway.api.aws.errors import AwsError
from tests.api.aws.faces import ARNS, NOW_MS, asked, made_face


@pytest.mark.parametrize(
    ("wanted", "name"),
    [(None, "default"), ("", "default"), ("c", "c"), (f"{ARNS}cluster/c", "c")],
)
def test_a_cluster_goes_by_name_or_arn(wanted: str | None, name: str) -> None:
    assert cluster_named(made_face(), wanted) == name


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (f"{ARNS}service/c/web", "InvalidParameterException"),
        ("arn:aws:s3:::bucket", "InvalidParameterException"),
        ("arn:aws:ecs:us-east-1:111111111111:cluster/c", "ClusterNotFoundException"),
        ("arn:aws:ecs:eu-west-1:000000000000:cluster/c", "ClusterNotFoundException"),
    ],
)
def test_of_another_account_or_kind_there_is_no_cluster(wanted: str, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        cluster_named(made_face(), wanted)
    assert caught.value.code == code


async def test_the_default_cluster_is_there_until_it_is_deleted() -> None:
    face = made_face()
    assert await find_cluster(face, None) == "default"
    gone = {**fresh_cluster("default", NOW_MS), "status": "INACTIVE"}
    await face.documents.put(CLUSTER_KIND, f"{ARNS}cluster/default", gone)
    with pytest.raises(AwsError, match="Cluster not found"):
        await find_cluster(face, None)


async def test_any_other_cluster_has_to_be_made() -> None:
    face = made_face()
    with pytest.raises(AwsError, match="Cluster not found"):
        await find_cluster(face, "c")
    await face.documents.put(CLUSTER_KIND, f"{ARNS}cluster/c", fresh_cluster("c", NOW_MS))
    assert await find_cluster(face, "c") == "c"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("web", "web"),
        (f"{ARNS}service/c/web", "web"),
        (f"{ARNS}service/web", "web"),  # the short form of old
        (f"{ARNS}service/d/web", ""),
        (f"{ARNS}task/c/web", ""),
        ("arn:aws:ecs:us-east-1:111111111111:service/c/web", ""),
    ],
)
def test_a_name_is_looked_for_within_its_cluster(wanted: str, found: str) -> None:
    assert within(made_face(), wanted, "c", "service") == found


def test_listings_come_in_pages_and_a_token_fits_its_own_listing_only() -> None:
    arns = [f"{ARNS}task/c/{n}" for n in range(5)]
    first = listed(asked("ListTasks", cluster="c", maxResults=2), "taskArns", arns)
    assert first["taskArns"] == arns[:2]
    token = first["nextToken"]
    second = listed(asked("ListTasks", cluster="c", maxResults=3, nextToken=token), "taskArns", arns)  # fmt: skip
    assert (second["taskArns"], second["nextToken"]) == (arns[2:], None)
    with pytest.raises(AwsError):
        listed(asked("ListTasks", cluster="d", nextToken=token), "taskArns", arns)


def test_a_page_is_never_longer_than_a_hundred() -> None:
    arns = [f"{n:03}" for n in range(150)]
    assert len(listed(asked("ListTasks", maxResults=1000), "taskArns", arns)["taskArns"]) == 100
    assert len(listed(asked("ListServices"), "serviceArns", arns, size=10)["serviceArns"]) == 10


def tag(key: str, value: str = "") -> dict[str, Any]:
    return {"key": key, "value": value}


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ([tag(f"k{n}") for n in range(51)], "at most 50"),
        ([tag("a"), tag("a")], "Duplicate"),
        ([tag("")], "empty"),
        ([tag("AWS:mine")], "aws:"),
    ],
)
def test_tags_that_cannot_be_are_refused(tags: list[dict[str, Any]], told: str) -> None:
    with pytest.raises(AwsError, match=told) as caught:
        check_tags(tags)
    assert caught.value.code == "InvalidParameterException"


def test_fifty_tags_are_enough() -> None:
    check_tags([tag(f"k{n}") for n in range(50)])


def test_new_tags_go_on_top_of_the_old_ones() -> None:
    assert merged([tag("a", "1"), tag("b", "2")], [tag("a", "3"), {"key": "c"}]) == [
        tag("a", "3"),
        tag("b", "2"),
        tag("c"),
    ]


def test_what_is_missing_is_a_failure_with_its_arn() -> None:
    assert missing("x") == {"arn": "x", "reason": "MISSING"}
