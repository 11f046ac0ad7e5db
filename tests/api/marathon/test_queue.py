"""The launch queue: what waits, why, and the end of a delay."""

from __future__ import annotations

from marathon.models.queue import MarathonQueueItem

from tests.api.marathon.client import Client

CRASH = {
    "id": "/crash",
    "container": {"type": "DOCKER", "docker": {"image": "crash"}},
    "backoffSeconds": 100,
    "backoffFactor": 2.0,
    "maxLaunchDelaySeconds": 3600,
}


async def test_nothing_waits_where_everything_runs(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", {"id": "/a", "cmd": "sleep 1"})
    assert await ask.get("/v2/queue") == {"queue": []}
    assert await ask.refusal("DELETE", "/v2/queue//a/delay") == (
        404,
        {"message": "Application /a not found in tasks queue."},
    )


async def test_what_ended_by_itself_waits_for_its_delay(ask: Client) -> None:
    await ask("POST", "/v2/apps", CRASH)
    await ask.portway.idle(20)
    [item] = (await ask.get("/v2/queue"))["queue"]
    assert (item["app"]["id"], item["count"], item["app"]["role"]) == ("/crash", 1, "*")
    assert MarathonQueueItem.from_json(item).delay.overdue is False
    assert 70 <= item["delay"]["timeLeftSeconds"] <= 100
    assert item["delay"]["overdue"] is False
    reply = await ask("DELETE", "/v2/queue/crash/delay")
    assert (reply.status, reply.body) == (204, b"")
    before = ask.portway.app("marathon/crash").next_serial
    await ask.portway.idle(5)
    assert ask.portway.app("marathon/crash").next_serial == before + 1


async def test_the_queue_says_what_no_node_offers(ask: Client) -> None:
    wanted = {"id": "/a", "cmd": "sleep 1", "constraints": [["rack", "LIKE", "nowhere"]]}
    await ask("POST", "/v2/apps", wanted)
    await ask.portway.idle(5)
    [item] = (await ask.get("/v2/queue"))["queue"]
    assert item["delay"] == {"timeLeftSeconds": 0, "overdue": True}
    summary = item["processedOffersSummary"]
    assert summary["processedOffersCount"] == summary["unusedOffersCount"] == 1
    reasons = {one["reason"]: one for one in summary["rejectSummaryLastOffers"]}
    assert reasons["UnfulfilledConstraint"] == {
        "reason": "UnfulfilledConstraint",
        "declined": 1,
        "processed": 1,
    }
    assert reasons["InsufficientCpus"]["processed"] == 0
