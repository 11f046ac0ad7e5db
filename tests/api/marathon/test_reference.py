"""docs/reference/marathon.md is the table of operations, and the table is what the face answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from portway.api.marathon import apps, deployments, groups, misc, pods, queue, tasks
from portway.api.marathon.face import by_path
from portway.api.marathon.reference import render_reference
from portway.api.marathon.routes import ENDPOINTS
from tests.api.marathon.client import Client

PAGE = Path(__file__).parents[3] / "docs/reference/marathon.md"


def test_the_page_is_what_the_table_says() -> None:
    assert PAGE.read_text() == render_reference(), (
        "make it again: .venv/bin/python -m portway.api.marathon.reference > docs/reference/marathon.md"
    )


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: f"{e.method} {e.path}")
def test_a_path_of_the_table_finds_its_own_operation(endpoint) -> None:
    """No wider pattern before it takes its requests."""
    example = re.sub(r"\{(id|group)\}", "a/b", endpoint.path)
    example = re.sub(r"\{\w+\}", "x", example)
    found = next(methods for pattern, methods in by_path(ENDPOINTS) if pattern.fullmatch(example))
    assert found[endpoint.method] is endpoint


def test_every_handler_is_in_the_table_and_says_which_operation_it_is() -> None:
    known = {endpoint.handle: endpoint for endpoint in ENDPOINTS}
    for module in (apps, deployments, groups, misc, pods, queue, tasks):
        for name, value in vars(module).items():
            doc = getattr(value, "__doc__", None) or ""
            is_handler = re.match(r"(GET|POST|PUT|PATCH|DELETE) /", doc)
            if is_handler and value.__module__ == module.__name__:
                assert value in known, f"{module.__name__}.{name}"
                assert doc.startswith(known[value].method), name


async def test_parameters_that_nobody_knows_change_nothing(ask: Client) -> None:
    assert await ask.get("/v2/apps?whatever=1&embed=none") == {"apps": []}
