"""Images: built from a stream, pulled from a registry, resolved to what never changes."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from secrets import token_hex

import pytest

from portway.core.app import Build
from portway.core.errors import EngineErrorKind
from portway.engines.base import Progress
from portway.engines.docker.api import BuildMessage, LayerProgress
from portway.engines.docker.client import DockerClient
from portway.engines.docker.engine import DockerEngine
from portway.engines.docker.images import Layers, build_params, pull_params
from tests.engines.docker.registry import Registry
from tests.engines.docker.support import (
    Requests,
    built,
    busybox_context,
    delete_image,
    docker_json,
    ended,
    in_pieces,
    lines_of,
    refusal_of,
    tar_of,
    until,
)

IMAGE_ID = re.compile(r"sha256:[0-9a-f]{64}")


@pytest.fixture
async def tag(client: DockerClient) -> AsyncIterator[str]:
    """A name for an image that the test makes; removed after it."""
    name = f"portway-test-built:{token_hex(4)}"
    yield name
    await delete_image(client, name)


def test_an_image_without_a_tag_is_the_latest() -> None:
    assert pull_params("nginx") == {"fromImage": "nginx", "tag": "latest"}
    assert pull_params("host:5000/nginx") == {"fromImage": "host:5000/nginx", "tag": "latest"}
    assert pull_params("host:5000/nginx:1.25") == {"fromImage": "host:5000/nginx:1.25"}
    assert pull_params("nginx@sha256:ab") == {"fromImage": "nginx@sha256:ab"}


def test_a_build_says_everything_that_was_asked_for() -> None:
    wanted = Build(context="/x", dockerfile="docker/D", args={"A": "1"}, target="prod")
    assert build_params(wanted, tag="t:1") == {
        "t": "t:1",
        "dockerfile": "docker/D",
        "rm": "1",
        "forcerm": "1",
        "buildargs": '{"A":"1"}',
        "target": "prod",
    }


def test_layers_are_summed_up_in_one_line() -> None:
    layers = Layers("nginx")
    assert layers.text == "Pulling nginx"
    for layer in ("a", "b", "c"):
        layers.add(BuildMessage(status="Pulling fs layer", id=layer))
    layers.add(BuildMessage(status="Already exists", id="c"))
    detail = LayerProgress(current=3_000_000, total=20_000_000)
    layers.add(BuildMessage(status="Downloading", id="a", progress_detail=detail))
    assert layers.text == "Pulling nginx: 1 of 3 layers, 3 of 20 MB"
    layers.add(BuildMessage(status="Download complete", id="a"))
    layers.add(BuildMessage(status="Pull complete", id="a"))
    assert layers.text == "Pulling nginx: 2 of 3 layers, 20 of 20 MB"
    layers.add(BuildMessage(status="Status: Downloaded newer image"))
    assert layers.text == "Pulling nginx: 2 of 3 layers, 20 of 20 MB"


@pytest.mark.docker
async def test_a_build_shows_its_steps_and_ends_with_the_image_id(
    engine: DockerEngine, requests: Requests, tag: str
) -> None:
    dockerfile = (
        f"FROM {requests.image} AS base\nARG GREETING=none\nRUN echo built $GREETING > /greeting\n"
        "CMD cat /greeting\nFROM base AS unwanted\nRUN exit 1\n"
    )
    steps = await built(
        engine,
        tag,
        tar_of({"deploy/Dockerfile.prod": dockerfile.encode()}),
        Build(
            context="/x",
            dockerfile="deploy/Dockerfile.prod",
            args={"GREETING": "well"},
            target="base",
        ),
    )
    assert any(step.text.startswith("Step 3/4 : RUN echo built") for step in steps)
    assert all(not step.image and "\n" not in step.text for step in steps[:-1])
    assert IMAGE_ID.fullmatch(steps[-1].image)
    assert steps[-1].image == await engine.resolve_image(tag)
    request = requests(image=steps[-1].image)
    await engine.start(request)
    await ended(engine, request)
    assert [line.text for line in await lines_of(engine, request)] == ["built well"]
    await engine.remove(request.identity.id)


@pytest.mark.docker
async def test_a_failing_build_shows_its_last_lines_and_leaves_no_container(
    engine: DockerEngine, requests: Requests, tag: str, client: DockerClient, home: str
) -> None:
    # Only one step: the daemon keeps what earlier steps made, as its cache.
    dockerfile = f"FROM {requests.image}\nRUN echo the reason >&2; exit 17 # {home}\n"
    error = await refusal_of(built(engine, tag, tar_of({"Dockerfile": dockerfile.encode()})))
    assert error.kind == EngineErrorKind.BUILD_FAILED
    assert "exit code 17" in error.message
    assert "\n    the reason" in error.message
    assert (await refusal_of(engine.resolve_image(tag))).kind == EngineErrorKind.IMAGE_MISSING
    rows = await docker_json(client, "containers/json", all="1")
    assert not [row for row in rows if home in row["Command"]]


@pytest.mark.docker
@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"other": b""}, "there is no Dockerfile in the build context"),
        ({"Dockerfile": b"FROM scratch\nNONSENSE x\n"}, "NONSENSE"),
        ({"Dockerfile": b"FROM scratch\nCOPY absent /x\n"}, "absent"),
        ({"Dockerfile": b"FROM 127.0.0.1:9/portway-test-absent\n"}, "portway-test-absent"),
    ],
)
async def test_every_way_a_build_fails_is_a_build_failure(
    engine: DockerEngine, tag: str, files: dict[str, bytes], words: str
) -> None:
    error = await refusal_of(built(engine, tag, tar_of(files)))
    assert error.kind == EngineErrorKind.BUILD_FAILED
    assert words in error.message
    assert tag in error.message
    assert error.hint


@pytest.mark.docker
async def test_a_context_that_breaks_off_is_an_error_and_not_half_an_image(
    engine: DockerEngine, tag: str
) -> None:
    class Broken(Exception):  # noqa: N818
        pass

    async def context() -> AsyncIterator[bytes]:
        yield busybox_context()[:100_000]
        raise Broken

    with pytest.raises(Broken):
        async for _ in engine.build(Build(context="/x"), tag=tag, context=context()):
            pass
    assert (await refusal_of(engine.resolve_image(tag))).kind == EngineErrorKind.IMAGE_MISSING


@pytest.mark.docker
async def test_a_build_nobody_waits_for_any_more_is_cancelled(
    engine: DockerEngine, requests: Requests, tag: str, client: DockerClient
) -> None:
    dockerfile = f"FROM {requests.image}\nRUN echo begun; sleep 600 # {tag}\n"
    steps = engine.build(
        Build(context="/x"), tag=tag, context=in_pieces(tar_of({"Dockerfile": dockerfile.encode()}))
    )
    async for step in steps:
        if step.text == "begun":
            break
    await steps.aclose()  # type: ignore[attr-defined]

    async def cancelled() -> bool:
        rows = await docker_json(client, "containers/json", all="1")
        return not [row for row in rows if tag in row["Command"]]

    await until(cancelled, "the step's container is gone")


@pytest.mark.docker
async def test_a_pull_shows_progress_and_ends_with_the_image_id(
    engine: DockerEngine, client: DockerClient
) -> None:
    registry = Registry("portway-test-pulled", (os.urandom(3_000_000), os.urandom(1000)))
    try:
        steps = [step async for step in engine.pull(registry.image)]
        assert steps[0].text.startswith(f"Pulling {registry.image}")
        assert any("of 2 layers" in step.text for step in steps)
        assert len({step.text for step in steps}) == len(steps)
        assert steps[-1] == Progress(
            text=f"Pulled {registry.image}", image=await engine.resolve_image(registry.image)
        )
        assert await engine.exposed_ports(registry.image) == (8080,)
        again = [step async for step in engine.pull(f"{registry.image}:latest")]
        assert again[-1].image == steps[-1].image
        absent = await refusal_of(anext(engine.pull(f"{registry.image}:absent")))
        assert absent.kind == EngineErrorKind.IMAGE_MISSING
        assert "no such name or tag" in absent.message
        assert not absent.retryable
    finally:
        registry.close()
        await delete_image(client, registry.image)


@pytest.mark.docker
async def test_a_registry_that_cannot_be_reached_is_worth_another_try(
    engine: DockerEngine,
) -> None:
    error = await refusal_of(anext(engine.pull("127.0.0.1:9/portway-test-absent:1")))
    assert error.kind == EngineErrorKind.IMAGE_MISSING
    assert "cannot be reached" in error.message
    assert error.retryable


@pytest.mark.docker
async def test_resolving_and_asking_for_ports(engine: DockerEngine, image: str) -> None:
    assert IMAGE_ID.fullmatch(await engine.resolve_image(image))
    assert await engine.exposed_ports(image) == (80, 8080)
    assert await engine.exposed_ports("portway-test-absent:1") == ()
    absent = await refusal_of(engine.resolve_image("portway-test-absent:1"))
    assert absent.kind == EngineErrorKind.IMAGE_MISSING
    for bad in ("Bad Image", "../containers/json", "", "a?b", "-x"):
        error = await refusal_of(engine.resolve_image(bad))
        assert error.kind == EngineErrorKind.IMAGE_MISSING
