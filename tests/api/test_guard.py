"""Who may ask: checked for every route and method there is, from the table itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.types import Message
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from portway.api.app import create_app
from portway.api.guard import Guard
from portway.api.native.routes import ENDPOINTS
from portway.api.settings import ApiSettings
from portway.core.errors import RequestError

from .conftest import TOKEN, Served, serving
from .fakes import FakeOperations

EXEC = "/v1/stacks/httpd/instances/web.1/exec"
MUTATING = ("POST", "PUT", "PATCH", "DELETE")
JSON = {"Content-Type": "application/json"}


def everything() -> Iterator[tuple[str, str]]:
    """Every path with every method, those it does not take too: nothing may be told before the guard."""
    names = {"stack": "httpd", "release": "R1", "instance": "web.1", "app": "web"}
    paths = {endpoint.path.format(**names) for endpoint in ENDPOINTS}
    for path in sorted({*paths, "/openapi.json", "/docs", "/metrics", "/", "/v1/nothing"}):
        for method in ("GET", "HEAD", *MUTATING, "OPTIONS", "TRACE", "BREW"):
            yield method, path


async def statuses(served: Served, headers: dict[str, str], **body: bytes) -> dict[str, int]:
    found: dict[str, int] = {}
    for method, path in everything():
        data = body.get("data") if method in MUTATING else None
        async with served.remote.request(method, path, headers=headers, data=data) as response:
            found[f"{method} {path}"] = response.status
            if method != "HEAD" and response.status >= 400:
                answer = await response.json()
                assert answer["error"]["message"].endswith(".")
            assert response.headers["X-Content-Type-Options"] == "nosniff"
    return found


async def test_every_route_without_the_token_is_401_on_tcp(guarded: Served) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
        found = await statuses(guarded, {**JSON, **headers})
        assert {k for k, status in found.items() if status != 401} == set()
    assert guarded.operations.calls == []


async def test_every_route_under_another_host_name_is_421(served: Served) -> None:
    for host in (
        "evil.test",
        "127.0.0.1.evil.test",
        "localhost@evil.test",
        "localhost.evil.test",
        "evil-localhost",
        "evil.test:8080",
        "10.0.0.1",
    ):
        found = await statuses(served, {**JSON, "Host": host})
        assert {k for k, status in found.items() if status != 421} == set(), host
    assert served.operations.calls == []


async def test_every_route_asked_by_a_foreign_page_is_403(served: Served) -> None:
    own_port = served.service_port
    for origin in (
        "http://evil.test",
        "null",
        f"https://127.0.0.1:{own_port}",
        f"http://localhost:{own_port}",
        "http://127.0.0.1:1",
    ):
        found = await statuses(served, {**JSON, "Origin": origin})
        assert {k for k, status in found.items() if status != 403} == set(), origin
    assert served.operations.calls == []


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"],
)
async def test_every_change_sent_like_a_form_is_415(served: Served, content_type: str) -> None:
    found = await statuses(served, {"Content-Type": content_type}, data=b"force=1")
    refused = {k: status for k, status in found.items() if k.startswith(MUTATING)}
    assert set(refused.values()) == {415}
    assert not [name for name, _ in served.operations.calls if name in ("promote", "delete_stack")]


async def test_a_form_is_refused_with_a_token_and_the_own_header_too(guarded: Served) -> None:
    headers = {
        "Authorization": f"Bearer {TOKEN}",
        "X-Portway-Request": "1",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    async with guarded.remote.post(
        "/v1/stacks/httpd/cancel", headers=headers, data=b"a=1"
    ) as response:
        assert response.status == 415


async def test_a_change_needs_json_or_the_own_header_without_a_token(served: Served) -> None:
    path = "/v1/stacks/httpd/cancel"
    for headers, status in (({}, 415), ({"X-Portway-Request": "1"}, 200), (JSON, 200)):
        async with served.remote.post(path, headers=headers) as response:
            assert response.status == status, headers


async def test_the_right_token_opens_every_read(guarded: Served) -> None:
    headers = {"Authorization": f"bearer {TOKEN}"}
    for path in ("/v1/stacks", "/openapi.json", "/docs", "/v1/events"):
        async with guarded.remote.get(path, headers=headers) as response:
            assert response.status == 200


async def test_a_token_of_odd_bytes_is_wrong_and_not_a_crash(guarded: Served) -> None:
    async with guarded.remote.get("/v1/stacks", headers={"Authorization": "Bearer \u00e9"}) as r:
        assert r.status == 401


async def test_a_token_beyond_ascii_is_compared_as_bytes(tmp_path: Path) -> None:
    async with serving(tmp_path, ApiSettings(token="schl\u00fcssel")) as served:
        headers = {"Authorization": "Bearer schl\u00fcssel"}
        async with served.remote.get("/v1/stacks", headers=headers) as response:
            assert response.status == 200


async def test_the_unix_socket_needs_neither_token_nor_host(guarded: Served) -> None:
    headers = {"Host": "whatever", "Origin": "http://evil.test"}
    async with guarded.local.post("/v1/stacks/httpd/cancel", headers=headers) as response:
        assert response.status == 200


async def test_a_page_of_this_server_may_ask(served: Served) -> None:
    async with served.remote.get("/v1/stacks", headers={"Origin": served.url}) as response:
        assert response.status == 200


async def test_a_foreign_page_cannot_even_load_an_answer_as_an_image(served: Served) -> None:
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    for headers, status in ((image, 403), (link, 200)):
        async with served.remote.get("/docs", headers=headers) as response:
            assert response.status == status


async def test_the_names_of_this_machine_are_answered(served: Served) -> None:
    port = served.service_port
    for host in (f"localhost:{port}", "LOCALHOST", "[::1]:8080", "127.0.0.1", "ecs.localhost:1"):
        async with served.remote.get("/v1/stacks", headers={"Host": host}) as response:
            assert response.status == 200, host


async def test_further_names_are_answered_when_configured(tmp_path: Path) -> None:
    settings = ApiSettings(host_names=("Deploy.Example",))
    async with serving(tmp_path, settings) as served:
        for host, status in (("deploy.example:80", 200), ("xdeploy.example", 421)):
            async with served.remote.get("/v1/stacks", headers={"Host": host}) as response:
                assert response.status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": f"Bearer {TOKEN}", "Origin": "http://evil.test"}, 403),
        ({"Authorization": f"Bearer {TOKEN}", "Host": "evil.test"}, 421),
    ],
)
async def test_a_websocket_is_guarded_like_everything_else(
    guarded: Served, headers: dict[str, str], status: int
) -> None:
    host, origin = headers.get("Host", "127.0.0.1"), headers.get("Origin")
    others = {k: v for k, v in headers.items() if k == "Authorization"}
    with pytest.raises(InvalidStatus) as refused:
        async with connect(
            f"ws://{host}{EXEC}",
            host="127.0.0.1",
            port=guarded.service_port,
            additional_headers=others,
            origin=origin,  # type: ignore[arg-type]
        ):
            pass
    assert refused.value.response.status_code == status
    assert guarded.operations.calls == []


@pytest.mark.parametrize("listen", ["0.0.0.0:8080", ":8080", "[::]:8080", "10.1.2.3:80", "box:80"])
def test_no_app_is_made_that_faces_a_network_without_a_token(listen: str) -> None:
    with pytest.raises(RequestError, match="without a token"):
        create_app(FakeOperations(), ApiSettings(listen=listen))
    create_app(FakeOperations(), ApiSettings(listen=listen, token="t"))


@pytest.mark.parametrize("listen", ["", "127.0.0.1:1", "[::1]:1", "localhost:1", "127.9.9.9:1"])
def test_loopback_needs_no_token(listen: str) -> None:
    create_app(FakeOperations(), ApiSettings(listen=listen))


async def asked(guard: Guard, **scope: object) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    whole = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "scheme": "http",
        "client": ("127.0.0.1", 5),
        "headers": [(b"host", b"localhost")],
        **scope,
    }
    await guard(whole, receive, send)
    return sent


async def passed(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]


async def test_without_a_token_another_machine_is_refused_even_when_it_gets_through() -> None:
    guard = Guard(passed, settings=ApiSettings())
    for client, status in (
        (("127.0.0.1", 5), 204),
        (("::1", 5), 204),
        (("::ffff:127.0.0.1", 5), 204),
        (("10.0.0.9", 5), 403),
        (None, 403),
    ):
        (start, *_) = await asked(guard, client=client)
        assert start["status"] == status, client


async def test_a_wildcard_listener_answers_under_addresses_but_not_under_names() -> None:
    guard = Guard(passed, settings=ApiSettings(listen="0.0.0.0:8080", token="t"))
    bearer = (b"authorization", b"Bearer t")
    for host, status in ((b"10.0.0.7:8080", 204), (b"[fe80::1]:1", 204), (b"evil.test", 421)):
        (start, *_) = await asked(guard, headers=[(b"host", host), bearer])
        assert start["status"] == status, host


@pytest.mark.parametrize(
    "headers", [[], [(b"host", b"localhost"), (b"host", b"evil.test")], [(b"host", b"local[host")]]
)
async def test_no_host_two_hosts_and_nonsense_are_421(headers: list[tuple[bytes, bytes]]) -> None:
    (start, *_) = await asked(Guard(passed, settings=ApiSettings()), headers=headers)
    assert start["status"] == 421


async def test_a_websocket_that_cannot_be_answered_is_closed() -> None:
    guard = Guard(passed, settings=ApiSettings(token="t"))
    assert await asked(guard, type="websocket", scheme="ws") == [
        {"type": "websocket.close", "code": 1008}
    ]
