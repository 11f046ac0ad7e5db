"""Strategies, pauses and aborts over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from portway.controller.views import StrategyRequest
from portway.core.errors import RequestError

from .conftest import Served
from .test_errors import error_of

CANARY = {"canary": "5%,25%", "bake_s": 0, "max_failed": "1%"}


@pytest.mark.parametrize(
    ("path", "name", "body"),
    [
        ("releases/RUAENUMAQBS/promote", "promote", {"force": False}),
        ("rollback", "rollback", {"to": ""}),
        ("restart", "restart", {"app": ""}),
    ],
)
async def test_every_way_to_deploy_passes_the_strategy_on(
    served: Served, path: str, name: str, body: dict[str, Any]
) -> None:
    async with served.local.post(f"/v1/stacks/httpd/{path}", json={**body, **CANARY}) as answer:
        assert answer.status == 200, await answer.text()
    called, arguments = served.operations.calls[-1]
    assert called == name
    assert arguments["strategy"] == StrategyRequest(canary="5%,25%", bake_s=0, max_failed="1%")


async def test_without_one_the_manifest_decides(served: Served) -> None:
    async with served.local.post("/v1/stacks/httpd/restart", json={}) as answer:
        assert answer.status == 200
    assert "strategy" not in served.operations.calls[-1][1]


@pytest.mark.parametrize(
    ("path", "name"), [("pause", "pause"), ("resume", "resume"), ("abort", "cancel")]
)
async def test_pause_resume_and_abort_reach_their_operation(
    served: Served, path: str, name: str
) -> None:
    async with served.local.post(f"/v1/stacks/httpd/{path}", json={}) as answer:
        assert answer.status == 200
    assert served.operations.calls[-1][0] == name


async def test_what_cannot_be_paused_says_why(served: Served) -> None:
    served.operations.failures["pause"] = RequestError(
        "no deployment of httpd is under way", http_status=409
    )
    got, error = await error_of(served, "POST", "/v1/stacks/httpd/pause")
    assert (got, error["message"]) == (409, "no deployment of httpd is under way")


async def test_a_bake_time_that_is_no_number_is_refused_with_its_place(served: Served) -> None:
    got, error = await error_of(served, "POST", "/v1/stacks/httpd/restart", json={"bake_s": "long"})
    assert got == 422
    assert "bake_s" in error["message"]
