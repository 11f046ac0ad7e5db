"""Whatever is sent, the answer is JSON with a sentence, and never a mistake of portway's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from portway.api.marathon.routes import ENDPOINTS
from tests.api.marathon.client import Client

BODIES: tuple[Any, ...] = (
    None,
    [],
    {},
    "x",
    7,
    [[]],
    [{"id": 5}],
    {"id": 5},
    {"id": "/a b"},
    {"id": "/../.."},
    {"apps": 5},
    {"apps": [{"id": "x"}], "groups": [[]]},
    {"groups": [{"id": "/g", "groups": [{"id": "/other"}]}]},
    {"ids": [5]},
    {"ids": ["a.instance-x._app"]},
    {"version": "yesterday"},
    {"scaleBy": -3},
    {"scaleBy": 1e300},
    {"instances": -1},
    {"container": {"docker": None}, "cmd": 3},
    {"containers": [{}]},
    {"enforceRole": None},
)
NAMES = ("x", "..", "%2e%2e", "a%20b", "\u20ac", "x" * 300, "*", "::status")


def requests() -> Iterator[tuple[str, str, Any]]:
    for endpoint in ENDPOINTS:
        names = NAMES if "{" in endpoint.path else ("",)
        bodies = BODIES if endpoint.method != "GET" else (None,)
        for name in names:
            url = re.sub(r"\{\w+\}", name, endpoint.path)
            for body in bodies if name in ("", "x") else bodies[:3]:
                yield endpoint.method, url, body


async def test_no_body_and_no_name_breaks_an_operation(ask: Client) -> None:
    for method, url, body in requests():
        reply = await ask(method, url, body)
        if reply.status >= 400:
            assert reply.json["message"], (url, body)
            assert "portway itself" not in reply.json["message"], (url, body, reply.json)
        assert reply.status < 500, (url, body, reply.body)


async def test_odd_queries_are_read_or_refused(ask: Client) -> None:
    for query in ("force=maybe", "label=%00", "label=" + "a," * 3000, "embed=%ff", "id=\u20ac"):
        assert (await ask("GET", f"/v2/apps?{query}")).status in (200, 422)
