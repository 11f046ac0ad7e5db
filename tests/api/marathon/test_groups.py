"""Groups over the Marathon API: trees, changes of several apps at once, scaling, going back."""

from __future__ import annotations

from typing import Any

from tests.api.marathon.client import Client

SHOP = {
    "id": "/shop",
    "dependencies": ["/base"],
    "apps": [{"id": "web", "cmd": "sleep 1"}],
    "groups": [{"id": "db", "apps": [{"id": "main", "cmd": "sleep 1", "instances": 2}]}],
}


async def apps(ask: Client) -> dict[str, int]:
    return {app["id"]: app["instances"] for app in (await ask.get("/v2/apps"))["apps"]}


def without_versions(group: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": group["id"],
        "apps": [app["id"] for app in group["apps"]],
        "groups": [without_versions(one) for one in group["groups"]],
    }


async def test_a_group_is_made_and_shown_as_a_tree(ask: Client) -> None:
    made = await ask.deploy("POST", "/v2/groups", SHOP)
    assert (made.status, made.headers["location"]) == (201, "/shop")
    assert await apps(ask) == {"/shop/db/main": 2, "/shop/web": 1}
    shop = await ask.get("/v2/groups//shop")
    db = {"id": "/shop/db", "apps": ["/shop/db/main"], "groups": []}
    assert without_versions(shop) == {"id": "/shop", "apps": ["/shop/web"], "groups": [db]}
    assert shop["dependencies"] == ["/base"]
    assert "enforceRole" not in shop
    root = await ask.get("/v2/groups")
    assert (root["id"], [one["id"] for one in root["groups"]]) == ("/", ["/shop"])
    assert root["version"] == made.json["version"]
    assert set(ask.portway.world.apps) == {"shop/web", "shop/db_main"}


async def test_a_tree_shows_the_parts_asked_for(ask: Client) -> None:
    await ask.deploy("POST", "/v2/groups", SHOP)
    only = await ask.get("/v2/groups/shop?embed=group.apps")
    assert "groups" not in only
    assert "tasks" not in only["apps"][0]
    more = await ask.get("/v2/groups/shop?embed=group.apps&embed=group.apps.tasks")
    assert len(more["apps"][0]["tasks"]) == 1
    listed = await ask.get("/v2/groups/shop/apps")
    assert [app["id"] for app in listed] == ["/shop/db/main", "/shop/web"]


async def test_what_is_there_is_not_made_again(ask: Client) -> None:
    await ask.deploy("POST", "/v2/groups", SHOP)
    assert await ask.refusal("POST", "/v2/groups", SHOP) == (
        409,
        {"message": "Group /shop is already created. Use PUT to change this group."},
    )
    assert await ask.refusal("POST", "/v2/groups", {"id": "/shop/web"}) == (
        409,
        {"message": "An app with the path /shop/web already exists."},
    )
    assert await ask.refusal("GET", "/v2/groups/no") == (
        404,
        {"message": "Group '/no' does not exist"},
    )


async def test_what_a_group_says_replaces_and_what_it_leaves_out_stays(ask: Client) -> None:
    await ask.deploy("POST", "/v2/groups", SHOP)
    await ask.deploy("PUT", "/v2/groups/shop", {"apps": [{"id": "api", "cmd": "sleep 1"}]})
    assert await apps(ask) == {"/shop/api": 1, "/shop/db/main": 2}
    await ask.deploy("PUT", "/v2/groups/shop", {"groups": []})
    assert await apps(ask) == {"/shop/api": 1}
    assert (await ask.get("/v2/groups/shop"))["dependencies"] == ["/base"]


async def test_a_dry_run_shows_the_steps_and_does_nothing(ask: Client) -> None:
    planned = await ask("PUT", "/v2/groups/shop?dryRun=true", {"apps": SHOP["apps"]})
    assert planned.json == {
        "steps": [
            {"actions": [{"action": "StartApplication", "app": "/shop/web"}]},
            {"actions": [{"action": "ScaleApplication", "app": "/shop/web"}]},
        ]
    }
    assert await apps(ask) == {}


async def test_a_group_is_scaled_rounding_up(ask: Client) -> None:
    await ask.deploy("POST", "/v2/groups", SHOP)
    await ask.deploy("PUT", "/v2/groups/shop", {"scaleBy": 1.5})
    assert await apps(ask) == {"/shop/db/main": 3, "/shop/web": 2}
    assert (await ask.refusal("PUT", "/v2/groups/shop", {"scaleBy": 1e9}))[0] == 422
    status, told = await ask.refusal("PUT", "/v2/groups/shop", {"scaleBy": 2, "apps": []})
    assert status == 422
    assert told["details"][0]["errors"] == ["not allowed in conjunction with other properties."]


async def test_a_group_goes_back_to_a_version(ask: Client) -> None:
    first = (await ask.deploy("POST", "/v2/groups", SHOP)).json["version"]
    await ask.deploy("PUT", "/v2/groups/shop", {"groups": [], "apps": []})
    await ask.deploy("POST", "/v2/apps", {"id": "/other", "cmd": "sleep 1", "ports": []})
    assert await apps(ask) == {"/other": 1}
    versions = await ask.get("/v2/groups/shop/versions")
    assert versions[-1] == first
    then = await ask.get(f"/v2/groups/shop/versions/{first}")
    assert [app["id"] for app in then["apps"]] == ["/shop/web"]
    await ask.deploy("PUT", "/v2/groups/shop", {"version": first})
    assert await apps(ask) == {"/other": 1, "/shop/db/main": 2, "/shop/web": 1}
    assert (await ask.refusal("PUT", "/v2/groups/shop", {"version": "2001-01-01T00:00:00.000Z"}))[
        0
    ] == 404


async def test_a_removed_group_takes_everything_in_it(ask: Client) -> None:
    await ask.deploy("POST", "/v2/groups", SHOP)
    await ask.deploy("POST", "/v2/apps", {"id": "/other", "cmd": "sleep 1"})
    reply = await ask.deploy("DELETE", "/v2/groups/shop")
    assert set(reply.json) == {"version", "deploymentId"}
    assert await apps(ask) == {"/other": 1}
    assert (await ask.refusal("GET", "/v2/groups/shop"))[0] == 404


async def test_a_group_stays_when_its_last_app_goes(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {"id": "/g/a", "cmd": "sleep 1"})
    await ask.deploy("DELETE", "/v2/apps/g/a")
    assert (await ask.get("/v2/groups/g"))["apps"] == []
    await ask.marathon.abdicate()
    assert (await ask.get("/v2/groups/g"))["id"] == "/g"


async def test_an_empty_group_is_kept(ask: Client) -> None:
    await ask.deploy("POST", "/v2/groups", {"id": "/empty"})
    assert (await ask.get("/v2/groups/empty"))["groups"] == []


async def test_a_top_level_group_enforces_its_role(ask: Client) -> None:
    await ask.deploy("POST", "/v2/groups", {"id": "/dev"})
    await ask.deploy("PATCH", "/v2/groups/dev", {"enforceRole": True})
    assert (await ask.get("/v2/groups/dev"))["enforceRole"] is True
    made = await ask.deploy("POST", "/v2/apps", {"id": "/dev/a", "cmd": "sleep 1"})
    assert made.json["role"] == "dev"
    assert (await ask.refusal("PATCH", "/v2/groups/dev", {"enforceRole": "x"}))[0] == 422
    assert (await ask.refusal("PATCH", "/v2/groups/dev/a", {"enforceRole": True}))[0] == 422


async def test_a_group_that_is_being_deployed_is_locked(ask: Client) -> None:
    await ask("POST", "/v2/groups", SHOP)
    status, told = await ask.refusal("PUT", "/v2/groups/shop", {"scaleBy": 2})
    assert status == 409
    assert told["message"].startswith("App is locked by one or more deployments.")
    forced = await ask.deploy("PUT", "/v2/groups/shop?force=true", {"scaleBy": 2})
    assert forced.status == 200
    assert await apps(ask) == {"/shop/db/main": 4, "/shop/web": 2}
