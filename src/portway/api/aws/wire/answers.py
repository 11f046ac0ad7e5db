"""Results and errors as HTTP answers in each protocol's form. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from portway.api.aws.errors import AwsError
from portway.api.aws.wire.outputs import to_tree, to_xml, xml_text
from portway.api.aws.wire.services import Protocol, Target
from portway.api.aws.wire.shapes import ErrorModel, OperationModel, ServiceModel

_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_QUERY_NAMESPACE = "http://webservices.amazon.com/AWSFault/2005-15-09"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; the headers are lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str]


def result_answer(
    target: Target,
    model: ServiceModel,
    operation: OperationModel,
    value: Mapping[str, Any],
    *,
    request_id: str,
) -> Answer:
    """What an operation returned, as its shape and the protocol want it."""
    match target.protocol:
        case Protocol.JSON:
            body = msgspec.json.encode(to_tree(operation.output, value))
        case Protocol.CBOR:
            body = _cbor(to_tree(operation.output, value, is_cbor=True))
        case Protocol.EC2:
            inside = to_xml(operation.output, value)
            if operation.output is None:
                inside = "<return>true</return>"
            namespace = f"{model.xml_namespace.rstrip('/')}/"
            told = f"<requestId>{request_id}</requestId>{inside}"
            body = _xml_root(f"{operation.name}Response", namespace, told)
        case Protocol.QUERY:
            body = _query_result(model, operation, value, request_id)
    return Answer(status=200, body=body, headers=_headers(target, request_id))


def error_answer(
    target: Target, model: ServiceModel | None, error: AwsError, *, request_id: str
) -> Answer:
    """A refusal: its code and status as the model says, where it knows the code."""
    known = model.errors.get(error.code) if model is not None else None
    status = error.status or (known.status if known else 400)
    code = known.code if known else error.code
    headers = _headers(target, request_id)
    match target.protocol:
        case Protocol.JSON | Protocol.CBOR:
            name = known.shape if known else error.code
            tree = {"__type": name, "message": error.message, **error.members}
            is_cbor = target.protocol is Protocol.CBOR
            body = _cbor(tree) if is_cbor else msgspec.json.encode(tree)
            fault = "Sender" if status < 500 else "Receiver"
            headers = {**headers, "x-amzn-errortype": name}
            if code != name:
                headers["x-amzn-query-error"] = f"{code};{fault}"
        case Protocol.EC2:
            inside = f"<Errors><Error><Code>{xml_text(code)}</Code><Message>{xml_text(error.message)}</Message></Error></Errors>"
            body = (
                f"{_XML}<Response>{inside}<RequestID>{request_id}</RequestID></Response>".encode()
            )
        case Protocol.QUERY:
            body = _query_error(model, known, code, status, error, request_id)
    return Answer(status=status, body=body, headers=headers)


def _query_result(
    model: ServiceModel, operation: OperationModel, value: Mapping[str, Any], request_id: str
) -> bytes:
    inside = to_xml(operation.output, value)
    if operation.output is not None:
        wrapper = operation.output.result_wrapper or f"{operation.name}Result"
        inside = f"<{wrapper}>{inside}</{wrapper}>"
    metadata = f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
    return _xml_root(f"{operation.name}Response", model.xml_namespace, inside + metadata)


def _query_error(
    model: ServiceModel | None,
    known: ErrorModel | None,
    code: str,
    status: int,
    error: AwsError,
    request_id: str,
) -> bytes:
    is_sender = known.sender_fault if known else status < 500
    inside = (
        f"<Error><Type>{'Sender' if is_sender else 'Receiver'}</Type><Code>{xml_text(code)}</Code>"
        f"<Message>{xml_text(error.message)}</Message></Error><RequestId>{request_id}</RequestId>"
    )
    namespace = model.xml_namespace if model is not None else ""
    return _xml_root("ErrorResponse", namespace or _QUERY_NAMESPACE, inside)


def _xml_root(name: str, namespace: str, inside: str) -> bytes:
    return f'{_XML}<{name} xmlns="{namespace}">{inside}</{name}>'.encode()


def _headers(target: Target, request_id: str) -> dict[str, str]:
    match target.protocol:
        case Protocol.JSON:
            kind = f"application/x-amz-json-{target.json_version}"
            return {"content-type": kind, "x-amzn-requestid": request_id}
        case Protocol.CBOR:
            return {
                "content-type": "application/cbor",
                "smithy-protocol": Protocol.CBOR,
                "x-amzn-requestid": request_id,
            }
        case Protocol.EC2 | Protocol.QUERY:
            return {"content-type": "text/xml;charset=UTF-8", "x-amzn-requestid": request_id}


def _cbor(tree: Any) -> bytes:
    import cbor2

    return cbor2.dumps(tree)
