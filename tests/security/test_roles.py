"""Who may do what, for every operation there is: made from the table the routes are made from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from portway.api.app import create_app
from portway.api.native.endpoint import Endpoint
from portway.api.native.routes import ENDPOINTS
from portway.api.roles import Role
from portway.api.settings import ApiSettings
from portway.api.tokens import TokenFolder
from portway.core.errors import RequestError
from tests.api.conftest import Served, serving
from tests.api.fakes import FakeOperations

NAMES = {"stack": "httpd", "release": "R1", "instance": "web.1", "app": "web"}


@pytest.fixture
def folder(tmp_path: Path) -> TokenFolder:
    return TokenFolder(tmp_path / "tokens")


@pytest.fixture
def tokens(folder: TokenFolder) -> dict[Role, str]:
    return {role: folder.create(role.value, role, now_ms=0) for role in Role}


@pytest.fixture
async def guarded(tmp_path: Path, tokens: dict[Role, str]) -> AsyncIterator[Served]:
    """An API whose tokens are all made by `portway token create`."""
    settings = ApiSettings(tokens=tmp_path / "tokens", heartbeat_s=0.05, first_answer_s=0.05)
    async with serving(tmp_path, settings) as it:
        yield it


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}


async def status_of(served: Served, endpoint: Endpoint, headers: dict[str, str]) -> int:
    """The status of a request without a sensible body: past the role it is refused for that, or answered."""
    path = endpoint.path.format(**NAMES)
    if endpoint.socket:
        try:
            async with connect(f"ws{served.url[4:]}{path}", additional_headers=headers):
                return 101
        except InvalidStatus as error:
            return error.response.status_code
    async with served.remote.request(endpoint.method, path, headers=headers) as response:
        return response.status


@pytest.mark.parametrize("role", list(Role))
async def test_every_operation_is_for_its_role_and_those_above(
    guarded: Served, tokens: dict[Role, str], role: Role
) -> None:
    for endpoint in ENDPOINTS:
        status = await status_of(guarded, endpoint, bearer(tokens[role]))
        if role.covers(endpoint.role):
            assert status not in (401, 403), endpoint.name
        else:
            assert status == 403, endpoint.name


async def test_nothing_is_asked_of_the_operations_for_a_role_too_low(
    guarded: Served, tokens: dict[Role, str]
) -> None:
    for endpoint in ENDPOINTS:
        if not Role.READ.covers(endpoint.role):
            await status_of(guarded, endpoint, bearer(tokens[Role.READ]))
    assert guarded.operations.calls == []


async def test_every_operation_without_a_token_is_401(guarded: Served) -> None:
    for endpoint in ENDPOINTS:
        for headers in ({"Content-Type": "application/json"}, bearer("wrong"), bearer("")):
            assert await status_of(guarded, endpoint, headers) == 401, endpoint.name
    assert guarded.operations.calls == []


def test_every_route_of_the_application_is_in_the_table_or_a_document() -> None:
    routes = create_app(FakeOperations(), ApiSettings()).routes
    paths = {route.path for route in routes if isinstance(route, Route | WebSocketRoute)}
    assert paths - {"/openapi.json", "/docs", "/metrics"} == {e.path for e in ENDPOINTS}
    assert len(routes) == len(paths) + sum(endpoint.socket for endpoint in ENDPOINTS)


def test_who_only_reads_changes_nothing_and_runs_nothing() -> None:
    reading = [endpoint for endpoint in ENDPOINTS if endpoint.role is Role.READ]
    assert {endpoint.method for endpoint in reading} == {"GET"}
    assert not any(endpoint.socket for endpoint in reading)


def test_secrets_shells_keys_and_the_server_itself_are_for_admins() -> None:
    admins = {endpoint.name for endpoint in ENDPOINTS if endpoint.role is Role.ADMIN}
    assert admins >= {"environment", "exec", "run", "create_certificate", "stop_server"}


async def test_who_sets_a_variable_is_not_shown_the_others(
    guarded: Served, tokens: dict[Role, str]
) -> None:
    path = "/v1/stacks/httpd/environment"
    answers: dict[Role, dict[str, str]] = {}
    for role in (Role.DEPLOY, Role.ADMIN):
        async with guarded.remote.patch(
            path, headers=bearer(tokens[role]), json={"set": {"MINE": "1"}}
        ) as response:
            answers[role] = (await response.json())["environment"]
    assert answers[Role.DEPLOY] == {"MINE": "1"}
    assert len(answers[Role.ADMIN]) > 1


async def test_the_unix_socket_is_an_admins(guarded: Served) -> None:
    async with guarded.local.get("/v1/stacks/httpd/environment") as response:
        assert response.status == 200


async def test_a_revoked_token_is_refused_from_the_next_request_on(
    guarded: Served, folder: TokenFolder, tokens: dict[Role, str]
) -> None:
    for name, status in (("", 200), ("read", 401)):
        if name:
            folder.revoke(name)
        async with guarded.remote.get("/v1/stacks", headers=bearer(tokens[Role.READ])) as response:
            assert response.status == status


async def test_with_every_token_revoked_nobody_gets_in_over_tcp(
    guarded: Served, folder: TokenFolder
) -> None:
    for role in Role:
        folder.revoke(role.value)
    async with guarded.remote.get("/v1/stacks") as response:
        assert response.status == 401
    async with guarded.local.get("/v1/stacks") as response:
        assert response.status == 200


async def test_two_tokens_in_one_request_are_none(guarded: Served, tokens: dict[Role, str]) -> None:
    headers = [("Authorization", f"Bearer {token}") for token in tokens.values()]
    async with aiohttp.request("GET", f"{guarded.url}/v1/stacks", headers=headers) as response:
        assert response.status == 401


async def test_a_form_and_a_foreign_page_are_refused_with_the_best_token_too(
    guarded: Served, tokens: dict[Role, str]
) -> None:
    path = "/v1/stacks/httpd/cancel"
    for more, status in (
        ({"Content-Type": "text/plain"}, 415),
        ({"Origin": "http://evil.test"}, 403),
        ({"Host": "evil.test"}, 421),
    ):
        headers = {**bearer(tokens[Role.ADMIN]), **more}
        async with guarded.remote.post(path, headers=headers, data=b"{}") as response:
            assert response.status == status
    assert guarded.operations.calls == []


def test_a_public_address_is_served_with_tokens_and_refused_without(tmp_path: Path) -> None:
    settings = ApiSettings(listen="0.0.0.0:8080", tokens=tmp_path / "tokens")
    with pytest.raises(RequestError, match="without a token"):
        create_app(FakeOperations(), settings)
    TokenFolder(tmp_path / "tokens").create("ci", Role.READ, now_ms=0)
    create_app(FakeOperations(), settings)
