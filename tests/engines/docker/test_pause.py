"""The program that only holds a network: what is in it, and that it really sleeps."""

from __future__ import annotations

import platform
import struct
import subprocess
from pathlib import Path

import pytest

from portway.core.errors import EngineError
from portway.engines.docker.api import Info
from portway.engines.docker.client import DockerClient
from portway.engines.docker.pause import make_pause_image, program


@pytest.mark.parametrize(("architecture", "machine"), [("x86_64", 62), ("aarch64", 183)])
def test_it_is_an_elf_program_of_that_machine_that_begins_behind_its_headers(
    architecture: str, machine: int
) -> None:
    code = program(architecture)
    assert code is not None
    kind, found, _, entry = struct.unpack_from("<HHIQ", code, 16)
    assert (code[:4], kind, found) == (b"\x7fELF", 2, machine)
    offset, address = struct.unpack_from("<QQ", code, 64 + 8)
    size = struct.unpack_from("<Q", code, 64 + 32)[0]
    assert (offset, entry - address, size) == (0, 64 + 56, len(code))


def test_it_sleeps_until_it_is_killed(tmp_path: Path) -> None:
    code = program(platform.machine())
    if code is None:
        pytest.skip("it is not written for this machine")
    path = tmp_path / "pause"
    path.write_bytes(code)
    path.chmod(0o755)
    with subprocess.Popen([path]) as sleeper:
        sleeper.terminate()
        assert sleeper.wait() == -15  # it did not end, or crash, by itself


async def test_a_machine_it_is_not_written_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def info(_: DockerClient) -> Info:
        return Info(architecture="s390x")

    monkeypatch.setattr(DockerClient, "info", info)
    with pytest.raises(
        EngineError, match="cannot share one address on a machine of the kind s390x"
    ):
        await make_pause_image(DockerClient(""))
