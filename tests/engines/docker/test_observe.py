"""What a listing says of containers on the real daemon: ends, health, and whose they are."""

from __future__ import annotations

import asyncio

import pytest

from portway.core.app import (
    CheckKind,
    HealthCheck,
    Resources,
)
from portway.engines.docker.client import DockerClient
from portway.engines.docker.command import Settings, container_spec
from portway.engines.docker.engine import DockerEngine
from tests.engines.docker.support import (
    Requests,
    built,
    busybox_context,
    delete_image,
    ended,
    refusal_of,
    seen,
    until,
)

pytestmark = pytest.mark.docker

MIB = 1024 * 1024


async def test_running_out_of_memory_is_told_apart_from_other_ends(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.shell(
        "x=portway; while :; do x=$x$x; done", resources=Resources(memory_bytes=16 * MIB)
    )
    await engine.start(request)
    instance = await ended(engine, request)
    assert instance.oom_killed
    assert instance.exit_code == 137
    assert instance.address == ""


async def test_an_exit_code_is_kept_and_the_address_is_not(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.shell("exit 42")
    await engine.start(request)
    instance = await ended(engine, request)
    assert (instance.exit_code, instance.address, instance.oom_killed) == (42, "", False)
    assert instance.started_at_ms is not None
    assert set(instance.details) == {"container", "image"}  # no pid: it has ended


async def test_the_images_own_health_check_is_reported_unless_the_app_wants_none(
    engine: DockerEngine, requests: Requests, client: DockerClient
) -> None:
    tag = f"{requests.image}-checked"
    check = "HEALTHCHECK --interval=1s --retries=1 CMD test -e /healthy"
    await built(engine, tag, busybox_context(f"FROM {requests.image}\n{check}\n"))
    obeyed = requests.sleeper(image=tag)
    ignored = requests.sleeper(image=tag, health=HealthCheck(kind=CheckKind.NONE))
    try:
        await engine.start(obeyed)
        await engine.start(ignored)
        assert (await seen(engine, obeyed)).engine_health in ("starting", "unhealthy")
        await engine.run_check(obeyed.identity.id, ("touch", "/healthy"), timeout_s=10)

        async def healthy() -> bool:
            return (await seen(engine, obeyed)).engine_health == "healthy"

        await until(healthy, "the image's check passes")
        assert (await seen(engine, ignored)).engine_health == ""
        await engine.stop(obeyed.identity.id, signal="SIGKILL", grace_s=5)
        assert (await seen(engine, obeyed)).engine_health == ""
    finally:
        await engine.remove(obeyed.identity.id)
        await engine.remove(ignored.identity.id)
        await delete_image(client, tag)


async def test_a_container_from_an_image_that_inherited_the_labels_is_not_an_instance(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    labels = container_spec(request, Settings(home_id=home)).labels
    body = {"Image": requests.image, "Labels": labels, "Cmd": ["true"]}
    await client.call("POST", "containers/create", params={"name": f"copy-{home}"}, body=body)
    assert [instance.id for instance in await engine.list()] == [request.identity.id]


async def test_labels_that_cannot_be_read_stop_the_listing_and_name_the_container(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    request = requests.sleeper()
    spec = container_spec(request, Settings(home_id=home))
    body = {
        "Image": requests.image,
        "Cmd": ["true"],
        "Labels": {**spec.labels, "portway.identity": "{"},
    }
    await client.call("POST", "containers/create", params={"name": spec.name}, body=body)
    error = await refusal_of(engine.list())
    assert f"docker rm -f {spec.name}" in error.hint


async def test_a_listing_while_instances_come_and_go_is_never_wrong(
    engine: DockerEngine, requests: Requests
) -> None:
    stays = requests.sleeper()
    await engine.start(stays)

    async def come_and_go() -> None:
        for _ in range(4):
            passing = requests.shell("exit 0")
            await engine.start(passing)
            await engine.remove(passing.identity.id)

    async with asyncio.TaskGroup() as group:
        work = group.create_task(come_and_go())
        while not work.done():
            assert stays.identity.id in [instance.id for instance in await engine.list()]
    assert [instance.id for instance in await engine.list()] == [stays.identity.id]
