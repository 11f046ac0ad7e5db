"""GET /v2/events: what happens, to everybody who listens, in order, and nobody waits for a slow one."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import portway
from portway.api.marathon.reference import EVENTS
from tests.api.marathon.client import Client
from tests.api.marathon.listening import Stream, listening

APP = {"id": "/a", "cmd": "sleep 1", "instances": 2}
ENDED = ("TASK_KILLED", "TASK_FAILED", "TASK_FINISHED")
ORDER = ("TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", ENDED[0])
BORN = [*ORDER[:3]]


async def test_an_event_says_its_kind_and_when_it_was(ask: Client) -> None:
    async with listening(ask) as stream:
        await ask.deploy("POST", "/v2/apps", APP)
    headers = {name.decode(): value.decode() for name, value in stream.start["headers"]}
    assert headers["content-type"] == "text/event-stream"
    assert "no-store" in headers["cache-control"]
    assert headers["x-marathon-leader"]
    first, *others = stream.events
    assert (first["eventType"], first["remoteAddress"]) == ("event_stream_attached", "10.0.0.9")
    assert {"api_post_event", "status_update_event"} <= {one["eventType"] for one in others}
    for event in stream.events:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["timestamp"])


async def test_who_names_kinds_gets_those_alone(ask: Client) -> None:
    query = "event_type=deployment_success&event_type=app_terminated_event&plan-format=light"
    async with listening(ask, query) as stream, listening(ask, "event_type=deploy") as other:
        await ask.deploy("POST", "/v2/apps", APP)
        await ask.deploy("DELETE", "/v2/apps/a")
    kinds = [event["eventType"] for event in stream.events]
    assert kinds == ["deployment_success", "app_terminated_event", "deployment_success"]
    assert other.events == []
    assert set(stream.events[0]["plan"]) == {"id", "steps", "version"}


async def test_a_plan_tells_the_groups_it_changes_unless_it_is_to_be_light(ask: Client) -> None:
    await ask.deploy("POST", "/v2/groups", {"id": "/g", "apps": [{**APP, "id": "a"}]})
    async with listening(ask, "event_type=deployment_success") as stream:
        await ask.deploy("POST", "/v2/apps", {**APP, "id": "/other"})
        await ask.deploy("PUT", "/v2/apps/g/a", {"instances": 1})
    made, scaled = (event["plan"] for event in stream.events)
    assert made["original"]["apps"] == made["original"]["groups"] == []
    assert [app["id"] for app in made["target"]["apps"]] == ["/other"]
    counts = [
        scaled[which]["groups"][0]["apps"][0]["instances"] for which in ("original", "target")
    ]
    assert counts == [2, 1]
    assert scaled["target"]["groups"][0]["id"] == "/g"
    assert scaled["target"]["version"] == scaled["version"]


async def test_who_does_not_ask_for_a_stream_gets_none(ask: Client) -> None:
    for accept in ("*/*", "application/json", "text/event-streams"):
        status, told = await ask.refusal("GET", "/v2/events", accept=accept)
        assert status == 405
        assert "Accept: text/event-stream" in told["message"]
    reply = await ask("HEAD", "/v2/events", accept="application/json, Text/Event-Stream;q=0.5")
    assert (reply.status, reply.body) == (200, b"")
    assert ask.marathon.happenings.listeners == 0


async def test_a_quiet_stream_is_kept_alive_by_empty_lines(ask: Client) -> None:
    async with listening(ask) as stream:
        await asyncio.sleep(50)
    assert stream.parts[1:] == [b"\r\n"] * 3
    assert len(stream.events) == 1


async def test_others_are_told_who_leaves(ask: Client) -> None:
    async with listening(ask, "event_type=event_stream_detached") as stays, listening(ask):
        pass
    assert [one["remoteAddress"] for one in stays.events] == ["10.0.0.9"]
    assert ask.marathon.happenings.listeners == 0


async def test_streams_end_with_the_server_and_with_its_leadership(ask: Client) -> None:
    async with listening(ask) as stream:
        await ask.marathon.abdicate()
        await ask.portway.until(lambda: stream.is_complete)
    async with listening(ask) as stream:
        ask.marathon.happenings.publish("deployment_success", id="last")
        ask.app.state.closing.set()
        await ask.portway.until(lambda: stream.is_complete)
    assert stream.events[-1]["id"] == "last", "what had happened is still told"


async def test_who_does_not_read_is_cut_off_and_holds_nobody_up(ask: Client) -> None:
    async with listening(ask, reads=False) as stuck, listening(ask) as quick:
        for number in range(1100):
            ask.marathon.happenings.publish("deployment_success", id=number)
            if number % 100 == 0:
                await asyncio.sleep(0.01)
        await ask.portway.until(lambda: len(quick.of("deployment_success")) == 1100)
        assert ask.marathon.happenings.listeners == 1
        assert [one["id"] for one in quick.of("deployment_success")] == list(range(1100))
    assert stuck.is_aborted
    assert not quick.is_aborted
    assert stuck.parts == []


async def test_five_hundred_listen_to_what_is_written_once(ask: Client) -> None:
    streams = [Stream(client=ask, query="event_type=deployment_info") for _ in range(500)]
    async with asyncio.TaskGroup() as group:
        for stream in streams:
            stream.reads.set()
            group.create_task(stream.run())
        await asyncio.sleep(0.01)
        for number in range(20):
            ask.marathon.happenings.publish("deployment_info", id=number)
            await asyncio.sleep(0.01)
        for stream in streams:
            stream.left.set()
    assert [one["id"] for one in streams[-1].events] == list(range(20))
    assert len({id(stream.parts[0]) for stream in streams}) == 1, "the very same bytes"
    assert len({b"".join(stream.parts) for stream in streams}) == 1


def states(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    """By task, the states it was told to be in."""
    found: dict[str, list[str]] = {}
    for event in events:
        if event["eventType"] == "status_update_event":
            found.setdefault(event["taskId"], []).append(event["taskStatus"])
    return found


async def test_every_task_is_told_of_in_order_from_its_beginning_to_its_end(ask: Client) -> None:
    async with listening(ask) as stream:
        await ask.deploy("POST", "/v2/apps", APP)
        await ask.deploy("PUT", "/v2/apps/a", {"cmd": "sleep 2", "instances": 3})
        [task, *_] = (await ask.get("/v2/apps/a/tasks"))["tasks"]
        await ask("DELETE", f"/v2/apps/a/tasks/{task['id']}")
        await ask.portway.idle(30)
        await ask.deploy("PUT", "/v2/apps/a", {"instances": 1})
        await ask.deploy("DELETE", "/v2/apps/a")
    told = states(stream.events)
    assert len(told) == 6, "two, then three others, then one for the killed one"
    for passed in told.values():
        assert passed == list(ORDER)


async def test_a_deployment_is_told_before_its_tasks_and_done_after_them(ask: Client) -> None:
    async with listening(ask) as stream:
        name = (await ask.deploy("POST", "/v2/apps", APP)).headers["marathon-deployment-id"]
    short = {"deployment_info": "info", "deployment_success": "done", "status_update_event": ""}
    story = [
        short[event["eventType"]] or event["taskStatus"]
        for event in stream.events
        if event["eventType"] in short
    ]
    assert story[:2] == ["info", "info"], "one for each step"
    assert sorted(story[2:8]) == sorted(BORN * 2)
    assert story[8:] == ["done"]
    assert stream.of("deployment_success")[0]["id"] == name


async def test_a_change_that_is_refused_is_told_with_the_reason(ask: Client) -> None:
    async with listening(ask, "event_type=group_change_failed") as stream:
        await ask("POST", "/v2/apps", APP)
        await ask.refusal("PUT", "/v2/apps/a", {"instances": 5})
    [failed] = stream.events
    assert failed["groupId"] == "/"
    assert failed["reason"].startswith("App is locked by one or more deployments.")


async def test_a_body_that_cannot_be_read_is_no_change_that_failed(ask: Client) -> None:
    async with listening(ask, "event_type=group_change_failed") as stream:
        await ask.refusal("POST", "/v2/apps", {"id": "/a", "cmd": 3})
        await ask.refusal("POST", "/v2/apps", {"id": "/a"})
    [failed] = stream.events
    assert failed["reason"].startswith("Object is not valid")


async def test_a_task_that_fails_is_told_of_with_the_reason(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {**APP, "instances": 1})
    [victim] = ask.portway.live("marathon/a")
    async with listening(ask) as stream:
        ask.portway.engine.kill(victim, exit_code=3)
        await ask.portway.until(lambda: ask.portway.live("marathon/a") not in ([victim], []))
    failed = next(e for e in stream.of("status_update_event") if e["taskStatus"] == "TASK_FAILED")
    assert "3" in failed["message"]
    conditions = [e["condition"] for e in stream.of("instance_changed_event")]
    assert conditions[:2] == ["Failed", "Staging"]


def test_the_page_names_every_event_that_is_told_and_no_other() -> None:
    source = Path(portway.__file__).parent
    text = "".join(
        p.read_text() for d in ("api", "controller") for p in (source / d / "marathon").glob("*.py")
    )
    told = set(re.findall(r'(?:publish|_tell)\(\s*(?:call, )?"(\w+)"', text))
    happening = {event.kind for event in EVENTS if event.fields}
    assert told == happening
