"""Whatever is sent, the answer is an answer: never a 5xx, always JSON with a sentence."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message

from portway.api.app import create_app
from portway.api.guard import TRUSTED
from portway.api.native.reading import parse_json
from portway.api.native.routes import ENDPOINTS
from portway.api.settings import ApiSettings
from portway.core.errors import RequestError
from tests.features import examples

from .fakes import FakeOperations

ANSWERED = [e for e in ENDPOINTS if not e.socket]
FIELDS = sorted(
    {
        name
        for endpoint in ANSWERED
        for kind in (endpoint.request, endpoint.query)
        if kind is not None
        for name in kind.__dataclass_fields__
    }
)
ANY_TEXT = st.text(max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
BODIES = (
    st.binary(max_size=200)
    | st.dictionaries(st.sampled_from(FIELDS) | ANY_TEXT, VALUES, max_size=4).map(
        lambda value: json.dumps(value).encode()
    )
    | VALUES.map(lambda value: json.dumps(value).encode())
)
QUERIES = st.lists(st.tuples(st.sampled_from(FIELDS) | ANY_TEXT, ANY_TEXT), max_size=4).map(
    lambda pairs: urlencode(pairs, errors="replace").encode()
) | st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40).map(str.encode)
NAMES = st.sampled_from(["httpd", "web.1", "R1"]) | ANY_TEXT.filter(lambda text: "/" not in text)
TYPES = st.sampled_from(
    [
        b"application/json",
        b"application/x-tar",
        b"text/plain",
        b"application/json; charset=x",
        b"\xff",
    ]
)

modest = settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="FUZZ_TIMES" not in os.environ,
)


async def asked(
    method: str, path: str, query: bytes, body: bytes, headers: list[tuple[bytes, bytes]]
) -> tuple[int, bytes]:
    """One request straight into the application; the client goes away after its answer."""
    operations = FakeOperations()
    operations.gate.set()
    sent: list[Message] = []
    inbox: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    answered = asyncio.Event()

    async def receive() -> Message:
        if inbox:
            return inbox.pop()
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            answered.set()

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": quote(path, errors="replace").encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": query,
        "headers": headers,
        "client": None,
        "server": ("x", 1),
        TRUSTED: True,
    }
    app = create_app(operations, ApiSettings(body_size_max_bytes=1000))
    async with asyncio.timeout(10):
        await app(scope, receive, send)
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])


def check(status: int, answer: bytes) -> None:
    assert status < 500, answer
    for line in answer.split(b"\n"):
        value = json.loads(line) if line else {}
        if isinstance(value, dict) and "error" in value:
            assert value["error"]["status"] < 500
            assert value["error"]["message"].rstrip().endswith((".", "?"))
            assert "Traceback" not in value["error"]["message"]
    if status >= 400:
        assert json.loads(answer)["error"]["status"] == status


@modest
@given(
    endpoint=st.sampled_from(ANSWERED),
    names=st.tuples(NAMES, NAMES),
    query=QUERIES,
    body=BODIES,
    content_type=TYPES,
)
async def test_no_request_makes_the_server_fail(
    endpoint: Any, names: tuple[str, str], query: bytes, body: bytes, content_type: bytes
) -> None:
    stack, other = names
    path = endpoint.path.format(stack=stack, release=other, instance=other, app=other)
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    check(*await asked(endpoint.method, path, query, body, headers))


@modest
@given(
    endpoint=st.sampled_from([e for e in ANSWERED if e.request]),
    field=st.sampled_from(FIELDS),
    value=VALUES,
)
async def test_no_value_in_a_known_field_makes_the_server_fail(
    endpoint: Any, field: str, value: object
) -> None:
    path = endpoint.path.format(stack="httpd", release="R1", instance="web.1", app="web")
    body = json.dumps({**endpoint.example, field: value}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"1")]
    check(*await asked(endpoint.method, path, b"", body, headers))


@modest
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "TRACE", "\u212aELVIN"]) | ANY_TEXT,
    path=ANY_TEXT.map(lambda text: f"/{text}"),
)
async def test_no_path_or_method_makes_the_server_fail(method: str, path: str) -> None:
    status, answer = await asked(method, path, b"", b"", [])
    check(status, answer)
    assert status in (404, 405)


@given(st.binary(max_size=400) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_json_is_read_whole_or_refused_with_a_sentence(body: bytes) -> None:
    refused: list[RequestError] = []
    try:
        json.dumps(parse_json(body)).encode()
    except RequestError as error:
        refused.append(error)
    assert all(error.message.endswith(".") and error.http_status == 422 for error in refused)


@given(VALUES.filter(lambda value: value == value))
def test_what_json_can_say_is_read_as_it_was_said(value: object) -> None:
    try:
        read = parse_json(json.dumps(value, allow_nan=False).encode())
    except (RequestError, ValueError):
        return
    assert read == value
