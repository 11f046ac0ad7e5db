"""MarathonFace: the ASGI application at Marathon's paths. It finds the operation, calls it and writes the answer."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portway.api.marathon.answers import HEADERS, answer, failure, refusal, refusal_of
from portway.api.marathon.call import Call, Endpoint, Shared, pattern_of, refuse_large
from portway.api.marathon.infos import Infos
from portway.api.marathon.routes import ENDPOINTS
from portway.api.roles import refuse_without
from portway.api.settings import ApiSettings
from portway.controller.marathon.desk import Marathon
from portway.core.errors import PortwayError, RequestError
from portway.manifests.marathon.refusal import MarathonRefusal

_SLASHES = re.compile("/+")
_ETAG_SIZE_MAX_BYTES = 1024 * 1024


class MarathonFace:
    """Answers what Marathon's clients ask."""

    def __init__(self, marathon: Marathon, settings: ApiSettings, closing: asyncio.Event) -> None:
        self.marathon = marathon
        self._shared = Shared(
            marathon=marathon, infos=Infos(marathon), settings=settings, closing=closing
        )
        self._routes = by_path(ENDPOINTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        except MarathonRefusal as error:
            response = refusal(error)
        except PortwayError as error:
            response = refusal_of(error)
        except Exception as error:  # noqa: BLE001  (whatever it is, the client gets an answer)
            response = failure(error, where=f"{request.method} {request.url.path}")
        await response(scope, receive, self._with_headers(send))

    async def _respond(self, request: Request) -> ASGIApp:
        path = _SLASHES.sub("/", request.scope["path"]).rstrip("/")
        endpoints, parts = self._find(path)
        if not endpoints:
            return answer({"message": f"URI not found: {request.scope['path'][:200]}"}, status=404)
        method = "GET" if request.method == "HEAD" else request.method
        endpoint = endpoints.get(method)
        if endpoint is None:
            allowed = ", ".join(sorted({*endpoints, *(["HEAD"] if "GET" in endpoints else [])}))
            body = {"message": f"HTTP 405 Method Not Allowed. {path} takes {allowed}."}
            return answer(body, status=405, headers={"Allow": allowed})
        refuse_without(request.scope, endpoint.needs)
        content = await self._content(request) if method != "GET" else b""
        call = Call(shared=self._shared, request=request, parts=parts, content=content)
        response = await endpoint.handle(call)
        return _tagged(request, response) if method == "GET" else response

    def _find(self, path: str) -> tuple[Mapping[str, Endpoint], Mapping[str, str]]:
        for pattern, endpoints in self._routes:
            if found := pattern.fullmatch(path):
                return endpoints, found.groupdict()
        return {}, {}

    async def _content(self, request: Request) -> bytes:
        settings = self._shared.settings
        chunks: list[bytes] = []
        size_bytes = 0
        try:
            async with asyncio.timeout(settings.body_timeout_s):
                async for chunk in request.stream():
                    size_bytes += len(chunk)
                    refuse_large(size_bytes, settings.body_size_max_bytes)
                    chunks.append(chunk)
        except TimeoutError:
            raise RequestError(
                "The body did not arrive in time.", hint="Send it at once.", http_status=408
            ) from None
        return b"".join(chunks)

    def _with_headers(self, send: Send) -> Send:
        leader = f"http://{self.marathon.settings.leader}".encode()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", []))
                known = {name.lower() for name, _ in headers}
                more = {**{k: v.encode() for k, v in HEADERS.items()}, "X-Marathon-Leader": leader}
                headers += [
                    (name.lower().encode(), value)
                    for name, value in more.items()
                    if name.lower().encode() not in known
                ]
                message = {**message, "headers": headers}
            await send(message)

        return send_with_headers


def by_path(
    endpoints: Iterable[Endpoint],
) -> list[tuple[re.Pattern[str], dict[str, Endpoint]]]:
    """The table as patterns, in its order, each with its methods."""
    found: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        found.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return [(pattern_of(path), methods) for path, methods in found.items()]


def _tagged(request: Request, response: ASGIApp) -> ASGIApp:
    """The answer with its ETag; 304 without a body for who has it already."""
    if not isinstance(response, Response) or response.status_code != 200:
        return response
    body = bytes(getattr(response, "body", b""))
    if not body or len(body) > _ETAG_SIZE_MAX_BYTES:
        return response
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    given = [one.strip() for one in request.headers.get("if-none-match", "").split(",")]
    if tag in given or "*" in given:
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return response
