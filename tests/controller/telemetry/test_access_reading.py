"""Reading access logs through the operations: whose there are, what was written, what comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from portway.controller.telemetry.access_log import AccessLog
from portway.core.errors import RequestError
from portway.core.request import ServedRequest
from tests.controller.inprocess import Portway, compose

VIRTUAL_TIME = True
MANIFEST = compose(
    web="image: web; ports: ['80:80']; labels: {portway.access_log: 'true'}",
    api="image: web; ports: ['81:80']; labels: {portway.access_log: 'true'}",
    quiet="image: web; ports: ['82:80']",
)


def served(app: str, path: str) -> ServedRequest:
    return ServedRequest(owner=f"shop/{app}", at_ms=0, status=200, path=path)


@pytest.fixture
async def logged(portway: Portway, tmp_path: Path) -> Portway:
    """A stack of which two Apps keep a log."""
    portway.controller.access_log = AccessLog(tmp_path / "log" / "access")
    await portway.deploy("shop", MANIFEST)
    await portway.until(lambda: portway.balancer.reported == {"shop/web", "shop/api"})
    return portway


async def paths(portway: Portway, app: str = "", tail: int | None = None) -> list[str]:
    lines = portway.operations.access_log("shop", app=app, tail=tail)
    return [line.path async for line in lines]


async def test_requests_are_read_app_by_app(logged: Portway) -> None:
    logged.balancer.serve(served("web", "/1"), served("api", "/2"), served("web", "/3"))
    assert await paths(logged) == ["/2", "/1", "/3"]
    assert await paths(logged, "web") == ["/1", "/3"]
    assert await paths(logged, "web", tail=1) == ["/3"]


async def test_an_app_that_keeps_no_log_is_refused_with_the_label(logged: Portway) -> None:
    with pytest.raises(RequestError, match="quiet keeps no access log") as refusal:
        await paths(logged, "quiet")
    assert "portway.access_log" in refusal.value.hint
    with pytest.raises(RequestError, match="nothing"):
        await paths(logged, "nothing")


async def test_following_goes_on_where_reading_ended(logged: Portway) -> None:
    logged.balancer.serve(served("web", "/old"))
    lines = logged.operations.access_log("shop", app="web", follow=True)
    assert (await anext(lines)).path == "/old"
    logged.balancer.serve(served("api", "/other"), served("web", "/new"))
    assert (await anext(lines)).path == "/new"
    await lines.aclose()  # type: ignore[attr-defined]


async def test_a_changed_label_replaces_no_instance(logged: Portway) -> None:
    before = logged.live("shop/web")
    await logged.deploy("shop", MANIFEST.replace("'true'", "'false'"))
    assert logged.live("shop/web") == before
    await logged.until(lambda: not logged.balancer.reported)
    logged.balancer.serve(served("web", "/unseen"))
    assert not logged.controller.access_log.has_file("shop/web")
