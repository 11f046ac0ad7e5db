"""What the operations of CloudWatch Logs share: names and ARNs, and the refusals about them."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request
from portway.controller.cloudwatch.keeping import LogKeeper, NoSuchGroup, NoSuchStream, keeper_of
from portway.core.aws_names import read_arn


def keeper(face: Face) -> LogKeeper:
    """The one keeper of the server's logs."""
    return keeper_of(face.documents, face.now_ms)


@contextmanager
def missing() -> Generator[None]:
    """What is not there, in AWS's words."""
    try:
        yield
    except NoSuchGroup:
        raise no_group() from None
    except NoSuchStream:
        told = "The specified log stream does not exist."
        raise AwsError("ResourceNotFoundException", told) from None


def no_group() -> AwsError:
    """The refusal of a group nobody made."""
    return AwsError("ResourceNotFoundException", "The specified log group does not exist.")


def group_arn(face: Face, name: str) -> str:
    """arn:aws:logs:us-east-1:000000000000:log-group:name"""
    return face.arn("logs", f"log-group:{name}")


def group_name(request: Request) -> str:
    """The group a request names, by name or by ARN."""
    name = request.get("logGroupName")
    identifier = request.get("logGroupIdentifier")
    if bool(name) is bool(identifier):
        told = "Exactly one of logGroupName and logGroupIdentifier must be given."
        raise AwsError("InvalidParameterException", told)
    return name or named_group(identifier)


def named_group(identifier: str) -> str:
    """The name in an ARN of a group; a plain name is itself."""
    arn = read_arn(identifier)
    if arn is None:
        return identifier
    return arn.resource.removeprefix("log-group:").removesuffix(":*")


def stream_of(face: Face, body: Mapping[str, Any]) -> dict[str, Any]:
    """A stream as an answer has it."""
    chunks = body["chunks"]
    arn = f"{group_arn(face, body['group'])}:log-stream:{body['name']}"
    return {
        "logStreamName": body["name"],
        "creationTime": body["created_at_ms"],
        "firstEventTimestamp": min((c["first_ms"] for c in chunks), default=None),
        "lastEventTimestamp": max((c["last_ms"] for c in chunks), default=None),
        "lastIngestionTime": body.get("ingested_at_ms"),
        "uploadSequenceToken": "0",
        "arn": arn,
        "storedBytes": sum(chunk["bytes"] for chunk in chunks),
    }
