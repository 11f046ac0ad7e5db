"""What the tests against a real Docker daemon share: an image made of busybox, requests, and clearing up. No tests."""

from __future__ import annotations

import asyncio
import io
import socket
import tarfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import Any, TypeVar

import msgspec

from portway.core.app import App, Build, PortSpec
from portway.core.errors import EngineError
from portway.core.instance import EngineState, InstanceIdentity, ObservedInstance, instance_id
from portway.core.ports import LOOPBACK, Lease, Protocol
from portway.core.state import Revision
from portway.engines.base import InstanceEngine, LogLine, Progress, StartRequest
from portway.engines.docker.client import DockerClient
from portway.engines.docker.engine import DockerEngine
from portway.engines.docker.errors import DockerRefusal

DEADLINE_S = 30.0
RELEASE = "RTESTTESTTE"

DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
COPY www /www
COPY printenv /bin/printenv
EXPOSE 80 8080/tcp 53/udp
CMD ["httpd", "-f", "-p", "80", "-h", "/www"]
"""

_T = TypeVar("_T")


def in_own_loop(work: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a coroutine to its end beside the test's event loop (for fixtures that outlive it)."""
    results: list[_T] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(work())))
    thread.start()
    thread.join()
    assert results, "it failed; see the traceback above"
    return results[0]


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """A tar archive with those files, all of them executable."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


async def in_pieces(data: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    """The bytes as a stream."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def busybox_context(dockerfile: str = DOCKERFILE, **more: bytes) -> bytes:
    """A build context around the machine's static busybox."""
    busybox = Path("/bin/busybox").read_bytes()
    files = {
        "Dockerfile": dockerfile.encode(),
        "busybox": busybox,
        "www/index.html": b"hello from portway\n",
        "printenv": b"""#!/bin/sh\neval "printf '%s\\\\n' \\"\\$$1\\""\n""",  # Debian's busybox has none
    }
    return tar_of(files | {name.replace("_", "."): content for name, content in more.items()})


async def built(
    engine: InstanceEngine, tag: str, context: bytes, build: Build | None = None
) -> list[Progress]:
    """Every progress line of a build."""
    wanted = build or Build(context="/nowhere")
    return [step async for step in engine.build(wanted, tag=tag, context=in_pieces(context))]


def make_image() -> str:
    """A small image with a web server and every busybox applet; the caller removes it."""
    tag = f"portway-test-httpd:{token_hex(4)}"

    async def work() -> str:
        engine = DockerEngine("image")
        await engine.open()
        await built(engine, tag, busybox_context())
        await engine.close()
        return tag

    return in_own_loop(work)


@cache
def shared_image() -> str:
    """The image of this test run, made when first asked for."""
    return make_image()


def remove_shared_image() -> None:
    """Remove the image of this test run if there is one."""
    if shared_image.cache_info().currsize:
        remove_image(shared_image())
        shared_image.cache_clear()


def remove_image(tag: str) -> None:
    """Remove an image that a test made."""

    async def work() -> None:
        await with_client(lambda client: delete_image(client, tag))

    in_own_loop(work)


async def with_client(work: Callable[[DockerClient], Awaitable[_T]]) -> _T:
    """Do something with a connection of its own, past the engine under test."""
    client = DockerClient("")
    await client.open()
    try:
        return await work(client)
    finally:
        await client.close()


async def delete_image(client: DockerClient, tag: str) -> None:
    """Remove an image; nothing when it is not there."""
    await quietly(client, "DELETE", f"images/{tag}", {"force": "1"})


async def quietly(client: DockerClient, method: str, path: str, params: dict[str, str]) -> None:
    """A call whose refusal does not matter."""
    try:
        await client.call(method, path, params=params, timeout_s=60)
    except DockerRefusal:
        return


async def docker_json(client: DockerClient, path: str, **params: str) -> Any:
    """GET something as plain JSON."""
    return msgspec.json.decode(await client.call("GET", path, params=params))


async def clear_home(home_id: str) -> None:
    """Remove every container, network and volume that carries this home's label."""

    async def work(client: DockerClient) -> None:
        label = msgspec.json.encode({"label": [f"portway.home={home_id}"]}).decode()
        for row in await docker_json(client, "containers/json", all="1", filters=label):
            await quietly(client, "DELETE", f"containers/{row['Id']}", {"force": "1", "v": "1"})
        for row in await docker_json(client, "networks", filters=label):
            await quietly(client, "DELETE", f"networks/{row['Id']}", {})
        for row in (await docker_json(client, "volumes", filters=label))["Volumes"] or []:
            await quietly(client, "DELETE", f"volumes/{row['Name']}", {"force": "1"})

    await with_client(work)


def free_host_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port nobody listens on."""
    with socket.socket(type=kind) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Requests:
    """Makes StartRequests of one stack, each with a serial of its own."""

    def __init__(self, image: str, stack: str) -> None:
        self.image = image
        self.stack = stack
        self.serial = 0

    def __call__(
        self,
        *,
        name: str = "web",
        ports: tuple[int, ...] = (),
        command: tuple[str, ...] | None = None,
        environment: Mapping[str, str] | None = None,
        aliases: tuple[str, ...] = (),
        directory: str = "",
        hosts: tuple[tuple[str, str], ...] = (),
        port_specs: tuple[PortSpec, ...] = (),
        **app: Any,
    ) -> StartRequest:
        """One instance of an App with these leases (container ports) and fields."""
        self.serial += 1
        fields = {"image": self.image, "ports": port_specs} | app
        spec = App(id=f"{self.stack}/{name}", **fields)
        identity = InstanceIdentity(
            id=instance_id(spec.id, slot=1, serial=self.serial),
            app_id=spec.id,
            slot=1,
            serial=self.serial,
            revision=RELEASE,
            release=RELEASE,
            node="local",
            leases=tuple(lease_of(number) for number in ports),
        )
        return StartRequest(
            identity=identity,
            revision=Revision(id=RELEASE, release=RELEASE, app=spec),
            environment=environment or {},
            command=command,
            command_text=None,
            aliases=aliases or (name,),
            directory=directory,
            hosts=hosts,
        )

    def shell(self, script: str, **more: Any) -> StartRequest:
        """One instance that runs a line of shell."""
        return self(command=("sh", "-c", script), **more)

    def sleeper(self, **more: Any) -> StartRequest:
        """One instance that runs until it is signalled."""
        return self.shell("trap 'exit 0' TERM INT; sleep 1000 & wait", **more)


def lease_of(container_port: int, *, protocol: Protocol = Protocol.TCP) -> Lease:
    """A lease on a free host port."""
    kind = socket.SOCK_DGRAM if protocol is Protocol.UDP else socket.SOCK_STREAM
    return Lease(
        port_name=f"p{container_port}",
        node="local",
        protocol=protocol,
        host_port=free_host_port(kind),
        container_port=container_port,
    )


def with_leases(request: StartRequest, *leases: Lease) -> StartRequest:
    """The same instance with other ports."""
    return replace(request, identity=replace(request.identity, leases=leases))


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Poll until `holds`; fail with `what` after the deadline."""
    ends = time.monotonic() + DEADLINE_S
    while not await holds():
        assert time.monotonic() < ends, f"never came true: {what}"
        await asyncio.sleep(0.02)


async def seen(engine: InstanceEngine, request: StartRequest) -> ObservedInstance:
    """The instance as the engine lists it."""
    found = [instance for instance in await engine.list() if instance.id == request.identity.id]
    assert len(found) == 1, f"{request.identity.id} is listed {len(found)} times"
    return found[0]


async def ended(engine: InstanceEngine, request: StartRequest) -> ObservedInstance:
    """The instance once it has ended."""

    async def has_ended() -> bool:
        return (await seen(engine, request)).state is EngineState.EXITED

    await until(has_ended, f"{request.identity.id} ends")
    return await seen(engine, request)


async def lines_of(engine: InstanceEngine, request: StartRequest, **how: Any) -> list[LogLine]:
    """Every line `logs` gives until it ends."""
    return [line async for line in engine.logs(request.identity.id, **how)]


async def printed(engine: InstanceEngine, request: StartRequest, text: str) -> None:
    """Return once the instance has printed that line."""

    async def has_printed() -> bool:
        return text in [line.text for line in await lines_of(engine, request)]

    await until(has_printed, f"{request.identity.id} prints {text!r}")


async def http_get(address: str, port_number: int) -> bytes:
    """The whole answer to GET /; b"" when nobody answers."""
    try:
        reader, writer = await asyncio.open_connection(address, port_number)
    except OSError:
        return b""
    try:
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        return await reader.read()
    except OSError:
        return b""
    finally:
        writer.close()


async def refusal_of(work: Awaitable[object]) -> EngineError:
    """The EngineError that it must end with."""
    try:
        await work
    except EngineError as error:
        return error
    raise AssertionError("nothing was refused")
