"""The image of the container that only holds a network: one program of 144 bytes or so, made here, fetched from nowhere."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import AsyncIterator

from portway.core.errors import EngineError, EngineErrorKind
from portway.engines.docker.client import SLOW_S, DockerClient
from portway.engines.docker.errors import DockerRefusal

PAUSE_IMAGE = "portway-pause:1"
_PROGRAM = "pause"

# for (;;) pause();
_X86_64 = bytes.fromhex("b8220000000f05ebf7")
# for (;;) ppoll(NULL, 0, NULL, NULL, 0); this machine has no pause()
_AARCH64 = struct.pack(
    "<8I",
    *(0xD2800000 | register for register in range(5)),  # x0 to x4 = 0
    0xD2800928,  # x8 = 73
    0xD4000001,  # svc 0
    0x17FFFFF9,  # and again
)
_MACHINES = {"x86_64": (62, _X86_64), "aarch64": (183, _AARCH64)}
_ADDRESS = 0x400000
_HEADERS_BYTES = 64 + 56


def program(architecture: str) -> bytes | None:
    """A static ELF program that sleeps until it is killed; None for a machine nobody wrote it for."""
    if architecture not in _MACHINES:
        return None
    machine, code = _MACHINES[architecture]
    size = _HEADERS_BYTES + len(code)
    entry = _ADDRESS + _HEADERS_BYTES
    header = struct.pack(
        "<4s5B7xHHIQQQIHHHHHH",
        b"\x7fELF", 2, 1, 1, 0, 0, 2, machine, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0,
    )  # fmt: skip
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, 0x1000)
    return header + segment + code


async def make_pause_image(client: DockerClient) -> None:
    """Give the daemon the image; EngineError where its machine is one the program was not written for."""
    architecture = (await client.info()).architecture
    code = program(architecture)
    if code is None:
        raise EngineError(
            f"Several containers cannot share one address on a machine of the kind {architecture}.",
            hint="Use the network mode bridge or host, or one container for each service.",
            kind=EngineErrorKind.BAD_COMMAND,
            retryable=False,
        )
    name, _, tag = PAUSE_IMAGE.partition(":")
    params = {
        "fromSrc": "-",
        "repo": name,
        "tag": tag,
        "changes": f'CMD ["/{_PROGRAM}"]',
    }
    async with client.stream("POST", "images/create", params=params, data=_archive(code)) as bits:
        async for _ in bits:
            pass
    try:
        await client.call("GET", f"images/{PAUSE_IMAGE}/json", timeout_s=SLOW_S)
    except DockerRefusal as refusal:
        raise EngineError(
            f"The image {PAUSE_IMAGE} could not be made.",
            hint="`journalctl -u docker -n 50` shows what the daemon did; a full disk is the usual reason.",
        ) from refusal


async def _archive(code: bytes) -> AsyncIterator[bytes]:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        entry = tarfile.TarInfo(_PROGRAM)
        entry.size, entry.mode = len(code), 0o755
        tar.addfile(entry, io.BytesIO(code))
    yield written.getvalue()
