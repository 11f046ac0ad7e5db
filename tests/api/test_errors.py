"""What wrong requests get: a sentence, the field, the right status, and never a traceback."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import structlog

from portway.core.errors import (
    EngineError,
    ImageMissingError,
    PortwayError,
    RequestError,
    StoreError,
)

from .conftest import Served

RELEASES = "/v1/stacks/httpd/releases"
SCALE = "/v1/stacks/httpd/scale"


async def error_of(
    served: Served, method: str, path: str, **sent: Any
) -> tuple[int, dict[str, Any]]:
    async with served.local.request(method, path, **sent) as response:
        assert response.content_type == "application/json"
        return response.status, (await response.json())["error"]


async def test_a_refusal_keeps_its_status_message_and_hint(served: Served) -> None:
    assert await error_of(served, "GET", "/v1/stacks/nope") == (
        404,
        {
            "status": 404,
            "message": 'There is no stack "nope".',
            "hint": "`portway apps` lists them.",
            "problems": [],
        },
    )


async def test_a_wrong_manifest_tells_every_problem_with_its_place(served: Served) -> None:
    status, error = await error_of(served, "POST", RELEASES, json={"manifest": "wrong"})
    assert status == 422
    assert error["problems"] == [
        {
            "message": "is not a port",
            "path": "services.web.ports[0]",
            "hint": "Write 80:80.",
            "file": "docker-compose.yml",
            "line": 4,
            "column": 7,
        }
    ]


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (RequestError("Busy.", http_status=409), 409),
        (EngineError("Docker is away."), 503),
        (StoreError("The disk is full."), 503),
        (PortwayError("No."), 500),
    ],
)
async def test_every_error_of_ours_is_answered_with_its_own_status(
    served: Served, failure: PortwayError, status: int
) -> None:
    served.operations.failures["cancel"] = failure
    got, error = await error_of(served, "POST", "/v1/stacks/httpd/cancel")
    assert (got, error["message"]) == (status, failure.message)


async def test_a_missing_image_is_said_by_a_code_and_its_name(served: Served) -> None:
    served.operations.failures["create_release"] = ImageMissingError(
        "web: no image here", image="httpd:2", hint="Pull it."
    )
    assert await error_of(served, "POST", RELEASES, json={"manifest": "services: {}"}) == (
        422,
        {
            "status": 422,
            "message": "web: no image here",
            "hint": "Pull it.",
            "problems": [],
            "code": "image_missing",
            "image": "httpd:2",
        },
    )


async def test_a_mistake_of_ours_is_an_id_in_the_answer_and_a_traceback_in_the_log(
    served: Served,
) -> None:
    served.operations.failures["scale"] = AssertionError("canary-of-a-bug")
    with structlog.testing.capture_logs() as logs:
        status, error = await error_of(served, "POST", SCALE, json={"counts": {"web": 1}})
    assert status == 500
    assert "canary" not in json.dumps(error)
    assert "Traceback" not in json.dumps(error)
    (entry,) = [entry for entry in logs if entry["event"] == "request_failed"]
    assert entry["error_id"] in error["message"]
    assert "canary-of-a-bug" in entry["trace"]


async def test_what_was_sent_is_not_in_the_log_of_a_mistake(served: Served) -> None:
    served.operations.failures["change_environment"] = AssertionError("bug")
    with structlog.testing.capture_logs() as logs:
        body = {"set": {"PASSWORD": "canary-secret"}}
        status, error = await error_of(served, "PATCH", "/v1/stacks/httpd/environment", json=body)
    assert status == 500
    assert "canary-secret" not in repr(logs) + repr(error)


async def test_an_unknown_route_is_404(served: Served) -> None:
    for path in ("/", "/v1", "/v1/stack", "/v1/stacks/", "/v2/stacks", "/v1/stacks/a/b/c"):
        status, error = await error_of(served, "GET", path)
        assert status == 404
        assert "/openapi.json" in error["hint"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("POST", "/v1/stacks", "GET, HEAD"),
        ("PATCH", "/v1/stacks/httpd", "DELETE, GET, HEAD"),
        ("GET", SCALE, "POST"),
        ("PATCH", "/v1/stacks/httpd/certificates", "DELETE, GET, HEAD, POST, PUT"),
        ("BREW", "/v1/events", "GET"),
    ],
)
async def test_a_wrong_method_is_405_and_told_the_right_ones(
    served: Served, method: str, path: str, allow: str
) -> None:
    async with served.local.request(method, path) as response:
        assert (response.status, response.headers["Allow"]) == (405, allow)
        assert allow in (await response.json())["error"]["hint"]


async def test_a_wrong_method_on_the_documents_is_405_as_json(served: Served) -> None:
    status, error = await error_of(served, "PUT", "/docs")
    assert status == 405
    assert "PUT" in error["message"]


@pytest.mark.parametrize(
    ("path", "body", "field", "words"),
    [
        (RELEASES, {}, "manifest", "is required"),
        (RELEASES, {"manifest": 5}, "manifest", "expected text, got a whole number"),
        (RELEASES, {"manifest": None}, "manifest", "expected text, got null"),
        (RELEASES, {"manifest": "x", "profiles": ["a", 1]}, "profiles[1]", "expected text"),
        (
            RELEASES,
            {"manifest": "x", "variables": {"A": "1", "B": 2}},
            "variables.B",
            "expected text",
        ),
        (
            RELEASES,
            {"manifest": "x", "variables": []},
            "variables",
            "expected an object, got a list",
        ),
        (RELEASES, {"manifest": "x", "manifst_name": ""}, "manifst_name", "is no field here"),
        (SCALE, {"counts": {"web": 1, "db": -1}}, "counts.db", "expected a whole number >= 0"),
        (SCALE, {"counts": {"web": "5"}}, "counts.web", "expected a whole number, got text"),
        (SCALE, {"counts": {"web": 1.5}}, "counts.web", "expected a whole number, got a number"),
        (
            SCALE,
            {"counts": {"web": True}},
            "counts.web",
            "expected a whole number, got true or false",
        ),
        ("/v1/stacks/httpd/apps/web/run", {"argv": []}, "argv", "length >= 1"),
    ],
)
async def test_a_wrong_body_is_422_and_names_the_field_in_plain_words(
    served: Served, path: str, body: object, field: str, words: str
) -> None:
    status, error = await error_of(served, "POST", path, json=body)
    assert status == 422
    (problem,) = error["problems"]
    assert problem["path"] == field
    assert words in problem["message"]
    assert f"{field}: {problem['message']}" in error["message"]
    assert "`" not in error["message"]


async def test_a_mistyped_field_is_told_the_right_one(served: Served) -> None:
    _, error = await error_of(
        served, "POST", "/v1/stacks/httpd/releases/R/promote", json={"forse": True}
    )
    assert error["hint"] == 'Did you mean "force"?'


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=x", "limit: expected a whole number"),
        ("limit=0", "limit: expected a whole number >= 1"),
        ("after=-2", "after: expected a whole number >= -1"),
        ("after=99999999999999999999", "after"),
        ("follow=perhaps", "follow: expected true or false"),
        ("folow=1", "folow: is no parameter here"),
        ("stack=a&stack=b", "stack: is given twice"),
        ("stack=%00", "NUL"),
        ("&".join(f"a{i}=1" for i in range(1100)), "too many"),
    ],
)
async def test_a_wrong_query_is_422_and_names_the_parameter(
    served: Served, query: str, words: str
) -> None:
    status, error = await error_of(served, "GET", f"/v1/events?{query}")
    assert status == 422
    assert words in error["message"]


async def test_a_build_argument_without_a_value_is_422(served: Served) -> None:
    status, error = await error_of(
        served,
        "POST",
        "/v1/stacks/httpd/builds?app=web&arg=NAME",
        data=b"tar",
        headers={"Content-Type": "application/x-tar"},
    )
    assert status == 422
    assert "NAME=VALUE" in error["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "line 1, column 2"),
        (b"manifest: x", "not JSON"),
        (b'{"manifest": "a", "manifest": "b"}', 'key "manifest" is there twice'),
        (b'{"counts": NaN}', "NaN"),
        (b'{"counts": {"web": ' + b"9" * 6000 + b"}}", "too many digits"),
        (b'{"manifest": "\\ud800"}', "surrogate"),
        (b'{"manifest": "a\\u0000"}', "NUL"),
        (b'{"manifest": "\xff"}', "UTF-8"),
        (b"[" * 200_000 + b"]" * 200_000, "nested too deeply"),
        (b"[]", "expected an object, got a list"),
        (b"null", "expected an object, got null"),
    ],
)
async def test_a_body_that_is_not_usable_json_is_422_with_the_reason(
    served: Served, body: bytes, words: str
) -> None:
    headers = {"Content-Type": "application/json"}
    status, error = await error_of(served, "POST", SCALE, data=body, headers=headers)
    assert status == 422
    assert words in error["message"]
    assert served.operations.calls == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-yaml"},
        {"Content-Type": "application/json-patch+json"},
        {"Content-Type": "application/json; charset=utf-16"},
    ],
)
async def test_another_content_type_is_415(served: Served, headers: dict[str, str]) -> None:
    status, _ = await error_of(served, "POST", SCALE, data=b'{"counts":{}}', headers=headers)
    assert status == 415
    assert served.operations.calls == []


async def test_json_with_its_charset_is_taken(served: Served) -> None:
    headers = {"Content-Type": 'Application/JSON; charset="UTF-8"'}
    async with served.local.post(SCALE, data=b'{"counts":{}}', headers=headers) as response:
        assert response.status == 200


async def test_a_build_takes_only_a_tar_stream(served: Served) -> None:
    status, error = await error_of(served, "POST", "/v1/stacks/httpd/builds?app=web", json={})
    assert status == 415
    assert "application/x-tar" in error["hint"]


async def test_a_body_over_the_limit_is_413_announced_or_not(hurried: Served) -> None:
    async def unannounced():
        for _ in range(20):
            yield b'"' + b"x" * 1000

    headers = {"Content-Type": "application/json"}
    for data in (b'{"manifest": "' + b"x" * 10_000 + b'"}', unannounced()):
        status, error = await error_of(hurried, "POST", RELEASES, data=data, headers=headers)
        assert status == 413
        assert "10000 bytes" in error["message"]
    assert hurried.operations.calls == []


async def test_the_limit_does_not_count_for_builds(hurried: Served) -> None:
    async with hurried.local.post(
        "/v1/stacks/httpd/builds?app=web",
        data=b"x" * 1_000_000,
        headers={"Content-Type": "application/x-tar"},
    ) as response:
        assert response.status == 200
        await response.read()
    assert hurried.operations.uploaded_bytes == 1_000_000


async def test_a_body_that_never_arrives_is_408(hurried: Served) -> None:
    reader, writer = await asyncio.open_unix_connection(hurried.unix_socket)
    writer.write(
        b"POST /v1/stacks/httpd/scale HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Content-Length: 20\r\n\r\n{"
    )
    async with asyncio.timeout(10):
        assert b" 408 " in await reader.readline()
    writer.close()
    assert hurried.operations.calls == []


async def test_an_unusable_name_in_the_path_is_404(served: Served) -> None:
    for name in ("%00", "a%0Ab", "x" * 2000, "%ed%a0%80"):
        status, _ = await error_of(served, "GET", f"/v1/stacks/{name}")
        assert status == 404


async def test_exec_without_a_websocket_is_426(served: Served) -> None:
    status, error = await error_of(served, "GET", "/v1/stacks/httpd/instances/web.1/exec")
    assert status == 426
    assert "WebSocket" in error["message"]
