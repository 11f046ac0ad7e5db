"""A served AWS face in this process, and boto3 clients for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from portway.api.app import create_app
from portway.api.aws.keys import AccessKey, KeyFolder, SessionCredentials
from portway.api.aws.settings import AwsSettings
from portway.api.roles import Role
from portway.api.server import serve
from portway.api.settings import ApiSettings
from portway.controller.clock import SystemClock
from portway.store.documents import MemoryDocuments
from tests.api.conftest import free_port
from tests.api.fakes import FakeOperations

PATIENCE = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30)


@cache
def _session() -> boto3.session.Session:
    """One for all tests: it keeps the models it has read."""
    return boto3.session.Session()


@dataclass(kw_only=True)
class ServedFace:
    """Where the face answers, and the key of an administrator."""

    url: str
    unix_socket: Path
    keys: KeyFolder
    key: AccessKey
    documents: MemoryDocuments
    operations: FakeOperations
    region: str = "us-east-1"
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(
        self, service: str, key: AccessKey | SessionCredentials | None = None, **given: Any
    ) -> Any:
        """A boto3 client that speaks to this server only."""
        key = key or self.key
        settings = {
            "endpoint_url": self.url,
            "region_name": self.region,
            "aws_access_key_id": key.access_key_id,
            "aws_secret_access_key": key.secret,
            "aws_session_token": key.token if isinstance(key, SessionCredentials) else None,
            "config": PATIENCE,
        }
        return _session().client(service, **{**settings, **given})

    async def ask(self, service: str, operation: str, /, **members: Any) -> Any:
        """One request with boto3, while the server runs on this loop."""
        client = self._clients.get(service)
        if client is None:
            client = self._clients[service] = await asyncio.to_thread(self.client, service)
        return await asyncio.to_thread(getattr(client, operation), **members)


@asynccontextmanager
async def serving_face(
    directory: Path,
    *,
    settings: ApiSettings | None = None,
    operations: Any = None,
    **aws: Any,
) -> AsyncIterator[ServedFace]:
    """A server with the AWS face on a port of its own, over `operations` or over none that do anything."""
    operations = operations or FakeOperations()
    stop, started = asyncio.Event(), asyncio.Event()
    number, path = free_port(), directory / "p.sock"
    listen = f"127.0.0.1:{number}"
    documents = getattr(operations, "documents", None) or MemoryDocuments()
    folder = directory / "aws-keys"
    given = {"documents": documents, "keys": folder, "now_ms": SystemClock().now_ms, **aws}
    app = create_app(
        operations, replace(settings or ApiSettings(), listen=listen), AwsSettings(**given)
    )
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        stack.callback(stop.set)
        group.create_task(
            serve(app, unix_socket=path, listen=listen, started=started.set, stop=stop)
        )
        async with asyncio.timeout(10):
            await started.wait()
        yield ServedFace(
            url=f"http://{listen}",
            unix_socket=path,
            keys=KeyFolder(folder),
            key=KeyFolder(folder).create("default", Role.ADMIN, now_ms=0),
            documents=given["documents"],
            operations=operations,
            region=given.get("region", "us-east-1"),
        )


@pytest.fixture
async def face(tmp_path: Path) -> AsyncIterator[ServedFace]:
    async with serving_face(tmp_path) as served:
        yield served


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the environment nor ~/.aws of whoever runs the tests says where requests go."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
