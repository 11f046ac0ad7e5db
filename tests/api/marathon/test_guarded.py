"""Who may ask over the Marathon API: the server's guard, in the words of Marathon's clients."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from portway.api.app import create_app
from portway.api.marathon.paths import marathon_token
from portway.api.marathon.routes import ENDPOINTS
from portway.api.roles import Role
from portway.api.settings import ApiSettings
from portway.api.tokens import TokenFolder
from tests.api.marathon.client import Client
from tests.api.marathon.conftest import serving
from tests.controller.inprocess import running_portway

TOKEN = "correct-horse"
APP = {"id": "/a", "cmd": "sleep 1"}


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Client]:
    """Over TCP, with a token that is asked for."""
    settings = ApiSettings(token=TOKEN, tokens=tmp_path / "tokens")
    async with running_portway() as portway, serving(portway, settings) as client:
        client.trusted = False
        yield client


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()


async def test_every_operation_asks_for_the_token(guarded: Client) -> None:
    for endpoint in ENDPOINTS:
        url = endpoint.path
        for part in ("id", "group", "task", "version", "instance", "deployment"):
            url = url.replace(f"{{{part}}}", "x")
        for given in ({}, {"Authorization": "token=wrong"}, {"Authorization": basic("wrong")}):
            reply = await guarded(endpoint.method, url, **given)
            assert reply.status == 401, endpoint
            assert set(reply.json) == {"message"}
            assert reply.headers["www-authenticate"]


async def test_the_token_comes_as_clients_send_it(guarded: Client) -> None:
    for given in (f"Bearer {TOKEN}", f"token={TOKEN}", f'token="{TOKEN}"', basic(TOKEN)):
        assert (await guarded("GET", "/v2/apps", Authorization=given)).status == 200
        assert (await guarded("GET", "/metrics", Authorization=given)).status == 200
    for path in ("/v1/stacks", "/docs"):
        assert (await guarded("GET", path, Authorization=basic(TOKEN))).status == 401


async def test_a_reader_looks_and_changes_nothing(guarded: Client, tmp_path: Path) -> None:
    token = TokenFolder(tmp_path / "tokens").create("looker", Role.READ, now_ms=0)
    guarded.headers = {"Authorization": f"token={token}"}
    for endpoint in ENDPOINTS:
        if endpoint.method != "GET":
            url = endpoint.path.replace("{", "").replace("}", "")
            reply = await guarded(endpoint.method, url)
            assert reply.status == 403, endpoint
            assert "role" in reply.json["message"]
    assert (await guarded("GET", "/v2/apps")).json == {"apps": []}


async def test_the_policy_binds_who_is_no_admin(guarded: Client, tmp_path: Path) -> None:
    token = TokenFolder(tmp_path / "tokens").create("deployer", Role.DEPLOY, now_ms=0)
    guarded.headers = {"Authorization": f"Bearer {token}"}
    docker = {"image": "web", "privileged": True}
    bridge = {"id": "/p", "networks": [{"mode": "container/bridge"}]}
    privileged = {**bridge, "container": {"type": "DOCKER", "docker": docker}}
    status, told = await guarded.refusal("POST", "/v2/apps", privileged)
    assert status == 403, told
    assert await guarded.get("/v2/apps") == {"apps": []}
    fine = {**bridge, "container": {"type": "DOCKER", "docker": {"image": "web"}}}
    assert (await guarded("POST", "/v2/apps", fine)).status == 201
    await guarded.rested()
    assert (await guarded("DELETE", "/v2/leader")).status == 403


async def test_a_web_page_from_elsewhere_may_not_ask(guarded: Client) -> None:
    guarded.headers = {"Authorization": f"Bearer {TOKEN}"}
    for given in ({"Origin": "http://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await guarded.refusal("POST", "/v2/apps", APP, **given))[0] == 403
    for form in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        assert (await guarded.refusal("POST", "/v2/apps", APP, content_type=form))[0] == 415
    assert (await guarded.refusal("GET", "/v2/apps", host="evil.test"))[0] == 421


async def test_without_a_token_this_machine_may_ask_without_a_header_of_ours() -> None:
    async with running_portway() as portway, serving(portway) as client:
        client.trusted = False
        assert (await client("POST", "/v2/apps", APP)).status == 201
        assert (await client("POST", "/v2/apps/a/restart?force=true")).status == 200
        client.client = ("192.0.2.1", 5000)
        assert (await client.refusal("GET", "/v2/apps"))[0] == 403


async def test_where_the_face_is_not_served_its_tokens_mean_nothing() -> None:
    async with running_portway() as portway:
        app = create_app(portway.operations, ApiSettings(token=TOKEN))
        client = Client(app=app, portway=portway, trusted=False)
        assert (await client("GET", "/v2/apps", Authorization=basic(TOKEN))).status == 401
        assert (await client("GET", "/v2/apps", Authorization=f"Bearer {TOKEN}")).status == 404


def test_what_is_no_token_is_none() -> None:
    for given in ("Basic !!!", basic("x")[:-1] + "\xff", "Digest x", "", "Basic bm9jb2xvbg=="):
        assert marathon_token(given) is None
    assert marathon_token("token = abc") == b"abc"
