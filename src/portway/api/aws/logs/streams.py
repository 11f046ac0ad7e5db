"""Log streams and their events: put, got, filtered."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.logs.common import group_name, keeper, missing, stream_of
from portway.api.aws.operation import Request, operation
from portway.api.aws.paging import page
from portway.controller.cloudwatch.keeping import LogEvent
from portway.core.errors import RequestError
from portway.core.log_filter import log_filter

_PAGE_SIZE = 50
_EVENTS_MAX = 10_000
_ANSWER_BYTES_MAX = 1024 * 1024
_HOUR_MS = 3600 * 1000
_DAY_MS = 24 * _HOUR_MS
_NEW_MAX_MS = 2 * _HOUR_MS
_OLD_MAX_MS = 14 * _DAY_MS
_BATCH_BYTES_MAX = 1_048_576
_ID_DIGITS = 56


@operation("logs", "CreateLogStream")
async def create_log_stream(face: Face, request: Request) -> dict[str, Any]:
    """Make a stream in a group."""
    with missing():
        made = await keeper(face).create_stream(request["logGroupName"], request["logStreamName"])
    if not made:
        told = "The specified log stream already exists"
        raise AwsError("ResourceAlreadyExistsException", told)
    return {}


@operation("logs", "DeleteLogStream")
async def delete_log_stream(face: Face, request: Request) -> dict[str, Any]:
    """Forget a stream and its events."""
    with missing():
        await keeper(face).delete_stream(request["logGroupName"], request["logStreamName"])
    return {}


@operation("logs", "DescribeLogStreams")
async def describe_log_streams(face: Face, request: Request) -> dict[str, Any]:
    """The streams of a group, by name or by their newest event."""
    group = group_name(request)
    prefix = request.get("logStreamNamePrefix") or ""
    by_time = request.get("orderBy") == "LastEventTime"
    if by_time and prefix:
        told = "Cannot order by LastEventTime with a logStreamNamePrefix."
        raise AwsError("InvalidParameterException", told)
    with missing():
        found = [stream_of(face, each.body) for each in await keeper(face).streams(group, prefix)]
    is_turned = bool(request.get("descending"))

    def order(stream: dict[str, Any]) -> str:
        key = stream["logStreamName"]
        if by_time:
            key = f"{stream['lastEventTimestamp'] or 0:020} {key}"
        return _turned(key) if is_turned else _plain(key)

    taken, token = page(
        found,
        key=order,
        size=request.get("limit") or _PAGE_SIZE,
        token=request.get("nextToken"),
        scope=f"streams {group} {prefix} {by_time} {is_turned}",
        message="The specified nextToken is invalid.",
    )
    return {"logStreams": taken, "nextToken": token}


def _plain(key: str) -> str:
    """As hexadecimal digits, which keep the order."""
    return "".join(f"{ord(letter):06x}" for letter in key)


def _turned(key: str) -> str:
    """Likewise, in the opposite order."""
    return "".join(f"{sys.maxunicode - ord(letter):06x}" for letter in key) + "~"


@operation("logs", "PutLogEvents", ignores=("sequenceToken", "entity"))
async def put_log_events(face: Face, request: Request) -> dict[str, Any]:
    """Add events to a stream; those too old or from the future are rejected, the others kept."""
    events = [(event["timestamp"], event["message"]) for event in request["logEvents"]]
    times = [at_ms for at_ms, _ in events]
    if times != sorted(times):
        told = "Log events in a single PutLogEvents request must be in chronological order."
        raise AwsError("InvalidParameterException", told)
    if times[-1] - times[0] > _DAY_MS:
        told = "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        raise AwsError("InvalidParameterException", told)
    if sum(len(message.encode()) + 26 for _, message in events) > _BATCH_BYTES_MAX:
        raise AwsError("InvalidParameterException", f"Upload too large: more than {_BATCH_BYTES_MAX} bytes.")  # fmt: skip
    now_ms = face.now_ms()
    old = sum(at_ms < now_ms - _OLD_MAX_MS for at_ms in times)
    new = sum(at_ms <= now_ms + _NEW_MAX_MS for at_ms in times)
    with missing():
        stream = await keeper(face).stream(request["logGroupName"], request["logStreamName"])
        await keeper(face).append(stream.body["group"], stream.body["name"], events[old:new])
    rejected: dict[str, int] = {}
    if old:
        rejected["tooOldLogEventEndIndex"] = old
    if new < len(events):
        rejected["tooNewLogEventStartIndex"] = new
    return {"nextSequenceToken": "0", "rejectedLogEventsInfo": rejected or None}


@operation("logs", "GetLogEvents", ignores=("unmask",))
async def get_log_events(face: Face, request: Request) -> dict[str, Any]:
    """A page of a stream's events. The token of the end is the same again, so that a reader can stop."""
    with missing():
        found = await keeper(face).events(
            group_name(request),
            [request["logStreamName"]],
            start_ms=request.get("startTime") or 0,
            end_ms=request.get("endTime"),
        )
    size = min(request.get("limit") or _EVENTS_MAX, _EVENTS_MAX)
    direction, position = _read_token(request.get("nextToken") or "")
    if direction == "f" or (not direction and request.get("startFromHead")):
        later = [event for event in found if event.id > position]
        taken = _fitting(later[:size])
    else:
        earlier = [event for event in found if not direction or event.id < position]
        taken = _fitting(earlier[::-1][:size])[::-1]
    first = taken[0].id if taken else position or "0" * _ID_DIGITS
    last = taken[-1].id if taken else position or "0" * _ID_DIGITS
    return {
        "events": [
            {"timestamp": e.at_ms, "message": e.message, "ingestionTime": e.ingested_at_ms}
            for e in taken
        ],
        "nextForwardToken": f"f/{last}/s",
        "nextBackwardToken": f"b/{first}/s",
    }


def _read_token(token: str) -> tuple[str, str]:
    """("f" or "b", where), both "" without a token."""
    if not token:
        return "", ""
    parts = token.split("/")
    is_token = len(parts) == 3 and parts[0] in ("f", "b") and parts[1].isdecimal()  # noqa: PLR2004  (f/digits/s)
    if not is_token or len(parts[1]) != _ID_DIGITS:
        raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
    return parts[0], parts[1]


def _fitting(events: Sequence[LogEvent]) -> list[LogEvent]:
    """As many as an answer may hold, at least one."""
    size, taken = 0, 0
    for event in events:
        size += len(event.message.encode())
        if taken and size > _ANSWER_BYTES_MAX:
            break
        taken += 1
    return list(events[:taken])


@operation("logs", "FilterLogEvents", ignores=("interleaved", "unmask", "startFromHead"))
async def filter_log_events(face: Face, request: Request) -> dict[str, Any]:
    """Events of many streams that match a pattern, in the order of time."""
    group, names = group_name(request), request.get("logStreamNames") or []
    prefix = request.get("logStreamNamePrefix") or ""
    if names and prefix:
        told = "logStreamNamePrefix and logStreamNames cannot be used together."
        raise AwsError("InvalidParameterException", told)
    pattern = request.get("filterPattern") or ""
    try:
        matches = log_filter(pattern)
    except RequestError as error:
        raise AwsError("InvalidParameterException", error.message) from None
    with missing():
        logs = keeper(face)
        searched = names or [each.body["name"] for each in await logs.streams(group, prefix)]
        found = await logs.events(
            group, searched, start_ms=request.get("startTime") or 0, end_ms=request.get("endTime")
        )
    taken, token = page(
        [event for event in found if matches(event.message)],
        key=lambda event: event.id,
        size=min(request.get("limit") or _EVENTS_MAX, _EVENTS_MAX),
        token=request.get("nextToken"),
        scope=f"events {group} {pattern} {prefix} {sorted(names)}",
        message="The specified nextToken is invalid.",
    )
    return {
        "events": [
            {
                "logStreamName": event.stream,
                "timestamp": event.at_ms,
                "message": event.message,
                "ingestionTime": event.ingested_at_ms,
                "eventId": event.id,
            }
            for event in taken
        ],
        "searchedLogStreams": [],
        "nextToken": token,
    }
