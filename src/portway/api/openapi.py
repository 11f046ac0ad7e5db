"""The table of endpoints -> an OpenAPI 3.1 document. Pure; `python -m portway.api.openapi DIRECTORY` writes it and the reference."""

from __future__ import annotations

import inspect
import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, cast, get_args

import msgspec

from portway.api.native.answers import ErrorAnswer
from portway.api.native.endpoint import Endpoint
from portway.api.native.routes import ENDPOINTS
from portway.api.native.streams import NDJSON

Document = dict[str, Any]

_REF = "#/components/schemas/{name}"
_BASE_URL = "http://127.0.0.1:8080"
_PATH_PARAMETERS = {
    "stack": ("The name of a stack.", "httpd"),
    "release": ("The id of a release.", "RUAENUMAQBS"),
    "instance": ("An instance of the stack: web.1.7, or web.1 for the newest in slot 1.", "web.1"),
    "app": ("The name of an App of the stack.", "web"),
}
_DESCRIPTION = """\
Everything the command line can do. Over the unix socket in the server's home every request of its owner is \
trusted. Over TCP, send `Authorization: Bearer TOKEN` where there are tokens; `x-role` says which role an operation needs \
(admin may all, deploy all but admin's, read only read's). Requests that change something \
need `Content-Type: application/json`, or the header `X-Portway-Request: 1` where they have no JSON body. \
Streams answer one JSON object a line (NDJSON); an empty line is a heartbeat, and a line with the single key \
`error` ends a stream that failed midway. Times are Unix milliseconds."""


def make_document(endpoints: Sequence[Endpoint]) -> Document:
    """The OpenAPI document; the same endpoints give the same document."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    tags = dict.fromkeys(endpoint.tag for endpoint in endpoints)
    return {
        "openapi": "3.1.0",
        "info": {"title": "portway", "version": "v1", "description": _DESCRIPTION},
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": _components(endpoints),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def encode_document(document: Document) -> bytes:
    """The document as indented JSON text."""
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
    }
    role = f"For tokens of the role {endpoint.role.value} or above."
    operation["description"] = f"{endpoint.description} {role}".strip()
    operation["x-role"] = endpoint.role.value
    parameters = [*_path_parameters(endpoint.path), *_query_parameters(endpoint.query)]
    if parameters:
        operation["parameters"] = parameters
    body = _request_body(endpoint)
    if body:
        operation["requestBody"] = body
    if endpoint.socket:
        operation["x-websocket"] = {"first-message": _schema(endpoint.response)}
    operation["responses"] = _responses(endpoint)
    operation["x-codeSamples"] = [{"lang": "Shell", "source": _curl(endpoint)}]
    return operation


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name, (description, example) in _PATH_PARAMETERS.items():
        if f"{{{name}}}" in path:
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "description": description,
                "schema": {"type": "string"},
                "example": example,
            }


def _query_parameters(query: type[Any]) -> Iterable[dict[str, Any]]:
    (_, schemas) = msgspec.json.schema_components([query], ref_template=_REF)
    schema = cast("dict[str, Any]", schemas[query.__name__])
    for name, field in schema["properties"].items():
        description = field.pop("description", "")
        yield {
            "name": name,
            "in": "query",
            "required": name in schema["required"],
            "description": description,
            "schema": field,
        }


def _request_body(endpoint: Endpoint) -> dict[str, Any] | None:
    if endpoint.upload:
        schema = {"type": "string", "contentMediaType": endpoint.upload}
        return {"required": True, "content": {endpoint.upload: {"schema": schema}}}
    if endpoint.request is None:
        return None
    media = {"schema": _schema(endpoint.request), "example": endpoint.example}
    return {"required": True, "content": {"application/json": media}}


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    failure = {"description": "Why not.", "content": _json_content(_schema(ErrorAnswer))}
    if endpoint.socket:
        return {"101": {"description": "The WebSocket is open."}, "default": failure}
    kind = NDJSON if endpoint.stream else "application/json"
    description = "One JSON object a line." if endpoint.stream else "Done."
    success = {
        "description": description,
        "content": {kind: {"schema": _schema(endpoint.response)}},
    }
    return {str(endpoint.status): success, "default": failure}


def _json_content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _members(kind: Any) -> tuple[Any, ...]:
    """A union's members, anything else itself (msgspec refuses unions of dataclasses)."""
    return get_args(kind) if isinstance(kind, UnionType) else (kind,)


def _schema(kind: Any) -> dict[str, Any]:
    members, _ = msgspec.json.schema_components(_members(kind), ref_template=_REF)
    return members[0] if len(members) == 1 else {"anyOf": list(members)}


def _components(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    kinds: list[Any] = [ErrorAnswer]
    for endpoint in endpoints:
        kinds += [*_members(endpoint.response), *([endpoint.request] if endpoint.request else [])]
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = inspect.cleandoc(schema["description"])
    return dict(sorted(schemas.items()))


def _curl(endpoint: Endpoint) -> str:
    path = endpoint.path
    for name, (_, example) in _PATH_PARAMETERS.items():
        path = path.replace(f"{{{name}}}", example)
    url = f"{_BASE_URL}{path}" + (f"?{endpoint.example_query}" if endpoint.example_query else "")
    if endpoint.socket:
        return "portway exec web.1 -- sh"
    words = ["curl"] + (["-N"] if endpoint.stream else [])
    if endpoint.method != "GET" and (endpoint.method != "POST" or not endpoint.example):
        words += ["-X", endpoint.method]
    if endpoint.upload:
        words += ["-T", "-", "-H", f"Content-Type: {endpoint.upload}"]
    if endpoint.example:
        body = json.dumps(endpoint.example, ensure_ascii=False)
        words += ["-H", "Content-Type: application/json", "-d", body]
    elif endpoint.method != "GET":
        words += ["-H", "X-Portway-Request: 1"]
    command = shlex.join([*words, url])
    return f"tar -c . | {command}" if endpoint.upload else command


def main(directory: Path) -> None:
    """Write openapi.json and api.md into `directory`."""
    from portway.api.pages import render_markdown

    document = make_document(ENDPOINTS)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "openapi.json").write_bytes(encode_document(document))
    (directory / "api.md").write_text(render_markdown(document), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
