"""ECS account settings, with boto3."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.api.aws.conftest import ServedFace


async def settings_of(face: ServedFace, **given: object) -> dict[str, str]:
    listed = await face.ask("ecs", "list_account_settings", **given)
    return {setting["name"]: setting["value"] for setting in listed["settings"]}


async def test_the_long_arns_are_on_and_stay_so(face: ServedFace) -> None:
    assert await settings_of(face) == {}
    effective = await settings_of(face, effectiveSettings=True, name="taskLongArnFormat")
    assert effective == {"taskLongArnFormat": "enabled"}
    given = {"name": "taskLongArnFormat", "value": "disabled"}
    with pytest.raises(ClientError, match="no short ARNs"):
        await face.ask("ecs", "put_account_setting", **given)


async def test_a_setting_is_kept_until_it_is_deleted(face: ServedFace) -> None:
    given = {"name": "containerInsights", "value": "enabled"}
    made = (await face.ask("ecs", "put_account_setting_default", **given))["setting"]
    assert made["principalArn"] == "arn:aws:iam::000000000000:root"
    assert await settings_of(face, value="enabled") == {"containerInsights": "enabled"}
    back = await face.ask("ecs", "delete_account_setting", name="containerInsights")
    assert back["setting"]["value"] == "disabled"
    assert await settings_of(face) == {}


async def test_settings_are_listed_in_pages(face: ServedFace) -> None:
    first = await face.ask("ecs", "list_account_settings", effectiveSettings=True, maxResults=5)
    assert len(first["settings"]) == 5
    given = {"effectiveSettings": True, "nextToken": first["nextToken"]}
    rest = await face.ask("ecs", "list_account_settings", **given)
    names = [s["name"] for s in (*first["settings"], *rest["settings"])]
    assert names == sorted(set(names))
