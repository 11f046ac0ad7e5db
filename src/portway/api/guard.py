"""Guard: who may ask at all, decided before anything of a request is parsed.

The unix socket is mode 0600 and trusted. Over TCP: the Host must be a name of this server (DNS rebinding), a
browser's request must come from our own pages (CSRF, WebSockets too), the token must be right where there is one,
and without a token only this machine may ask, with a header that no form of a web page can send. Whom it lets
through it gives a role; what each operation needs is in the table of operations.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from portway.api.aws.wire.services import is_aws_request
from portway.api.marathon.answers import refusal_of as marathon_refusal
from portway.api.marathon.paths import (
    is_marathon_path,
    marathon_token,
    takes_marathon_credentials,
)
from portway.api.native.answers import refusal
from portway.api.roles import SCOPE_KEY, Role
from portway.api.settings import ApiSettings, ListenAddress, is_loopback, parse_listen
from portway.api.tokens import TokenFolder
from portway.core.errors import RequestError

TRUSTED = "portway.trusted"  # set in the scope by the server for what comes over the unix socket
OWN_HEADER = "x-portway-request"

_LOCALHOST = ".localhost"  # names below it are always this machine (RFC 6761)
_SAFE_METHODS = ("GET", "HEAD")
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")
_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware that lets a request through or answers why not."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ApiSettings,
        aws: ASGIApp | None = None,
        marathon: bool = False,
    ) -> None:
        self._app = app
        self._marathon = marathon  # whether Marathon's clients are answered, in its words
        self._aws = aws  # has its own authentication, so it gets its requests and nobody else does
        self._token = settings.token.encode()
        self._tokens = TokenFolder(settings.tokens) if settings.tokens is not None else None
        listen = parse_listen(settings.listen) if settings.listen else None
        self._any_address = listen is not None and listen.is_wildcard
        self._hosts = _host_names(listen, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        trusted = scope.get(TRUSTED) is True
        if self._aws is not None and _is_aws(scope):
            foreign = None if trusted else self._foreign(Headers(scope=scope), scope)
            refused = refusal(foreign) if foreign else None
            await (refused or self._aws)(scope, receive, _with_headers(send))
            return
        scope[SCOPE_KEY] = Role.ADMIN if trusted else None
        response = None if trusted else self._refusal(scope)
        if response is None:
            await self._app(scope, receive, _with_headers(send))
        elif _can_answer(scope):
            await response(scope, receive, _with_headers(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> Response | None:
        error, headers = self._error(scope)
        if error is None:
            return None
        if self._marathon and is_marathon_path(scope["path"]):
            return marathon_refusal(error, headers=headers)
        return refusal(error, headers=headers)

    def _error(self, scope: Scope) -> tuple[RequestError | None, Mapping[str, str]]:
        """Why not, and the headers that belong to it; None with the caller's role written down."""
        headers = Headers(scope=scope)
        if foreign := self._foreign(headers, scope):
            return foreign, {}
        asks_token = self._asks_token()
        role = self._role_of(headers, scope["path"]) if asks_token else Role.ADMIN
        if role is None:
            return _no_token(), {"WWW-Authenticate": 'Bearer realm="portway"'}
        if not asks_token and not _from_this_machine(scope):
            return _not_local(), {}
        scope[SCOPE_KEY] = role
        return self._wrong_type(scope, headers, has_token=asks_token), {}

    def _foreign(self, headers: Headers, scope: Scope) -> RequestError | None:
        return self._wrong_host(headers) or _wrong_origin(scope, headers)

    def _wrong_host(self, headers: Headers) -> RequestError | None:
        given = headers.getlist("host")
        name = _host_name(given[0]) if len(given) == 1 else ""
        if name in self._hosts or name.endswith(_LOCALHOST):
            return None
        if self._any_address and _is_address(name):
            return None
        return RequestError(
            "This server does not answer under the name in the Host header.",
            hint="Use 127.0.0.1, localhost, or the address it listens on.",
            http_status=421,
        )

    def _asks_token(self) -> bool:
        return bool(self._token) or (self._tokens is not None and self._tokens.is_used)

    def _role_of(self, headers: Headers, path: str) -> Role | None:
        """The role of the token that was sent, None without a right one. Two headers are none: which would count?"""
        given = headers.getlist("authorization")
        token = _bearer(given[0]) if len(given) == 1 else None
        if (
            token is None
            and len(given) == 1
            and self._marathon
            and takes_marathon_credentials(path)
        ):
            token = marathon_token(given[0])
        if token is None:
            return None
        if self._token and hmac.compare_digest(token, self._token):
            return Role.ADMIN
        return self._tokens.role_of(token) if self._tokens is not None else None

    def _wrong_type(
        self, scope: Scope, headers: Headers, *, has_token: bool
    ) -> RequestError | None:
        """What a web page could send across origins without asking first is refused, also with a token."""
        if scope["type"] == "websocket" or scope["method"] in _SAFE_METHODS:
            return None
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        marked = content_type == "application/json" or OWN_HEADER in headers
        if self._marathon and is_marathon_path(scope["path"]):
            marked = True  # its clients know no header of ours; what a form can send is refused all the same
        if content_type not in _FORM_TYPES and (marked or has_token):
            return None
        return RequestError(
            "A request that changes something must not look like one a web page could send.",
            hint="Send Content-Type: application/json, or the header X-Portway-Request: 1.",
            http_status=415,
        )


def _bearer(header: str) -> bytes | None:
    scheme, _, text = header.partition(" ")
    # Latin-1 is how the server decodes headers, so this gives back the bytes that were sent.
    return text.strip().encode("latin-1", "replace") if scheme.lower() == "bearer" else None


def _is_aws(scope: Scope) -> bool:
    if scope["type"] != "http":
        return False
    return is_aws_request(scope["method"], scope["path"], scope["query_string"])


def _host_names(listen: ListenAddress | None, settings: ApiSettings) -> frozenset[str]:
    names = {"localhost", "127.0.0.1", "::1", *settings.host_names}
    if listen is not None:
        names.add(listen.host)
    return frozenset(name.lower().strip("[]") for name in names)


def _host_name(host: str) -> str:
    """The Host header without its port and brackets, in lower case; "" when it makes no sense."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    odd = parts.path or parts.query or parts.fragment or "@" in host
    return "" if odd else (parts.hostname or "").rstrip(".")


def _is_address(name: str) -> bool:
    # A name can be made to point anywhere (DNS rebinding); an address is what was really connected to.
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _wrong_origin(scope: Scope, headers: Headers) -> RequestError | None:
    scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
    own = f"{scheme}://{headers.get('host', '')}".lower()
    foreign = any(origin.lower() != own for origin in headers.getlist("origin"))
    # Browsers send no Origin with an image or a script tag; this header they do send.
    navigating = headers.get("sec-fetch-mode") == "navigate" and scope.get("method") == "GET"
    site = headers.get("sec-fetch-site", "none")
    if not foreign and (site in ("none", "same-origin") or navigating):
        return None
    return RequestError(
        "A web page from somewhere else made this request, and that is not allowed.",
        hint="Call the API from a program, or from a page of this server.",
        http_status=403,
    )


def _from_this_machine(scope: Scope) -> bool:
    client = scope.get("client")
    return client is not None and is_loopback(str(client[0]))


def _no_token() -> RequestError:
    return RequestError(
        "The token is missing or wrong.",
        hint="Send the header Authorization: Bearer TOKEN with the server's token (PORTWAY_TOKEN), "
        "or one made by `portway token create`.",
        http_status=401,
    )


def _not_local() -> RequestError:
    return RequestError(
        "Without a token this server answers only programs on its own machine.",
        hint="Make a token with `portway token create`, or start it with PORTWAY_TOKEN set; send that token.",
        http_status=403,
    )


def _can_answer(scope: Scope) -> bool:
    extensions: Mapping[str, object] = scope.get("extensions") or {}
    return scope["type"] == "http" or "websocket.http.response" in extensions


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(scope=message)
            for name, value in _SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
