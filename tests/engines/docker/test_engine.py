"""DockerEngine against the real daemon: starting, stopping, adopting, listing, limits and errors."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from portway.core.app import (
    ContainerOptions,
    Protocol,
    Resources,
    Volume,
    VolumeKind,
)
from portway.core.errors import EngineErrorKind
from portway.core.instance import EngineState
from portway.engines.docker.client import DockerClient
from portway.engines.docker.command import Settings, container_spec
from portway.engines.docker.engine import DockerEngine
from portway.engines.docker.group import instance_specs
from portway.engines.docker.names import container_name
from tests.engines.docker.support import (
    Requests,
    clear_home,
    docker_json,
    ended,
    http_get,
    lease_of,
    lines_of,
    printed,
    refusal_of,
    seen,
    until,
    with_leases,
)
from tests.engines.docker.wire import Wire

pytestmark = pytest.mark.docker

MIB = 1024 * 1024


@pytest.fixture
async def wire(tmp_path: Path) -> AsyncIterator[Wire]:
    made = Wire(tmp_path / "docker.sock")
    await made.listen()
    yield made
    await made.deafen()


async def test_an_instance_answers_on_its_lease_and_on_its_own_address(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests(ports=(80,))
    await engine.start(request)
    instance = await seen(engine, request)
    assert instance.reaches_container

    async def answers() -> bool:
        return b"hello" in await http_get(instance.address, 80)

    await until(answers, "the container answers")
    assert b"hello" in await http_get("127.0.0.1", request.identity.leases[0].host_port)


async def test_only_leases_are_published_and_only_on_the_loopback(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    request = requests(ports=(80,), expose=(9000,))
    await engine.start(request)
    inspected = await docker_json(
        client, f"containers/{container_name(home, request.identity.id)}/json"
    )
    published = {k: v for k, v in inspected["NetworkSettings"]["Ports"].items() if v}
    host_port = request.identity.leases[0].host_port
    assert published == {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(host_port)}]}
    own = socket.gethostbyname(socket.gethostname())
    if not own.startswith("127."):
        assert await http_get(own, host_port) == b""


async def test_a_udp_lease_is_published_as_udp(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    lease = lease_of(53, protocol=Protocol.UDP)
    request = with_leases(requests.sleeper(), lease)
    await engine.start(request)
    inspected = await docker_json(
        client, f"containers/{container_name(home, request.identity.id)}/json"
    )
    assert inspected["NetworkSettings"]["Ports"]["53/udp"] == [
        {"HostIp": "127.0.0.1", "HostPort": str(lease.host_port)}
    ]


async def test_two_leases_of_one_container_port_both_answer(
    engine: DockerEngine, requests: Requests
) -> None:
    first, second = lease_of(80), lease_of(80)
    await engine.start(with_leases(requests(), first, second))
    for lease in (first, second):

        async def answers(host_port: int = lease.host_port) -> bool:
            return b"hello" in await http_get("127.0.0.1", host_port)

        await until(answers, "both answer")


async def test_limits_reach_the_container(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    resources = Resources(
        memory_bytes=64 * MIB,
        memory_reservation_bytes=32 * MIB,
        cpus=0.5,
        cpu_shares=256,
        pids=33,
    )
    request = requests.sleeper(
        resources=resources,
        container=ContainerOptions(
            cap_add=("NET_ADMIN",),
            cap_drop=("MKNOD",),
            read_only=True,
            init=True,
            hostname="named",
            shm_size_bytes=MIB,
            ulimits={"nofile": (100, 200)},
            sysctls={"net.core.somaxconn": "99"},
            dns=("127.0.0.9",),
            security_opt=("no-new-privileges",),
            devices=("/dev/null:/dev/hole",),
            group_add=("1234",),
        ),
        user="1000:1000",
        working_dir="/www",
        extra_hosts=(("ten", "10.0.0.10"),),
        hosts=(("eleven", "10.0.0.11"),),
    )
    await engine.start(request)
    inspected = await docker_json(
        client, f"containers/{container_name(home, request.identity.id)}/json"
    )
    host = inspected["HostConfig"]
    assert (host["Memory"], host["MemoryReservation"]) == (64 * MIB, 32 * MIB)
    # What a command run in it has as its soft limit, runc and Go's run time cannot always agree on.
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 100, "Hard": 200}]
    assert (host["NanoCpus"], host["CpuShares"], host["PidsLimit"]) == (500_000_000, 256, 33)
    said = await engine.run_check(
        request.identity.id,
        (
            "CMD-SHELL",
            "pwd; id -u; id -G; hostname; ulimit -Hn; cat /proc/sys/net/core/somaxconn; "
            "ls /dev/hole; grep -c ten /etc/hosts; grep -c eleven /etc/hosts; "
            "touch /www/x 2>&1 | grep -o Read-only",
        ),
        timeout_s=20,
    )
    assert said.output.split("\n")[:-1] == [
        "/www", "1000", "1000 1234", "named", "200", "99", "/dev/hole", "1", "1", "Read-only",
    ]  # fmt: skip


async def test_the_environment_and_command_arrive_as_they_are(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests(
        command=("sh", "-c", 'echo "$ODD|$0|$1"', "zero", "a b"), environment={"ODD": "x='\" é$Y"}
    )
    await engine.start(request)
    await ended(engine, request)
    assert [line.text for line in await lines_of(engine, request)] == ["x='\" é$Y|zero|a b"]


async def test_another_engine_of_the_same_home_adopts_and_another_home_sees_nothing(
    engine: DockerEngine, requests: Requests, home: str
) -> None:
    request = requests.sleeper(ports=(80,))
    await engine.start(request)
    heir, stranger = DockerEngine(home), DockerEngine(f"{home}x")
    await heir.open()
    await stranger.open()
    try:
        assert (await seen(heir, request)).identity == request.identity
        assert await stranger.list() == ()
        await stranger.remove(request.identity.id)
        await heir.start(request)
        assert (await seen(engine, request)).state is EngineState.RUNNING
    finally:
        await heir.close()
        await stranger.close()


@pytest.mark.parametrize("lost", [b"/networks/create", b"/containers/create", b"/start "])
async def test_an_answer_lost_on_the_way_is_repaired_by_starting_again(
    wire: Wire, requests: Requests, home: str, lost: bytes
) -> None:
    engine = DockerEngine(home, docker_host=wire.docker_host)
    await engine.open()
    try:
        request = requests.sleeper(ports=(80,))
        wire.lose_answer_to(lost)
        error = await refusal_of(engine.start(request))
        assert error.kind == EngineErrorKind.UNAVAILABLE
        assert error.retryable
        await engine.start(request)
        assert (await seen(engine, request)).state is EngineState.RUNNING
    finally:
        await engine.close()


async def test_a_container_created_for_other_ports_and_never_started_is_made_anew(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    request = requests.sleeper(ports=(80,))
    await engine.start(requests.sleeper())  # makes the network
    spec = container_spec(request, Settings(home_id=home))
    await client.call("POST", "containers/create", params={"name": spec.name}, body=spec.body)
    moved = with_leases(request, lease_of(80))
    await engine.start(moved)
    instance = await seen(engine, moved)
    assert instance.state is EngineState.RUNNING
    assert instance.identity == moved.identity


async def test_the_same_instance_started_from_many_sides_at_once_runs_once(
    engine: DockerEngine, requests: Requests, home: str
) -> None:
    heir = DockerEngine(home)
    await heir.open()
    request = requests.shell("echo once; trap 'exit 0' TERM; sleep 1000 & wait", ports=(80,))
    async with asyncio.TaskGroup() as group:
        for starter in (engine, heir, engine, heir, engine):
            group.create_task(starter.start(request))
    await heir.close()
    await printed(engine, request, "once")
    assert [line.text for line in await lines_of(engine, request)] == ["once"]
    assert (await seen(engine, request)).state is EngineState.RUNNING


async def test_starts_of_many_instances_at_once_share_one_network(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    wanted = [requests.sleeper(name=f"app{n}") for n in range(6)]
    async with asyncio.TaskGroup() as group:
        for request in wanted:
            group.create_task(engine.start(request))
    assert {i.state for i in await engine.list()} == {EngineState.RUNNING}
    assert len(await engine.list()) == 6
    networks = [n["Name"] for n in await docker_json(client, "networks") if home in n["Name"]]
    assert networks == [f"portway-{home}-s{home}"]


async def test_a_port_of_a_foreign_listener_is_named_and_nothing_is_left(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests(ports=(80, 81))
    taken = request.identity.leases[1]
    with socket.socket() as stranger:
        stranger.bind((taken.address, taken.host_port))
        stranger.listen()
        error = await refusal_of(engine.start(request))
    assert error.kind == EngineErrorKind.PORT_TAKEN
    assert f"127.0.0.1:{taken.host_port}" in error.message
    assert '"p81"' in error.message
    assert await engine.list() == ()
    await engine.start(request)
    assert (await seen(engine, request)).state is EngineState.RUNNING


async def test_a_port_of_another_container_is_taken_too(
    engine: DockerEngine, requests: Requests
) -> None:
    first = requests(ports=(80,))
    await engine.start(first)
    second = with_leases(requests(), *first.identity.leases)
    error = await refusal_of(engine.start(second))
    assert error.kind == EngineErrorKind.PORT_TAKEN
    assert str(first.identity.leases[0].host_port) in error.message
    assert [i.id for i in await engine.list()] == [first.identity.id]


async def test_a_missing_image_a_bad_command_and_a_missing_host_path_are_plain_sentences(
    engine: DockerEngine, requests: Requests, tmp_path: Path
) -> None:
    absent = await refusal_of(engine.start(requests(image="portway-test-absent:1")))
    assert absent.kind == EngineErrorKind.IMAGE_MISSING
    assert "portway-test-absent:1 is not on this machine" in absent.message
    unnamed = await refusal_of(engine.start(requests(image=None)))
    assert unnamed.kind == EngineErrorKind.IMAGE_MISSING
    nope = await refusal_of(engine.start(requests(command=("nope", "x"))))
    assert nope.kind == EngineErrorKind.BAD_COMMAND
    assert '"nope" does not exist in the image' in nope.message
    page = await refusal_of(engine.start(requests(command=("/www",))))
    assert page.kind == EngineErrorKind.BAD_COMMAND
    missing = Volume(kind=VolumeKind.BIND, source="gone", target="/d")
    bind = await refusal_of(
        engine.start(requests.sleeper(volumes=(missing,), directory=str(tmp_path)))
    )
    assert f"the host path {tmp_path}/gone does not exist" in bind.message
    assert not (tmp_path / "gone").exists()
    assert await engine.list() == ()


async def test_volumes_of_every_kind_are_mounted_and_only_named_ones_stay(
    engine: DockerEngine, requests: Requests, client: DockerClient, tmp_path: Path, home: str
) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "greeting").write_text("hello")
    request = requests.shell(
        "cat /conf/greeting; touch /conf/x 2>/dev/null || echo denied; "
        "touch /data/kept /anonymous/gone /scratch/gone; "
        "grep -c ' /scratch tmpfs' /proc/mounts",
        volumes=(
            Volume(kind=VolumeKind.BIND, source="./conf", target="/conf", read_only=True),
            Volume(kind=VolumeKind.NAMED, source="data", target="/data"),
            Volume(kind=VolumeKind.NAMED, source="", target="/anonymous"),
            Volume(kind=VolumeKind.TMPFS, source="", target="/scratch"),
        ),
        directory=str(tmp_path),
    )
    before = {v["Name"] for v in (await docker_json(client, "volumes"))["Volumes"] or []}
    await engine.start(request)
    await ended(engine, request)
    lines = [line.text for line in await lines_of(engine, request)]
    assert lines == ["hellodenied", "1"]
    await engine.remove(request.identity.id)
    await engine.remove_stack(f"s{home}")
    after = {v["Name"] for v in (await docker_json(client, "volumes"))["Volumes"] or []}
    assert after - before == {f"s{home}_data"}


async def test_stop_gives_the_signal_it_was_told_and_the_time_it_was_told(
    engine: DockerEngine, requests: Requests
) -> None:
    polite = requests.shell("trap 'exit 7' USR1; echo ready; while :; do sleep 0.1; done")
    deaf = requests.shell("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    for request in (polite, deaf):
        await engine.start(request)
        await printed(engine, request, "ready")
    await engine.stop(polite.identity.id, signal="SIGUSR1", grace_s=20)
    assert (await seen(engine, polite)).exit_code == 7
    await engine.stop(deaf.identity.id, signal="SIGTERM", grace_s=0.2)
    assert (await seen(engine, deaf)).exit_code == 137


async def test_a_paused_instance_can_be_stopped(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    name = container_name(home, request.identity.id)
    await client.call("POST", f"containers/{name}/pause")
    assert (await seen(engine, request)).state is EngineState.RUNNING
    await engine.stop(request.identity.id, signal="SIGTERM", grace_s=20)
    assert (await seen(engine, request)).state is EngineState.EXITED


async def test_a_signal_that_does_not_exist_is_refused_with_its_name(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    error = await refusal_of(engine.stop(request.identity.id, signal="SIGNOPE", grace_s=1))
    assert "SIGNOPE" in error.message
    assert (await seen(engine, request)).state is EngineState.RUNNING


async def test_removing_twice_at_once_is_removing_once(
    engine: DockerEngine, requests: Requests
) -> None:
    request = requests.sleeper()
    await engine.start(request)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(engine.remove(request.identity.id))
    assert await engine.list() == ()


async def test_no_daemon_is_unavailable_with_what_to_do(tmp_path: Path) -> None:
    engine = DockerEngine("nobody", docker_host=f"unix://{tmp_path}/gone.sock")
    error = await refusal_of(engine.open())
    assert error.kind == EngineErrorKind.UNAVAILABLE
    assert f"there is no socket {tmp_path}/gone.sock" in error.message
    assert "systemctl start docker" in error.hint
    assert (await refusal_of(engine.list())).kind == EngineErrorKind.UNAVAILABLE
    await engine.close()


async def test_a_daemon_that_goes_away_fails_the_listing_and_is_found_again(
    wire: Wire, requests: Requests, home: str
) -> None:
    engine = DockerEngine(home, docker_host=wire.docker_host)
    await engine.open()
    try:
        request = requests.sleeper()
        await engine.start(request)
        await wire.deafen()
        assert (await refusal_of(engine.list())).kind == EngineErrorKind.UNAVAILABLE
        await wire.listen()
        assert (await seen(engine, request)).state is EngineState.RUNNING
    finally:
        await engine.close()


async def test_named_volumes_of_a_stack_outlive_it_until_the_home_is_cleared(
    engine: DockerEngine, requests: Requests, client: DockerClient, home: str
) -> None:
    kept = Volume(kind=VolumeKind.NAMED, source="kept", target="/data")
    first = requests.shell("echo once > /data/file", volumes=(kept,))
    await engine.start(first)
    await ended(engine, first)
    await engine.remove(first.identity.id)
    second = requests.shell("cat /data/file", volumes=(kept,))
    await engine.start(second)
    await ended(engine, second)
    assert [line.text for line in await lines_of(engine, second)] == ["once"]
    await clear_home(home)
    volumes = (await docker_json(client, "volumes"))["Volumes"] or []
    assert f"s{home}_kept" not in [volume["Name"] for volume in volumes]


async def test_traits_and_node(engine: DockerEngine) -> None:
    traits = engine.traits
    assert (traits.name, traits.runs_images, traits.runs_commands) == ("docker", True, False)
    assert (traits.resolves_names, traits.reaches_containers, traits.uses_host_kernel) == (
        True,
        True,
        True,
    )
    (node,) = await engine.nodes()
    assert (node.name, node.address, node.available) == ("local", "127.0.0.1", True)


async def test_a_start_that_is_refused_keeps_what_already_runs(
    engine: DockerEngine, requests: Requests
) -> None:
    good = requests.sleeper()
    await engine.start(good)
    bad = requests(command=("nope",))
    await refusal_of(engine.start(bad))
    assert [i.id for i in await engine.list()] == [good.identity.id]


async def test_no_more_than_four_starts_are_asked_of_the_daemon_at_once(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DockerEngine("nobody")
    running, most = 0, 0

    async def counted(*_: object, **__: object) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    monkeypatch.setattr(engine, "_start", counted)
    await asyncio.gather(*(engine.start(requests()) for _ in range(20)))
    assert most == 4


async def test_a_listing_does_not_wait_for_what_is_just_being_started(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, request = DockerEngine("nobody"), requests()
    (spec,) = instance_specs(request, engine._settings)
    row = {"Id": "1", "Names": [f"/{spec.name}"], "State": "created", "Labels": spec.body["Labels"]}
    begun, started, calls = asyncio.Event(), asyncio.Event(), list[str]()

    async def call(method: str, path: str, **_: object) -> bytes:
        calls.append(path)
        if path.endswith("/start"):
            begun.set()
            await started.wait()
        return msgspec.json.encode([row] if path == "containers/json" else {"Id": "1", "Name": "n"})

    monkeypatch.setattr(engine._client, "call", call)
    async with asyncio.TaskGroup() as group:
        group.create_task(engine.start(request))
        await begun.wait()
        calls.clear()
        assert await engine.list() == ()
        assert calls == ["containers/json"]
        started.set()
    assert engine._begun == set()
