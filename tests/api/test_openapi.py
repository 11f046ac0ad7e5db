"""The description is whole, consistent, current, and safe to show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route, WebSocketRoute

from portway.api.app import create_app
from portway.api.native.routes import ENDPOINTS
from portway.api.openapi import encode_document, make_document
from portway.api.pages import render_html, render_markdown
from portway.api.settings import ApiSettings

from .conftest import Served
from .fakes import FakeOperations

DOCUMENT = make_document(ENDPOINTS)
REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def values(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from values(value)
    elif isinstance(node, list):
        for value in node:
            yield from values(value)


def test_every_route_of_the_application_is_described_and_nothing_else() -> None:
    app = create_app(FakeOperations(), ApiSettings())
    routed = {r.path for r in app.routes if isinstance(r, Route | WebSocketRoute)}
    assert routed - {"/openapi.json", "/docs", "/metrics"} == set(DOCUMENT["paths"])
    described = {(p, m) for p, methods in DOCUMENT["paths"].items() for m in methods}
    assert described == {(e.path, e.method.lower()) for e in ENDPOINTS}
    assert len(described) == len(ENDPOINTS)


def test_every_reference_resolves() -> None:
    references = [node["$ref"] for node in values(DOCUMENT) if "$ref" in node]
    assert references
    for reference in references:
        root, *steps = reference.split("/")
        assert root == "#"
        target: Any = DOCUMENT
        for step in steps:
            target = target[step]
        assert target.get("type") == "object" or target["enum"]


def test_every_operation_has_what_openapi_requires() -> None:
    seen: set[str] = set()
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            assert set(operation["tags"]) <= tags
            assert {"default"} < set(operation["responses"])
            assert all("description" in r for r in operation["responses"].values())
            named = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}
            assert all(p["description"] and "schema" in p for p in operation.get("parameters", ()))
            assert not operation["summary"].endswith(".")


def test_every_view_is_described_in_words() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema["description"], name
        assert not schema["description"].startswith(f"{name}("), name
        assert "\n    " not in schema["description"], name


def test_the_same_table_gives_the_same_document() -> None:
    assert encode_document(make_document(ENDPOINTS)) == encode_document(DOCUMENT)


async def test_the_document_is_served_as_it_is_written(served: Served) -> None:
    async with served.remote.get("/openapi.json") as response:
        assert await response.json() == json.loads(json.dumps(DOCUMENT))


async def test_the_page_needs_nothing_from_elsewhere_and_runs_no_script(served: Served) -> None:
    async with served.remote.get("/docs") as response:
        assert response.content_type == "text/html"
        policy = response.headers["Content-Security-Policy"]
        page = await response.text()
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    seen: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, dict(attrs)))

    Reader().feed(page)
    assert {tag for tag, _ in seen} & {"script", "link", "img", "iframe", "form", "object"} == set()
    for _, attributes in seen:
        assert not {
            name for name in attributes if name.startswith("on") or name in ("src", "style")
        }
        assert (attributes.get("href") or "#").startswith(("#", "/openapi.json"))


def test_the_page_shows_every_operation_with_its_curl() -> None:
    page, text = render_html(DOCUMENT), render_markdown(DOCUMENT)
    for endpoint in ENDPOINTS:
        assert f'<h3 id="{endpoint.name}">' in page
        method = "WebSocket" if endpoint.socket else endpoint.method
        assert f"### {method} `{endpoint.path}`" in text
        sample = DOCUMENT["paths"][endpoint.path][endpoint.method.lower()]["x-codeSamples"][0]
        assert sample["source"] in text


def test_whatever_is_in_the_document_is_escaped_on_the_page() -> None:
    canary = "<img src=x onerror=alert(1)>`"
    document = json.loads(json.dumps(DOCUMENT).replace("Deploy a release", canary))
    document["components"]["schemas"]["Event"]["description"] = canary
    assert "<img" not in render_html(document)


@pytest.mark.parametrize("name", ["openapi.json", "api.md"])
def test_the_written_reference_is_current(name: str) -> None:
    current = (
        encode_document(DOCUMENT) if name == "openapi.json" else render_markdown(DOCUMENT).encode()
    )
    assert (REFERENCE / name).read_bytes() == current, (
        "run: .venv/bin/python -m portway.api.openapi docs/reference"
    )


async def test_prometheus_gets_its_text(served: Served) -> None:
    async with served.remote.get("/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert await response.text() == "portway_build_info 1\n"
