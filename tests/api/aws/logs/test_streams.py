"""Log streams and events, with boto3."""

from __future__ import annotations

import time
from typing import Any

from tests.api.aws.conftest import ServedFace
from tests.api.aws.logs.test_groups import ask, refused

DAY_MS = 24 * 3600 * 1000


async def stream(face: ServedFace, name: str, *messages: str, at_ms: int = 0) -> int:
    """A stream with a message every millisecond; when the first was."""
    at_ms = at_ms or int(time.time() * 1000) - 60_000
    names = [each["logGroupName"] for each in (await ask(face, "describe_log_groups"))["logGroups"]]
    if "g" not in names:
        await ask(face, "create_log_group", logGroupName="g")
    await ask(face, "create_log_stream", logGroupName="g", logStreamName=name)
    events = [{"timestamp": at_ms + n, "message": text} for n, text in enumerate(messages)]
    if events:
        await ask(face, "put_log_events", logGroupName="g", logStreamName=name, logEvents=events)
    return at_ms


async def texts(face: ServedFace, **members: Any) -> list[str]:
    answer = await ask(face, "filter_log_events", logGroupName="g", **members)
    return [event["message"] for event in answer["events"]]


async def test_events_are_got_forwards_and_backwards(face: ServedFace) -> None:
    await stream(face, "s", *(f"line {n}" for n in range(5)))
    given = {"logGroupName": "g", "logStreamName": "s", "limit": 2}
    newest = await ask(face, "get_log_events", **given)
    assert [event["message"] for event in newest["events"]] == ["line 3", "line 4"]
    earlier = await ask(face, "get_log_events", nextToken=newest["nextBackwardToken"], **given)
    assert [event["message"] for event in earlier["events"]] == ["line 1", "line 2"]
    head = await ask(face, "get_log_events", startFromHead=True, **given)
    assert [event["message"] for event in head["events"]] == ["line 0", "line 1"]
    later = await ask(face, "get_log_events", nextToken=newest["nextForwardToken"], **given)
    assert later["events"] == []
    assert later["nextForwardToken"] == newest["nextForwardToken"], "the end is known by its token"
    code, _ = await refused(face, "get_log_events", nextToken="f/1/s", **given)
    assert code == "InvalidParameterException"


async def test_events_of_all_streams_are_filtered_in_the_order_of_time(face: ServedFace) -> None:
    at_ms = await stream(face, "web/a", "a ERROR 0", "a fine 1")
    await stream(face, "web/b", "b ERROR 0", at_ms=at_ms + 1)
    await stream(face, "other", '{"level": "error", "n": 3}', at_ms=at_ms + 2)
    assert await texts(face, filterPattern="ERROR") == ["a ERROR 0", "b ERROR 0"]
    assert await texts(face, logStreamNamePrefix="web/a") == ["a ERROR 0", "a fine 1"]
    assert await texts(face, filterPattern='{ $.level = "error" && $.n > 2 }') == ['{"level": "error", "n": 3}']  # fmt: skip
    assert await texts(face, startTime=at_ms + 2) == ['{"level": "error", "n": 3}']
    assert await texts(face, endTime=at_ms + 1, logStreamNames=["web/a"]) == ["a ERROR 0"]
    first = await ask(face, "filter_log_events", logGroupName="g", limit=3)
    rest = await ask(face, "filter_log_events", logGroupName="g", nextToken=first["nextToken"])
    assert len(first["events"]) == 3
    assert len(rest["events"]) == 1
    assert len({event["eventId"] for event in (*first["events"], *rest["events"])}) == 4
    code, told = await refused(face, "filter_log_events", logGroupName="g", filterPattern="{ x }")
    assert code == "InvalidParameterException"
    assert told.startswith("Invalid filter pattern.")


async def test_what_cannot_be_put_is_refused_or_rejected(face: ServedFace) -> None:
    at_ms = await stream(face, "s")
    given = {"logGroupName": "g", "logStreamName": "s"}

    def events(*times: int) -> list[dict[str, Any]]:
        return [{"timestamp": each, "message": "m"} for each in times]

    code, told = await refused(face, "put_log_events", logEvents=events(at_ms, at_ms - 1), **given)
    assert (code, told.rpartition(" ")[2]) == ("InvalidParameterException", "order.")
    code, _ = await refused(face, "put_log_events", logEvents=events(at_ms - 2 * DAY_MS, at_ms), **given)  # fmt: skip
    assert code == "InvalidParameterException"
    old = await ask(face, "put_log_events", logEvents=events(at_ms - 20 * DAY_MS), **given)
    assert old["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    new = await ask(face, "put_log_events", logEvents=events(at_ms, at_ms + DAY_MS // 2), **given)
    assert new["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    assert await texts(face) == ["m"]
    code, told = await refused(face, "put_log_events", logEvents=events(at_ms), logGroupName="g", logStreamName="x")  # fmt: skip
    assert (code, told) == ("ResourceNotFoundException", "The specified log stream does not exist.")
    code, told = await refused(face, "get_log_events", logGroupName="x", logStreamName="x")
    assert told == "The specified log group does not exist."


async def test_streams_are_listed_by_name_or_by_their_newest_event(face: ServedFace) -> None:
    at_ms = await stream(face, "b", "m")
    await stream(face, "a", "m", at_ms=at_ms + 5)
    await stream(face, "c")
    again = await refused(face, "create_log_stream", logGroupName="g", logStreamName="c")
    assert again == ("ResourceAlreadyExistsException", "The specified log stream already exists")

    async def names(**members: Any) -> list[str]:
        answer = await ask(face, "describe_log_streams", logGroupName="g", **members)
        return [each["logStreamName"] for each in answer["logStreams"]]

    assert await names() == ["a", "b", "c"]
    assert await names(descending=True) == ["c", "b", "a"]
    assert await names(orderBy="LastEventTime", descending=True) == ["a", "b", "c"]
    assert await names(logStreamNamePrefix="b") == ["b"]
    page = await ask(face, "describe_log_streams", logGroupName="g", limit=2, descending=True)
    assert await names(nextToken=page["nextToken"], descending=True) == ["a"]
    await ask(face, "delete_log_stream", logGroupName="g", logStreamName="b")
    assert await names() == ["a", "c"]
