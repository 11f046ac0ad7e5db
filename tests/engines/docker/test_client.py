"""The connection: versions agreed on, every wait bounded, silences told from deaths."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from portway.core.errors import EngineError, EngineErrorKind
from portway.engines.docker.api import Version
from portway.engines.docker.client import DockerClient, agreed_version, docker_address
from portway.engines.docker.errors import DockerRefusal
from tests.engines.docker.support import refusal_of
from tests.engines.docker.wire import Wire


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    made = Wire(tmp_path / "docker.sock")
    await made.listen()
    yield made
    await made.deafen()


@pytest.mark.parametrize(
    ("newest", "oldest", "agreed"),
    [("1.41", "1.12", "v1.41"), ("1.99", "1.24", "v1.47"), ("1.99", "1.50", "v1.50")],
)
def test_the_newest_version_both_sides_speak_is_used(newest: str, oldest: str, agreed: str) -> None:
    assert agreed_version(Version(api_version=newest, min_api_version=oldest)) == agreed


def test_a_daemon_too_old_is_refused_with_both_versions() -> None:
    with pytest.raises(EngineError) as refused:
        agreed_version(Version(version="1.11", api_version="1.23"))
    assert refused.value.kind == EngineErrorKind.UNAVAILABLE
    assert "1.23" in refused.value.message
    assert "1.30" in refused.value.hint


def test_the_address_is_what_was_asked_for_then_docker_host_then_the_usual_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    assert docker_address("/run/other.sock") == "unix:///run/other.sock"
    assert docker_address("unix:///run/other.sock") == "unix:///run/other.sock"
    assert docker_address("") == "tcp://10.0.0.1:2375"
    monkeypatch.delenv("DOCKER_HOST")
    assert docker_address("") == "unix:///var/run/docker.sock"


async def test_an_address_that_is_none_is_refused_with_what_one_looks_like() -> None:
    error = await refusal_of(DockerClient("docker.example").open())
    assert error.kind == EngineErrorKind.UNAVAILABLE
    assert "docker.example" in error.message
    assert "unix://" in error.hint


async def test_a_tcp_address_where_nobody_listens_is_unavailable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        error = await refusal_of(DockerClient(address).open())
    assert error.kind == EngineErrorKind.UNAVAILABLE
    assert address in error.message


async def test_a_client_that_was_not_opened_says_so_as_an_engine_error() -> None:
    error = await refusal_of(DockerClient("").call("GET", "info"))
    assert error.kind == EngineErrorKind.UNAVAILABLE


@pytest.mark.docker
async def test_a_daemon_that_stopped_answering_is_given_up_in_time(wire: Wire) -> None:
    client = DockerClient(wire.docker_host, quick_s=0.3, silence_s=0.1)
    await client.open()
    wire.freeze()
    error = await refusal_of(client.call("GET", "info"))
    assert error.kind == EngineErrorKind.UNAVAILABLE
    assert "no answer within 0.3 s" in error.message

    async def listen() -> None:
        async with client.stream("GET", "events"):
            raise AssertionError("it answered")

    assert (await refusal_of(listen())).kind == EngineErrorKind.UNAVAILABLE
    wire.thaw()
    await client.ping()
    await client.close()


@pytest.mark.docker
async def test_a_stream_survives_silences_but_not_a_frozen_daemon(wire: Wire) -> None:
    client = DockerClient(wire.docker_host, quick_s=0.3, silence_s=0.1)
    await client.open()
    async with client.stream("GET", "events", params={"filters": '{"label":["no.such"]}'}) as bits:
        assert [await anext(bits) for _ in range(3)] == [b"", b"", b""]
        wire.freeze()

        async def go_on() -> None:
            while True:
                await anext(bits)

        async with asyncio.timeout(20):
            assert (await refusal_of(go_on())).kind == EngineErrorKind.UNAVAILABLE
    wire.thaw()
    await client.close()


@pytest.mark.docker
async def test_a_hung_call_does_not_hold_up_the_others(wire: Wire) -> None:
    client = DockerClient(wire.docker_host)
    await client.open()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        streams = [client.stream("GET", "events") for _ in range(120)]
        for stream in streams:
            await stream.__aenter__()
        await group.create_task(client.call("GET", "info"))
        for stream in streams:
            await stream.__aexit__(None, None, None)
    await client.close()


@pytest.mark.docker
async def test_a_refusal_keeps_its_status_and_message(client: DockerClient) -> None:
    with pytest.raises(DockerRefusal) as refused:
        await client.call("GET", "containers/portway-test-nobody/json")
    assert refused.value.status == 404
    assert "portway-test-nobody" in refused.value.message


@pytest.mark.docker
async def test_opening_again_after_closing_works(client: DockerClient) -> None:
    await client.close()
    await client.close()
    await client.open()
    await client.open()
    assert (await client.info()).logging_driver
