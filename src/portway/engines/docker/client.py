"""The connection to the Docker daemon: one call, one stream, one upgraded stream, each bounded in time.

Every failure to reach the daemon is an EngineError; every refusal by it is a DockerRefusal for the caller to
explain. Must not know what an instance is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import quote

import aiodocker
import aiohttp
import msgspec
from yarl import URL

from portway.core.errors import EngineError, EngineErrorKind
from portway.engines.docker.api import Info, Refusal, Version
from portway.engines.docker.errors import DockerRefusal, explain_unreachable

QUICK_S = 15.0
SLOW_S = 120.0
SILENCE_S = 10.0

API_NEWEST = (1, 47)
API_OLDEST = (1, 30)

_T = TypeVar("_T")
_UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)


def docker_address(docker_host: str) -> str:
    """Where the daemon is: what was asked for, else DOCKER_HOST, else the usual socket."""
    address = docker_host or os.environ.get("DOCKER_HOST", "") or "unix:///var/run/docker.sock"
    return f"unix://{address}" if address.startswith("/") else address


def segment(text: str) -> str:
    """A user's text made safe as part of a path of the API."""
    return quote(text, safe="/:@")


class DockerClient:
    """Talks to one daemon. `open` first. After `silence_s` without a word on a stream the daemon is pinged."""

    def __init__(
        self, docker_host: str, *, quick_s: float = QUICK_S, silence_s: float = SILENCE_S
    ) -> None:
        self.address = docker_address(docker_host)
        self._quick_s = quick_s
        self._silence_s = silence_s
        self._docker: aiodocker.Docker | None = None
        self._connector: aiohttp.BaseConnector | None = None
        self._answered_at = 0.0

    @property
    def docker(self) -> aiodocker.Docker:
        """aiodocker's view of the same connection, for what upgrades to a raw stream."""
        if self._docker is None:
            raise self.unreachable(ConnectionError("not opened"))
        return self._docker

    async def open(self) -> None:
        """Connect and agree on a version of the API; EngineError(kind=UNAVAILABLE) when there is no daemon."""
        await self.close()
        try:
            self._docker = self._connected()
        except ValueError as error:
            raise EngineError(
                f'"{self.address}" is not an address of a Docker daemon.',
                hint="It begins with unix://, tcp:// or https://; correct DOCKER_HOST or `docker_host`.",
                kind=EngineErrorKind.UNAVAILABLE,
                retryable=False,
            ) from error
        try:
            version = msgspec.json.decode(
                await self.call("GET", "version", versioned=False), type=Version
            )
            self._docker.api_version = agreed_version(version)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let go of every connection."""
        docker, self._docker = self._docker, None
        connector, self._connector = self._connector, None
        if docker is not None:
            await docker.close()
        if connector is not None:
            await connector.close()

    async def info(self) -> Info:
        """What the daemon says about itself."""
        return msgspec.json.decode(await self.call("GET", "info"), type=Info)

    async def ping(self) -> None:
        """EngineError(kind=UNAVAILABLE) unless the daemon answers; free when it has just done so."""
        if asyncio.get_running_loop().time() - self._answered_at > self._silence_s / 2:
            await self.call("GET", "_ping", versioned=False)

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
        timeout_s: float | None = None,
        versioned: bool = True,
    ) -> bytes:
        """One request and its whole answer; DockerRefusal for a status of 400 or more."""
        timeout_s = self._quick_s if timeout_s is None else timeout_s
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._request(method, path, params, _json(body), versioned=versioned) as response,
            ):
                content = await response.read()
        except _UNREACHABLE as error:
            raise self.unreachable(error, timeout_s=timeout_s) from error
        self._answered_at = asyncio.get_running_loop().time()
        if response.status >= 400:
            raise _refusal(response.status, content)
        return content

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        data: AsyncIterator[bytes] | None = None,
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """A request whose answer comes bit by bit; an empty bit stands for a silence the daemon survived.

        Leaving the context cancels the request. What `data` raises comes out as it is.
        """
        failures: list[Exception] = []
        sent = None if data is None else _watched(data, failures)
        try:
            response = await self._answer(self._request(method, path, params, sent))
        except EngineError:
            if failures:
                raise failures[0] from None
            raise
        try:
            if response.status >= 400:
                raise _refusal(response.status, await self._bounded(response.read))
            yield self._bits(response)
        finally:
            response.close()

    async def patiently(self, read: Callable[[], Awaitable[_T]]) -> _T | None:
        """What `read` gives, or None after a silence in which the daemon proved to be alive."""
        try:
            async with asyncio.timeout(self._silence_s):
                return await read()
        except TimeoutError:
            await self.ping()
            return None
        except (aiohttp.ClientError, OSError) as error:
            raise self.unreachable(error) from error

    async def _answer(self, request: Awaitable[aiohttp.ClientResponse]) -> aiohttp.ClientResponse:
        # The answer to an upload begins only after it has been read: bounded by pings, not by a time.
        async def sent() -> aiohttp.ClientResponse:
            return await request

        answering = asyncio.get_running_loop().create_task(sent())  # awaited and cancelled below
        try:
            while not answering.done():
                await asyncio.wait({answering}, timeout=self._silence_s)
                if not answering.done():
                    await self.ping()
            return answering.result()
        except _UNREACHABLE as error:
            raise self.unreachable(error) from error
        finally:
            answering.cancel()

    async def _bits(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        while True:
            bit = await self.patiently(response.content.readany)
            if bit == b"":
                return
            yield bit or b""

    async def _bounded(self, read: Callable[[], Awaitable[bytes]]) -> bytes:
        try:
            async with asyncio.timeout(self._quick_s):
                return await read()
        except _UNREACHABLE as error:
            raise self.unreachable(error) from error

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        data: Any,
        *,
        versioned: bool = True,
    ) -> Any:
        docker = self.docker
        prefix = f"{docker.docker_host}/{docker.api_version}" if versioned else docker.docker_host
        kind = "application/json" if isinstance(data, bytes) else "application/x-tar"
        return docker.session.request(
            method,
            URL(f"{prefix}/{path}", encoded=True),
            params=params,
            data=data,
            headers={"Content-Type": kind} if data is not None else None,
            timeout=aiohttp.ClientTimeout(total=None, connect=self._quick_s),
        )

    def _connected(self) -> aiodocker.Docker:
        if not self.address.startswith("unix://"):
            return aiodocker.Docker(url=self.address)
        # aiodocker's own connector stops at 100 connections, which as many followed logs would use up.
        self._connector = aiohttp.UnixConnector(self.address.removeprefix("unix://"), limit=0)
        return aiodocker.Docker(url="unix://localhost", connector=self._connector)

    def unreachable(self, error: BaseException, *, timeout_s: float | None = None) -> EngineError:
        """The error that says why the daemon did not answer, and what to do."""
        waited_s = self._quick_s if timeout_s is None else timeout_s
        return explain_unreachable(self.address, error, timeout_s=waited_s)


def agreed_version(version: Version) -> str:
    """The newest version of the API that both sides speak; EngineError when there is none."""
    newest, oldest = _number(version.api_version), _number(version.min_api_version)
    if newest < API_OLDEST:
        raise EngineError(
            f"Docker {version.version} is too old: it speaks version {version.api_version} of the API.",
            hint=f"portway needs {API_OLDEST[0]}.{API_OLDEST[1]} (Docker 17.06) or newer.",
            kind=EngineErrorKind.UNAVAILABLE,
            retryable=False,
        )
    major, minor = max(min(newest, API_NEWEST), oldest)
    return f"v{major}.{minor}"


def _number(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return (int(major or 0), int(minor or 0))


def _json(body: object) -> bytes | None:
    return None if body is None else msgspec.json.encode(body)


async def _watched(data: AsyncIterator[bytes], failures: list[Exception]) -> AsyncIterator[bytes]:
    try:
        async for piece in data:
            yield piece
    except Exception as error:
        failures.append(error)
        raise


def _refusal(status: int, content: bytes) -> DockerRefusal:
    try:
        message = msgspec.json.decode(content, type=Refusal).message
    except (ValueError, RecursionError):
        message = content.decode(errors="replace").strip()
    return DockerRefusal(status, message)
