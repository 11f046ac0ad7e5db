"""An OpenAPI document -> a page for people, as HTML (GET /docs) and as Markdown (docs/reference/api.md). Pure.

The page needs nothing from elsewhere and no script; everything in it is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

Document = Mapping[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #0a7d55; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem 1.5rem 4rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .6rem .8rem; overflow-x: auto; border-radius: 4px; }
h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; }
h3 { margin: 2rem 0 .2rem; overflow-wrap: anywhere; }
h3 b { color: var(--accent); display: inline-block; min-width: 4.5rem; }
h4 { margin: .8rem 0 .2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .2rem .6rem .2rem 0; text-align: left; vertical-align: top; }
nav ul { columns: 2 18rem; list-style: none; padding: 0; }
a { color: inherit; }
""".strip()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One parameter or one field."""

    name: str
    kind: str
    required: bool
    default: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One operation, as a person reads it."""

    anchor: str
    tag: str
    method: str
    path: str
    summary: str
    description: str
    parameters: Sequence[Row]
    body: str
    fields: Sequence[Row]
    answer: str
    example: str


def render_html(document: Document) -> str:
    """The document as one self-contained page."""
    shown = list(_operations(document))
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8"><title>portway API</title>',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>portway API {escape(document['info']['version'])}</h1>",
        f"<p>{_html_text(document['info']['description'])}</p>",
        '<p>The same for programs: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p>',
        _html_index(shown),
    ]
    for tag in document["tags"]:
        parts.append(f"<h2>{escape(tag['name'])}</h2>")
        parts += [_html_operation(item) for item in shown if item.tag == tag["name"]]
    parts.append("<h2>Values</h2>")
    parts += [_html_schema(name, schema) for name, schema in _schemas(document)]
    return "\n".join([*parts, "</body></html>", ""])


def render_markdown(document: Document) -> str:
    """The document as Markdown."""
    shown = list(_operations(document))
    lines = [
        "# HTTP API",
        "",
        "<!-- Written by `python -m portway.api.openapi docs/reference`; do not edit. -->",
        "",
        document["info"]["description"],
        "",
        "The same for programs: [openapi.json](openapi.json), served at `/openapi.json`; for browsers at `/docs`.",
        "",
    ]
    for tag in document["tags"]:
        lines += [f"## {tag['name']}", ""]
        for item in shown:
            if item.tag == tag["name"]:
                lines += _markdown_operation(item)
    lines += ["## Values", ""]
    for name, schema in _schemas(document):
        lines += [f"### {name}", "", _one_line(schema.get("description", "")), ""]
        lines += [f"{_kind(schema)}", ""] if "enum" in schema else []
        lines += _markdown_table("Field", _fields(schema))
    return "\n".join(lines).rstrip() + "\n"


def _operations(document: Document) -> Iterator[Shown]:
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body_schema = _body_schema(operation)
            yield Shown(
                anchor=operation["operationId"],
                tag=operation["tags"][0],
                method="WebSocket" if "x-websocket" in operation else method.upper(),
                path=path,
                summary=operation["summary"],
                description=operation.get("description", ""),
                parameters=[_parameter(p) for p in operation.get("parameters", ())],
                body=_kind(body_schema) if body_schema else "",
                fields=_fields(_resolved(body_schema, schemas)) if body_schema else (),
                answer=_answer(operation),
                example=operation["x-codeSamples"][0]["source"],
            )


def _body_schema(operation: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if "x-websocket" in operation:
        return operation["x-websocket"]["first-message"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        return content["schema"]
    return None


def _answer(operation: Mapping[str, Any]) -> str:
    status, success = next(iter(operation["responses"].items()))
    for media, content in success.get("content", {}).items():
        lines = " a line" if media == "application/x-ndjson" else ""
        return f"{status}: {_kind(content['schema'])}{lines}"
    return f"{status}: {success['description']}"


def _parameter(parameter: Mapping[str, Any]) -> Row:
    schema = parameter["schema"]
    return Row(
        name=parameter["name"],
        kind=f"{_kind(schema)}, in the {parameter['in']}",
        required=parameter["required"],
        default=_default(schema),
        description=parameter["description"],
    )


def _fields(schema: Mapping[str, Any]) -> Sequence[Row]:
    return [
        Row(
            name=name,
            kind=_kind(field),
            required=name in schema.get("required", ()),
            default=_default(field),
            description=field.get("description", ""),
        )
        for name, field in schema.get("properties", {}).items()
    ]


def _default(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema["default"]) if "default" in schema else ""


def _kind(schema: Mapping[str, Any]) -> str:
    """A schema in a few words; a value of its own goes by its name."""
    match schema:
        case {"$ref": str(ref)}:
            return ref.rpartition("/")[2]
        case {"anyOf": list(members)}:
            return " or ".join(_kind(member) for member in members)
        case {"enum": list(values)}:
            return " or ".join(json.dumps(value) for value in values)
        case {"type": "array", "items": dict(items)}:
            return f"list of {_kind(items)}"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"map of text to {_kind(values)}"
        case {"contentMediaType": str(media)}:
            return f"a stream of type {media}"
        case {"type": str(name)}:
            return {"string": "text"}.get(name, name)
        case _:
            return "anything"


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    return schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _schemas(document: Document) -> Iterable[tuple[str, Mapping[str, Any]]]:
    return document["components"]["schemas"].items()


def _html_index(shown: Sequence[Shown]) -> str:
    items = "".join(
        f'<li><a href="#{escape(item.anchor)}">{escape(item.summary)}</a></li>' for item in shown
    )
    return f"<nav><ul>{items}</ul></nav>"


def _html_operation(item: Shown) -> str:
    parts = [
        f'<h3 id="{escape(item.anchor)}"><b>{escape(item.method)}</b> <code>{escape(item.path)}</code></h3>',
        f"<p>{_html_text(item.summary)}. {_html_text(item.description)}</p>",
        _html_table("Parameter", item.parameters),
    ]
    if item.body:
        what = "First message" if item.method == "WebSocket" else "Body"
        parts.append(f"<h4>{what}: {escape(item.body)}</h4>")
        parts.append(_html_table("Field", item.fields))
    parts.append(f"<p>Answers {escape(item.answer)}.</p>")
    parts.append(f"<pre>{escape(item.example)}</pre>")
    return "\n".join(part for part in parts if part)


def _html_schema(name: str, schema: Mapping[str, Any]) -> str:
    description = _html_text(schema.get("description", ""))
    heading = f'<h3 id="value-{escape(name)}">{escape(name)}</h3><p>{description}</p>'
    one_of = f"<p>{escape(_kind(schema))}</p>" if "enum" in schema else ""
    return heading + one_of + _html_table("Field", _fields(schema))


def _html_table(noun: str, rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    body = "".join(
        f"<tr><td><code>{escape(row.name)}</code></td><td>{escape(row.kind)}</td>"
        f"<td>{escape(_need(row))}</td><td>{_html_text(row.description)}</td></tr>"
        for row in rows
    )
    head = f"<tr><th>{noun}</th><th>Kind</th><th>Default</th><th></th></tr>"
    return f"<table>{head}{body}</table>"


def _html_text(text: str) -> str:
    """Plain text, with what stands between backquotes as code."""
    pieces = escape(text).split("`")
    coded = (f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(pieces))
    return "".join(coded) if len(pieces) % 2 else escape(text)


def _markdown_operation(item: Shown) -> list[str]:
    text = f"{item.summary}. {item.description}".strip()
    lines = [f"### {item.method} `{item.path}`", "", _one_line(text), ""]
    lines += _markdown_table("Parameter", item.parameters)
    if item.body:
        what = "First message" if item.method == "WebSocket" else "Body"
        lines += [f"{what}: {item.body}", "", *_markdown_table("Field", item.fields)]
    return [*lines, f"Answers {item.answer}.", "", "```sh", item.example, "```", ""]


def _markdown_table(noun: str, rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    head = [f"| {noun} | Kind | Default | |", "|---|---|---|---|"]
    body = [
        f"| `{row.name}` | {_cell(row.kind)} | {_cell(_need(row))} | {_cell(row.description)} |"
        for row in rows
    ]
    return [*head, *body, ""]


def _need(row: Row) -> str:
    return "required" if row.required else row.default


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")


def _one_line(text: str) -> str:
    return " ".join(text.split())
