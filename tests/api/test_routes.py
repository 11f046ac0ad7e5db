"""Every operation of the table, through a real socket, reaches the operation it names with what was sent."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import msgspec
import pytest

from portway.api.native.endpoint import Call, Endpoint
from portway.api.native.handlers import LogView
from portway.api.native.routes import ENDPOINTS
from portway.controller.views import PromotionView, ReleaseView, StackView
from portway.core.app import Build
from portway.core.events import Event

from .conftest import Served

PLAIN = [e for e in ENDPOINTS if e.ask is not None]
STREAMS = [e for e in ENDPOINTS if e.stream is not None]


def path_of(endpoint: Endpoint) -> str:
    names = {"stack": "httpd", "release": "RUAENUMAQBS", "instance": "web.1.7", "app": "web"}
    query = f"?{endpoint.example_query}" if endpoint.example_query else ""
    return endpoint.path.format(**names) + query.replace("&follow=1", "")


def body_of(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.upload:
        return {"data": b"tar", "headers": {"Content-Type": endpoint.upload}}
    return {"json": endpoint.example} if endpoint.request else {}


def named(endpoint: Endpoint) -> str:
    return endpoint.name


@pytest.mark.parametrize("endpoint", PLAIN, ids=named)
async def test_every_operation_answers_the_view_its_table_entry_names(
    served: Served, endpoint: Endpoint
) -> None:
    async with served.local.request(endpoint.method, path_of(endpoint), **body_of(endpoint)) as r:
        assert r.status == endpoint.status, await r.text()
        assert r.content_type == "application/json"
        msgspec.json.decode(await r.read(), type=endpoint.response)


@pytest.mark.parametrize("endpoint", STREAMS, ids=named)
async def test_every_stream_answers_lines_of_the_kind_its_table_entry_names(
    served: Served, endpoint: Endpoint
) -> None:
    async with served.local.request(endpoint.method, path_of(endpoint), **body_of(endpoint)) as r:
        assert r.status == 200, await r.text()
        assert r.content_type == "application/x-ndjson"
        lines = [json.loads(line) for line in (await r.text()).split("\n") if line]
    assert lines
    assert not any("error" in line for line in lines)


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if not e.socket], ids=named)
def test_a_handler_takes_the_body_and_query_its_table_entry_declares(endpoint: Endpoint) -> None:
    handler = endpoint.ask or endpoint.stream
    assert handler is not None
    hints = get_type_hints(handler)
    answered = hints.pop("return")
    if endpoint.ask is not None:
        assert answered == endpoint.response
    _, call = hints.values()
    assert call.__origin__ is Call
    assert call.__args__ == (endpoint.request or type(None), endpoint.query)


@pytest.mark.parametrize("endpoint", [e for e in ENDPOINTS if e.request], ids=named)
def test_every_example_in_the_table_is_accepted_as_it_stands(endpoint: Endpoint) -> None:
    assert endpoint.request is not None
    msgspec.convert(endpoint.example, endpoint.request)
    known = {field.name for field in msgspec.inspect.type_info(endpoint.request).fields}  # type: ignore[attr-defined]
    assert set(endpoint.example) <= known


async def test_what_is_sent_reaches_the_operation(served: Served) -> None:
    do = served.local
    stack = "/v1/stacks/httpd"
    await do.post(f"{stack}/releases/R1/promote", json={"force": True})
    await do.post(f"{stack}/rollback", json={"to": "R0"})
    await do.post(f"{stack}/scale", json={"counts": {"web": 5, "db": 0}})
    await do.post(f"{stack}/restart", json={"app": "web"})
    await do.patch(f"{stack}/environment", json={"set": {"A": "1"}, "unset": ["LEVEL"]})
    await do.delete(f"{stack}/certificates?target=web:8443&name=c9")
    await do.get(f"{stack}/releases?limit=3")
    await do.get("/v1/instances?stack=httpd")
    await do.post(f"{stack}/instances/web.1/stop")
    assert served.operations.calls == [
        ("promote", {"stack": "httpd", "release_id": "R1", "force": True}),
        ("rollback", {"stack": "httpd", "to": "R0"}),
        ("scale", {"stack": "httpd", "counts": {"web": 5, "db": 0}}),
        ("restart", {"stack": "httpd", "app": "web"}),
        ("change_environment", {"stack": "httpd", "set": {"A": "1"}, "unset": ("LEVEL",)}),
        ("delete_certificate", {"stack": "httpd", "target": "web:8443", "name": "c9"}),
        ("releases", {"stack": "httpd", "limit": 3}),
        ("instances", {"stack": "httpd"}),
        ("stop_instance", {"stack": "httpd", "instance": "web.1"}),
    ]


async def test_a_body_whose_fields_all_have_defaults_may_be_left_out(served: Served) -> None:
    async with served.local.post("/v1/stacks/httpd/releases/R1/promote") as response:
        view = msgspec.json.decode(await response.read(), type=PromotionView)
    assert view.release == "R1"
    assert served.operations.calls[-1][1]["force"] is False


async def test_post_adds_a_certificate_and_put_replaces_it(served: Served) -> None:
    body = {"target": "web:8443", "certificate_pem": "C", "key_pem": "K"}
    for method, status, replaces in (("POST", 201, False), ("PUT", 200, True)):
        async with served.local.request(
            method, "/v1/stacks/httpd/certificates", json=body
        ) as response:
            assert response.status == status
        assert served.operations.calls[-1][1]["replace"] is replaces


async def test_a_release_keeps_the_manifest_as_it_was_sent(served: Served) -> None:
    manifest = "services:\n  web: {image: 'größe \U0001f600'}\n"
    async with served.local.post(
        "/v1/stacks/httpd/releases", json={"manifest": manifest}
    ) as response:
        assert response.status == 201
        assert msgspec.json.decode(await response.read(), type=ReleaseView).manifest == manifest


async def test_a_build_gets_its_arguments_and_its_whole_context(served: Served) -> None:
    query = "app=web&dockerfile=d/F&target=t&arg=A%3D1&arg=B%3D%3D%262"
    chunks = [b"x" * 70_000] * 40

    async def context():
        for chunk in chunks:
            yield chunk

    async with served.local.post(
        f"/v1/stacks/httpd/builds?{query}",
        data=context(),
        headers={"Content-Type": "application/x-tar"},
    ) as response:
        lines = (await response.text()).splitlines()
    assert json.loads(lines[-1]) == {"text": "built", "image": "sha256:1"}
    assert served.operations.uploaded_bytes == 70_000 * 40
    built = served.operations.calls[-1][1]["build"]
    assert built == Build(context="", dockerfile="d/F", target="t", args={"A": "1", "B": "=&2"})


async def test_events_and_logs_pass_their_query_on(served: Served) -> None:
    async with served.local.get("/v1/events?after=1&limit=2&stack=httpd") as response:
        lines = (await response.text()).splitlines()
    assert [msgspec.json.decode(line, type=Event).sequence for line in lines] == [2, 3, 9]
    async with served.local.get("/v1/stacks/httpd/logs?app=web&instance=web.1&tail=5") as response:
        (line,) = (await response.text()).rstrip("\n").split("\n")
    assert msgspec.json.decode(line, type=LogView).text == "ready \u2713 \u2028"
    asked = served.operations.calls[-1][1]
    assert (asked["app"], asked["instance"], asked["tail"], asked["follow"]) == (
        "web",
        "web.1",
        5,
        False,
    )


@pytest.mark.parametrize(
    ("text", "follows"),
    [("1", True), ("true", True), ("True", True), ("0", False), ("false", False)],
)
async def test_a_yes_or_no_in_the_query_is_understood_in_its_usual_spellings(
    served: Served, text: str, follows: bool
) -> None:
    served.operations.gate.set()
    async with served.local.get(f"/v1/events?follow={text}") as response:
        assert response.status == 200
    assert served.operations.calls[-1][1]["follow"] is follows


async def test_a_run_ends_with_its_exit_code(served: Served) -> None:
    async with served.local.post(
        "/v1/stacks/httpd/apps/web/run", json={"argv": ["echo", "hi"]}
    ) as response:
        lines = [json.loads(line) for line in (await response.text()).splitlines()]
    assert lines[0]["text"] == "echo hi"
    assert lines[1] == {"exit_code": 4}


async def test_head_answers_as_get_without_a_body(served: Served) -> None:
    async with served.local.head("/v1/stacks/httpd") as response:
        assert response.status == 200
        assert await response.read() == b""
    async with served.local.head("/v1/stacks/nope") as response:
        assert response.status == 404


async def test_asking_the_server_to_stop_is_answered_before_it_does(served: Served) -> None:
    async with served.local.post("/v1/server/stop") as response:
        assert response.status == 202
        assert await response.json() == {"stopping": True}
    assert served.operations.shutdown_requested.is_set()


async def test_a_list_of_views_is_a_json_list(served: Served) -> None:
    async with served.local.get("/v1/stacks") as response:
        (stack,) = msgspec.json.decode(await response.read(), type=tuple[StackView, ...])
    assert stack.apps[0].ports[0].host_port == 31004
