"""Resource: everything at one path of the native API. It reads the request, calls the endpoint and writes the answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from portway.api.native.answers import answer, explained, refusal
from portway.api.native.endpoint import Call, Endpoint
from portway.api.native.exec import serve_exec
from portway.api.native.reading import check_path, check_upload, parse_query, read_body, uploaded
from portway.api.native.streams import LineStream
from portway.api.roles import refuse_without, role_in
from portway.api.settings import ApiSettings
from portway.controller.contract import Operations
from portway.core.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What every resource needs. `closing` is set when the server stops."""

    operations: Operations
    settings: ApiSettings
    closing: asyncio.Event


class Resource:
    """An ASGI application for one path and its methods; HEAD is GET without its body."""

    def __init__(self, endpoints: Sequence[Endpoint], shared: Shared) -> None:
        self._shared = shared
        self._endpoints = {endpoint.method: endpoint for endpoint in endpoints}
        get = self._endpoints.get("GET")
        if get is not None and get.ask is not None:
            self._endpoints["HEAD"] = get

    @property
    def methods(self) -> tuple[str, ...]:
        """What the Allow header says."""
        return tuple(sorted(self._endpoints))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        response: ASGIApp
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer)
            response = refusal(explained(error, where=f"{request.method} {request.url.path}"))
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> ASGIApp:
        endpoint = self._endpoints.get(request.method)
        if endpoint is None:
            return self._wrong_method(request)
        refuse_without(request.scope, endpoint.role)
        check_path(request.path_params)
        query = parse_query(request.scope["query_string"], endpoint.query)
        body = await self._body(request, endpoint)
        if endpoint.stream is not None:
            return self._stream(request, endpoint, query=query, body=body)
        if endpoint.ask is None:
            return _upgrade_required()
        call = Call(
            path=request.path_params,
            query=query,
            body=body,
            upload=_nothing(),
            role=role_in(request.scope),
        )
        return answer(await endpoint.ask(self._shared.operations, call), status=endpoint.status)

    async def _body(self, request: Request, endpoint: Endpoint) -> object:
        if endpoint.upload:
            check_upload(request, endpoint.upload)
        if endpoint.request is None:
            return None
        settings = self._shared.settings
        return await read_body(
            request,
            endpoint.request,
            size_max_bytes=settings.body_size_max_bytes,
            timeout_s=settings.body_timeout_s,
        )

    def _stream(
        self, request: Request, endpoint: Endpoint, *, query: object, body: object
    ) -> LineStream:
        open_stream, settings = endpoint.stream, self._shared.settings
        assert open_stream is not None
        ended = asyncio.Event()
        upload = _until_ended(uploaded(request), ended) if endpoint.upload else _nothing()
        if not endpoint.upload:
            ended.set()
        call = Call(
            path=request.path_params,
            query=query,
            body=body,
            upload=upload,
            role=role_in(request.scope),
        )
        return LineStream(
            lambda: open_stream(self._shared.operations, call),
            request=request,
            closing=self._shared.closing,
            upload_ended=ended,
            heartbeat_s=settings.heartbeat_s,
            first_answer_s=settings.first_answer_s,
        )

    def _wrong_method(self, request: Request) -> Response:
        allowed = ", ".join(self.methods)
        error = RequestError(
            f"{request.url.path} does not take the method {request.method[:20]}.",
            hint=f"It takes {allowed}.",
            http_status=405,
        )
        return refusal(error, headers={"Allow": allowed})


class SocketResource:
    """An ASGI application for the WebSocket at one path."""

    def __init__(self, endpoint: Endpoint, shared: Shared) -> None:
        self._needed = endpoint.role
        self._shared = shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            refuse_without(scope, self._needed)
        except RequestError as error:
            await _refuse_socket(error, scope, receive, send)
            return
        # Its client may leave at any time, also in the middle of an answer: that is no error.
        with suppress(OSError):
            await serve_exec(
                WebSocket(scope, receive, send),
                self._shared.operations,
                closing=self._shared.closing,
                heartbeat_s=self._shared.settings.heartbeat_s,
            )


def make_routes(endpoints: Sequence[Endpoint], shared: Shared) -> list[BaseRoute]:
    """Starlette's routes for a table of endpoints: one route for each path, so that 405 knows every method."""
    by_path: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        by_path.setdefault(endpoint.path, []).append(endpoint)
    made: list[BaseRoute] = [
        WebSocketRoute(endpoint.path, _any(SocketResource(endpoint, shared)))
        for endpoint in endpoints
        if endpoint.socket
    ]
    made += [
        Route(path, _any(Resource(group, shared)), methods=None) for path, group in by_path.items()
    ]
    return made


def unknown_route(path: str) -> Response:
    """The answer where nothing is."""
    shown = path if path.isprintable() and len(path) <= 200 else "that path"
    error = RequestError(
        f"There is nothing at {shown}.",
        hint="GET /openapi.json lists every operation; /docs shows them.",
        http_status=404,
    )
    return refusal(error)


def _upgrade_required() -> Response:
    error = RequestError(
        "This is a WebSocket; a plain HTTP request cannot use it.",
        hint="Connect with a WebSocket client, or use `portway exec`.",
        http_status=426,
    )
    return refusal(error, headers={"Upgrade": "websocket", "Connection": "Upgrade"})


async def _refuse_socket(error: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    if "websocket.http.response" in (scope.get("extensions") or {}):
        await refusal(error)(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1008})


async def _until_ended(source: AsyncIterator[bytes], ended: asyncio.Event) -> AsyncIterator[bytes]:
    try:
        async for chunk in source:
            yield chunk
    finally:
        ended.set()


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def _any(value: Mapping[str, object] | object) -> Any:
    # Starlette takes an ASGI application as an endpoint too, but its type says only Callable.
    return value
