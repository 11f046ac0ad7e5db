"""AwsEndpoint: a request of the AWS face from its first byte to its answer. It routes, verifies, validates and asks one function.

Whatever happens it answers in the protocol of the request; a mistake of ours is an id, never a traceback.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
import traceback
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import structlog
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from portway.api.aws.authentication import Verifier, check_role, missing, unsigned
from portway.api.aws.errors import AwsError, from_portway
from portway.api.aws.face import Caller, Face
from portway.api.aws.keys import KeyFolder
from portway.api.aws.metrics import AwsMetrics
from portway.api.aws.operation import Operation, Request, loaded_service
from portway.api.aws.settings import AwsSettings
from portway.api.aws.wire.answers import Answer, error_answer, result_answer
from portway.api.aws.wire.forms import read_form, read_pairs
from portway.api.aws.wire.inputs import Parsed, WrongType, read_tree
from portway.api.aws.wire.refusals import (
    check_refused,
    invalid,
    malformed,
    no_service,
    not_done,
    too_large,
)
from portway.api.aws.wire.services import Protocol, Target, find_target, protocol_of
from portway.api.aws.wire.shapes import OperationModel, ServiceModel
from portway.api.aws.wire.sigv4 import (
    Incomplete,
    Mismatch,
    SentRequest,
    Signature,
    read_signature,
)
from portway.api.aws.wire.validation import violations
from portway.api.guard import TRUSTED
from portway.controller.contract import Operations
from portway.core.errors import PortwayError

log = structlog.get_logger("portway.api.aws")

_NAME = re.compile(r"[A-Za-z0-9]{1,64}")
_NOBODY = Target(service=None, operation="", protocol=Protocol.QUERY)


@dataclass(slots=True, kw_only=True)
class _Progress:
    """How far a request came, for the answer of whatever stops it and for the log."""

    request_id: str
    target: Target = _NOBODY
    model: ServiceModel | None = None
    caller: Caller | None = None
    code: str = ""


class AwsEndpoint:
    """The ASGI application of the AWS face."""

    def __init__(self, operations: Operations, settings: AwsSettings) -> None:
        self._operations = operations
        self._settings = settings
        self._verifier = Verifier(
            keys=KeyFolder(settings.keys),
            region=settings.region,
            account_id=settings.account_id,
            verify=settings.verify_signatures,
            now_ms=settings.now_ms,
        )
        self._face = Face(
            operations=operations,
            documents=settings.documents,
            keys=self._verifier.keys,
            account_id=settings.account_id,
            region=settings.region,
            home_id=settings.home_id,
            caller=self._verifier.nobody(),
            now_ms=settings.now_ms,
        )
        self.metrics = AwsMetrics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began_s = time.monotonic()
        progress = _Progress(request_id=str(uuid.uuid4()))
        try:
            answer = await self._answer(scope, receive, progress)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer)
            answer = _refusal(error, progress)
        self._note(progress, answer, time.monotonic() - began_s)
        await _send(send, answer)

    async def _answer(self, scope: Scope, receive: Receive, progress: _Progress) -> Answer:
        head = _sent(scope)
        headers = dict(head.headers)
        progress.target = replace(_NOBODY, protocol=protocol_of(head.path, headers))
        signature = self._signature(head, progress.target, trusted=_is_trusted(scope))
        request = replace(head, body=await self._body(receive, headers))
        parameters = _parameters(request, progress.target.protocol)
        target = progress.target = find_target(
            request.path, headers, parameters, scope=signature.service if signature else ""
        )
        progress.caller = self._verifier.caller(
            target, request, signature, trusted=_is_trusted(scope)
        )
        check_role(progress.caller, target)
        if target.service is None:
            raise no_service(target)
        model, operations = await loaded_service(target.service.name)
        progress.model = model
        if target.operation not in operations:
            raise not_done(target, model)
        operation, shape = operations[target.operation], model.operations[target.operation]
        asked = _asked(target, operation, shape, request, parameters, progress.request_id)
        face = replace(self._face, caller=progress.caller)
        value = await operation.run(face, asked)
        return result_answer(target, model, shape, value, request_id=progress.request_id)

    def _signature(self, head: SentRequest, target: Target, *, trusted: bool) -> Signature | None:
        """What was sent as signature, looked at before the body is read: without one there is no reason to."""
        if not (self._settings.verify_signatures or trusted) and head.method == "GET":
            # A web page anywhere could have a browser open it; a POST it cannot send without saying where from.
            told = "While signatures are not verified, only POST is answered."
            raise AwsError("AccessDenied", told, 403)
        try:
            signature = read_signature(head)
        except (Incomplete, Mismatch) as error:
            if not self._settings.verify_signatures:
                return None
            raise unsigned(target.protocol, error) from None
        if signature is None and self._settings.verify_signatures and not trusted:
            raise missing(target.protocol)
        return signature

    async def _body(self, receive: Receive, headers: Mapping[str, str]) -> bytes:
        limit = self._settings.body_size_max_bytes
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > limit:
            raise too_large(limit)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > limit:
                        raise too_large(limit)
                    if not message.get("more_body", False):
                        return b"".join(chunks)
        except TimeoutError:
            raise AwsError("RequestTimeout", "The body of the request did not arrive in time.", 400) from None  # fmt: skip

    def _note(self, progress: _Progress, answer: Answer, duration_s: float) -> None:
        target = progress.target
        service = target.service.name if target.service else "unknown"
        known = progress.model is not None and target.operation in progress.model.known
        operation = target.operation if known else "unknown"
        code = progress.code if _NAME.fullmatch(progress.code.replace(".", "")) else ""
        self.metrics.observe(service, operation, code, duration_s)
        is_change = not operation.startswith(("Describe", "List", "Get", "Filter"))
        (log.info if is_change or answer.status >= 500 else log.debug)(
            "aws_request",
            service=service,
            operation=operation,
            status=answer.status,
            code=code,
            key=progress.caller.access_key_id if progress.caller else "",
            request_id=progress.request_id,
            duration_ms=round(duration_s * 1000, 1),
        )


def _asked(
    target: Target,
    operation: Operation,
    model: OperationModel,
    request: SentRequest,
    parameters: Mapping[str, str],
    request_id: str,
) -> Request:
    """The parsed and validated request; AwsError saying what of it is wrong."""
    assert target.service is not None
    try:
        parsed = _parsed(target, model, request, parameters)
    except WrongType as error:
        raise malformed(target, str(error)) from None
    found = violations(model.input, parsed.values, left_out=operation.checks)
    if found:
        raise invalid(target, found)
    check_refused(target, operation.refuses, parsed.values)
    if parsed.unknown:
        log.debug("aws_members_unknown", operation=operation.name, members=parsed.unknown[:20])
    return Request(
        service=target.service.name,
        operation=operation.name,
        input=parsed.values,
        request_id=request_id,
        unknown=parsed.unknown,
    )


def _parsed(
    target: Target, model: OperationModel, request: SentRequest, parameters: Mapping[str, str]
) -> Parsed:
    match target.protocol:
        case Protocol.QUERY | Protocol.EC2:
            return read_form(model.input, parameters, is_ec2=target.protocol is Protocol.EC2)
        case Protocol.JSON:
            return read_tree(model.input, _json(request.body), values_max=len(request.body))
        case Protocol.CBOR:
            return read_tree(model.input, _cbor(request.body), values_max=len(request.body))


def _json(body: bytes) -> object:
    try:
        return msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise WrongType("The body is not JSON.") from None


def _cbor(body: bytes) -> object:
    import cbor2

    try:
        return cbor2.loads(body) if body else {}
    except Exception as error:  # noqa: BLE001  (its decoders of tags raise what they like)
        raise WrongType("The body is not CBOR.") from error


def _parameters(request: SentRequest, protocol: Protocol) -> dict[str, str]:
    """Those of the query string and of the form; a JSON or CBOR body has none."""
    if protocol in (Protocol.JSON, Protocol.CBOR):
        return {}
    try:
        given = read_pairs(request.query.encode("latin-1"))
        return {**given, **read_pairs(request.body)} if request.method == "POST" else given
    except WrongType as error:
        raise AwsError("MalformedQueryString", str(error), 400) from None


def _refusal(error: Exception, progress: _Progress) -> Answer:
    if isinstance(error, PortwayError):
        service = progress.target.service
        is_json = progress.target.protocol in (Protocol.JSON, Protocol.CBOR)
        is_ecs = service is not None and service.name == "ecs"
        error = from_portway(error, is_ecs=is_ecs, is_json=is_json)
    if not isinstance(error, AwsError):
        error = _mistake(error, progress)
    progress.code = error.code
    return error_answer(progress.target, progress.model, error, request_id=progress.request_id)


def _mistake(error: Exception, progress: _Progress) -> AwsError:
    """Anything else is ours: logged whole, as text, because a log that renders local variables would show secrets."""
    error_id = secrets.token_hex(4)
    log.error(
        "request_failed",
        error_id=error_id,
        where=f"aws {progress.target.operation[:64]}",
        request_id=progress.request_id,
        trace="".join(traceback.format_exception(error)),
    )
    told = f"portway itself made a mistake (error {error_id}). The server's log has the details; please report them."
    is_ecs = progress.target.service is not None and progress.target.service.name == "ecs"
    is_json = progress.target.protocol in (Protocol.JSON, Protocol.CBOR) and not is_ecs
    code = "ServerException" if is_ecs else "InternalFailure"
    return AwsError("InternalServerError" if is_json else code, told, 500)


def _sent(scope: Scope) -> SentRequest:
    path: Any = scope.get("raw_path") or scope["path"].encode()
    return SentRequest(
        method=scope["method"],
        path=path.decode("latin-1").partition("?")[0],
        query=scope["query_string"].decode("latin-1"),
        headers=[
            (name.decode("latin-1").lower(), value.decode("latin-1"))
            for name, value in scope["headers"]
        ],
    )


def _is_trusted(scope: Scope) -> bool:
    return scope.get(TRUSTED) is True


async def _send(send: Send, answer: Answer) -> None:
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]  # fmt: skip
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})
    await send({"type": "http.response.body", "body": answer.body})
