"""The ASGI application: the guard in front, the native API, its description. It only puts them together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from portway.api.aws.endpoint import AwsEndpoint
from portway.api.aws.settings import AwsSettings, check_aws_reach
from portway.api.guard import Guard
from portway.api.marathon.face import MarathonFace
from portway.api.marathon.paths import MARATHON_METRICS_PATH, METRICS_PATH
from portway.api.native.answers import explained, refusal
from portway.api.native.resource import Shared, make_routes, unknown_route
from portway.api.native.routes import ENDPOINTS
from portway.api.openapi import Document, encode_document, make_document
from portway.api.pages import CONTENT_SECURITY_POLICY, render_html
from portway.api.settings import ApiSettings, check_settings
from portway.controller.contract import Operations
from portway.controller.marathon.desk import Marathon
from portway.core.errors import RequestError
from portway.core.exposition import CONTENT_TYPE


def create_app(
    operations: Operations,
    settings: ApiSettings,
    aws: AwsSettings | None = None,
    marathon: Marathon | None = None,
) -> Starlette:
    """Everything portway answers over HTTP; RequestError when the settings would leave it open to a network.

    `app.state.closing` is an event: once set, streams and commands end with a word about it.
    `aws` None: without the AWS face; `marathon` None: without Marathon's.
    """
    check_settings(settings)
    if aws is not None:
        check_aws_reach(verify_signatures=aws.verify_signatures, listen=settings.listen)
    face = AwsEndpoint(operations, aws) if aws is not None else None
    shared = Shared(operations=operations, settings=settings, closing=asyncio.Event())
    app = Starlette(
        routes=[
            *make_routes(ENDPOINTS, shared),
            Route("/openapi.json", _openapi),
            Route("/docs", _docs),
            Route(METRICS_PATH, _metrics),
            *_marathon_routes(marathon, shared),
        ],
        middleware=[Middleware(Guard, settings=settings, aws=face, marathon=marathon is not None)],
        exception_handlers={HTTPException: _refused, Exception: _failed},
    )
    app.router.redirect_slashes = False
    app.router.default = _not_found
    app.state.closing = shared.closing
    app.state.operations = operations
    app.state.aws = face
    return app


def _marathon_routes(marathon: Marathon | None, shared: Shared) -> list[Route]:
    if marathon is None:
        return []
    face = MarathonFace(marathon, shared.settings, shared.closing)
    return [
        *(Route(path, face, methods=None) for path in ("/v2", "/v2/{rest:path}", "/ping")),
        Route(MARATHON_METRICS_PATH, _metrics),
        Route("/", _to("/ui/")),
        *(Route(path, _to("/docs")) for path in ("/ui", "/ui/", "/help")),
    ]


def _to(path: str) -> Callable[[Request], Response]:
    """Where Marathon has its pages; ours is the description of the API."""
    return lambda _: RedirectResponse(path, status_code=302)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    refused = RequestError(
        f"{request.url.path} does not take the method {request.method[:20]}."
        if error.status_code == 405
        else error.detail,
        hint="/docs shows every operation.",
        http_status=error.status_code,
    )
    return refusal(refused, headers=error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    return refusal(explained(error, where=f"{request.method} {request.url.path}"))


async def _openapi(_: Request) -> Response:
    return Response(encode_document(_document()), media_type="application/json")


async def _docs(_: Request) -> Response:
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return Response(render_html(_document()), media_type="text/html", headers=headers)


async def _metrics(request: Request) -> Response:
    operations: Operations = request.app.state.operations
    face: AwsEndpoint | None = request.app.state.aws
    page = await operations.metrics() + (face.metrics.page() if face else "")
    return Response(page, media_type=CONTENT_TYPE)


@cache
def _document() -> Document:
    return make_document(ENDPOINTS)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        return
    await unknown_route(scope["path"])(scope, receive, send)
