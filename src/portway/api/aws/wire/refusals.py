"""The refusals of the wire itself, in the words and codes of each service and protocol. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portway.api.aws.errors import AwsError
from portway.api.aws.wire.services import Protocol, Target
from portway.api.aws.wire.shapes import ServiceModel
from portway.api.aws.wire.validation import Violation, sentence

_VALIDATION_CODES = {"ecs": "InvalidParameterException", "logs": "InvalidParameterException", "ec2": "InvalidParameterValue"}  # fmt: skip
_SHOWN_MAX = 128


def malformed(target: Target, told: str) -> AwsError:
    """A body or a value that cannot be read as what it is meant to be."""
    match target.protocol:
        case Protocol.EC2:
            return AwsError("InvalidParameterValue", told, 400)
        case Protocol.QUERY:
            return AwsError("MalformedInput", told, 400)
        case Protocol.JSON | Protocol.CBOR:
            return AwsError("SerializationException", told, 400)


def invalid(target: Target, found: list[Violation]) -> AwsError:
    """Values that break the constraints of the model."""
    service = target.service.name if target.service else ""
    if target.protocol is Protocol.EC2 and found[0].is_missing:
        name = found[0].path[:1].upper() + found[0].path[1:]
        told = f"The request must contain the parameter {name}"
        return AwsError("MissingParameter", told, 400)
    general = "ValidationError" if target.protocol is Protocol.QUERY else "ValidationException"
    return AwsError(_VALIDATION_CODES.get(service, general), sentence(found), 400)


def not_done(target: Target, model: ServiceModel) -> AwsError:
    """An operation that AWS does not have, or that portway does not carry out."""
    assert target.service is not None
    code = _unknown_code(target.protocol)
    name = target.operation[:_SHOWN_MAX]
    if name in model.known:
        told = f"portway does not do {target.service.name} {name} yet. docs/reference/aws.md lists what it does."
        return AwsError(code, told, 400)
    if not name:
        missing = "MissingAction" if code == "InvalidAction" else code
        return AwsError(missing, "The request names no operation: X-Amz-Target or Action is missing.", 400)  # fmt: skip
    if target.protocol is Protocol.EC2:
        return AwsError(code, f"The action {name} is not valid for this web service.", 400)
    if target.protocol is Protocol.QUERY:
        told = f"Could not find operation {name} for version {target.version or model.api_version}"
        return AwsError(code, told, 400)
    return AwsError(code, f"{target.service.name} has no operation {name}.", 400)


def no_service(target: Target) -> AwsError:
    """A service that portway does not speak at all."""
    name = f' "{target.asked[:_SHOWN_MAX]}"' if target.asked else ""
    told = f"portway does not speak the AWS service{name} this request is for. docs/reference/aws.md lists those it does."
    return AwsError(_unknown_code(target.protocol), told, 400)


def check_refused(target: Target, refuses: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """AwsError for the first member that is given although the operation refuses it."""
    for path, why in refuses.items():
        if _is_given(values, path.split(".")):
            service = target.service.name if target.service else ""
            code = {"ecs": "ClientException", "ec2": "UnsupportedOperation"}.get(service)
            general = "ValidationError" if target.protocol is Protocol.QUERY else "ValidationException"  # fmt: skip
            raise AwsError(code or general, f"portway does not do {path}: {why}", 400)


def too_large(limit_bytes: int) -> AwsError:
    """A body beyond what the server reads."""
    told = f"The request is larger than {limit_bytes} bytes. Send less, or raise body_size_max_bytes of the server."
    return AwsError("RequestEntityTooLarge", told, 413)


def _is_given(value: Any, path: list[str]) -> bool:
    if isinstance(value, list):
        return any(_is_given(each, path) for each in value)
    if not path:
        return value is not None and value is not False and value != []
    return isinstance(value, Mapping) and _is_given(value.get(path[0]), path[1:])


def _unknown_code(protocol: Protocol) -> str:
    is_xml = protocol in (Protocol.QUERY, Protocol.EC2)
    return "InvalidAction" if is_xml else "UnknownOperationException"
