"""A whole portway put together: it starts, goes on where it stopped, and cleans up after whatever fails."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from portway import assemble
from portway.assemble import running, serve, wipe
from portway.balancers.memory import MemoryBalancer
from portway.config import Config
from portway.controller.operations import PortwayOperations
from portway.controller.views import ReleaseRequest
from portway.core.errors import BalancerError, PortwayError, RequestError, StoreError
from portway.engines.memory import MemoryEngine, MemoryWorld

MANIFEST = "services:\n  web:\n    image: web\n    ports: ['80:8080']\n"


class Outside:
    """What outlives a server: one memory engine's world and one balancer for every portway of a test."""

    def __init__(self) -> None:
        self.world = MemoryWorld()
        self.balancer = MemoryBalancer()
        self.closed: list[str] = []


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Outside:
    made = Outside()

    def engine(config: Config, home_id: str) -> MemoryEngine:
        class Watched(MemoryEngine):
            async def close(self) -> None:
                made.closed.append("engine")

        return Watched(world=made.world)

    monkeypatch.setattr(assemble, "_engine", engine)
    monkeypatch.setattr(assemble, "_balancer", lambda config, leases: made.balancer)
    return made


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def config(tmp_path: Path, **fields: Any) -> Config:
    return Config(**{"home": tmp_path / "home", "engine": "memory", "listen": "", **fields})


async def until(what: Any) -> None:
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.01)


async def deploy(portway: PortwayOperations) -> None:
    release = await portway.create_release("shop", ReleaseRequest(manifest=MANIFEST))
    await portway.promote("shop", release.id)
    await until(lambda: portway.controller.world.stacks["shop"].active_release == release.id)


async def test_a_portway_runs_what_it_is_given_and_says_how_it_is(tmp_path: Path) -> None:
    async with running(config(tmp_path)) as portway:
        await deploy(portway)
        view = await portway.server()
        assert (view.engine, view.store, view.balancer) == ("memory", "sqlite", "memory 1")
        assert (view.pid, view.host_ports_leased, view.problems) == (os.getpid(), 1, ())


async def test_the_next_one_goes_on_where_the_last_one_stopped(
    tmp_path: Path, outside: Outside
) -> None:
    async with running(config(tmp_path)) as portway:
        await deploy(portway)
    assert list(outside.world.instances) == ["shop/web.1.1"]
    assert outside.balancer.running
    assert outside.closed == ["engine"]
    async with running(config(tmp_path)) as portway:
        assert (await portway.stack("shop")).name == "shop"
        await portway.scale("shop", {"web": 2})
        await until(lambda: len(outside.world.instances) == 2)
    assert "shop/web.1.1" in outside.world.instances


async def test_a_balancer_with_nothing_to_serve_goes_with_its_portway(
    tmp_path: Path, outside: Outside
) -> None:
    async with running(config(tmp_path)):
        assert outside.balancer.running
    assert not outside.balancer.running


async def test_a_balancer_is_left_serving_when_the_store_cannot_be_read(
    tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(config(tmp_path)) as portway:
        await deploy(portway)

    async def unreadable(controller: object) -> None:
        raise StoreError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr("portway.controller.loop.Controller.open", unreadable)
        with pytest.raises(StoreError):
            async with running(config(tmp_path)):
                pass
    assert outside.balancer.running
    assert outside.closed == ["engine", "engine"]
    async with running(config(tmp_path)) as portway:
        assert [s.name for s in await portway.stacks()] == ["shop"]


async def test_a_balancer_that_cannot_be_opened_leaves_engine_and_store_closed(
    tmp_path: Path, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuses() -> None:
        raise BalancerError("haproxy is not installed")

    with monkeypatch.context() as broken:
        broken.setattr(outside.balancer, "open", refuses)
        with pytest.raises(BalancerError):
            async with running(config(tmp_path)):
                pass
    assert outside.closed == ["engine"]
    async with running(config(tmp_path)):
        pass


async def test_two_portways_never_share_a_home(tmp_path: Path) -> None:
    async with running(config(tmp_path)):
        with pytest.raises(StoreError):
            async with running(config(tmp_path)):
                pass


async def test_a_refusal_leaves_as_itself_and_not_in_a_group(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no stack"):
        async with running(config(tmp_path)) as portway:
            await portway.stack("shop")


async def test_a_controller_that_breaks_ends_its_portway_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(controller: object) -> None:
        raise AssertionError("ours to mend")

    monkeypatch.setattr("portway.controller.loop.Controller.run", breaks)
    with pytest.raises(ExceptionGroup) as caught:
        async with running(config(tmp_path)):
            await asyncio.sleep(20)
    assert caught.group_contains(AssertionError, match="ours to mend")


async def test_a_wiped_home_runs_nothing_any_more(tmp_path: Path, outside: Outside) -> None:
    async with running(config(tmp_path)) as portway:
        await deploy(portway)
    assert await wipe(config(tmp_path)) == ("shop/web.1.1",)
    assert outside.world.instances == {}
    assert not outside.balancer.running


async def test_a_home_in_use_is_not_wiped(tmp_path: Path, outside: Outside) -> None:
    async with running(config(tmp_path)) as portway:
        await deploy(portway)
        with pytest.raises(StoreError):
            await wipe(config(tmp_path))
        assert list(outside.world.instances) == ["shop/web.1.1"]


@pytest.mark.parametrize("how", ["request", "signal"])
async def test_a_server_answers_until_it_is_told_to_stop(tmp_path: Path, how: str) -> None:
    # A short path: a unix socket's may not have more than 107 bytes.
    made = config(tmp_path)
    server = asyncio.get_running_loop().create_task(serve(made))
    await until(lambda: made.socket_path.exists() or server.done())
    assert not server.done(), server.exception()
    await until_answering(made.socket_path)
    if how == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
    else:
        await ask(made.socket_path, "POST", "/v1/server/stop")
    async with asyncio.timeout(20):
        await server


async def until_answering(socket_path: Path) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                if b" 200 " in await ask(socket_path, "GET", "/v1/server"):
                    return
            except OSError:
                pass
            await asyncio.sleep(0.01)


async def ask(socket_path: Path, method: str, path: str) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(socket_path))
    try:
        head = f"{method} {path} HTTP/1.1\r\nHost: portway\r\nContent-Length: 0\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode())
        return await reader.read()
    finally:
        writer.close()


async def test_a_server_whose_address_is_taken_says_whose_it_is(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RequestError, match=f"already listens on {listen}"):
            await serve(Config(home=tmp_path / "home", engine="memory", listen=listen))


async def test_a_server_open_to_others_without_a_token_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(PortwayError):
        await serve(config(tmp_path, listen="0.0.0.0:0"))


def test_an_engine_nobody_knows_is_our_own_mistake(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        assemble._engine(config(tmp_path, engine="podman"), "h")


IDLE_SERVER = """
import asyncio, sys
from pathlib import Path
from portway.api.app import create_app
from portway.api.settings import ApiSettings
from portway.assemble import running
from portway.config import Config
from portway.controller.views import ReleaseRequest

async def main():
    async with running(Config(home=Path(sys.argv[1]), engine="memory", listen="")) as portway:
        create_app(portway, ApiSettings(token="", listen="", tokens=Path(sys.argv[1]) / "tokens"))
        release = await portway.create_release("shop", ReleaseRequest(manifest=sys.argv[2]))
        await portway.promote("shop", release.id)
        await portway.controller.looked.wait()
        await portway.metrics()

asyncio.run(main())
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
# Each takes megabytes or tenths of a second, and most servers never need it.
NEEDED_BY_FEW = {"boto3", "botocore", "aiodocker", "aiohttp", "cryptography", "psycopg", "websockets"}  # fmt: skip


def test_a_server_does_not_load_what_it_does_not_use(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    words = [sys.executable, "-c", IDLE_SERVER, str(home), MANIFEST]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "portway" in loaded
    assert not loaded & NEEDED_BY_FEW
