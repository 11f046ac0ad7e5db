"""Claims of several portways on one host, by both ways of keeping them."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portway.controller.ports.claims import (
    FileClaims,
    PortClaims,
    SocketClaims,
    allow_open_files,
    claims_for_this_system,
)
from portway.core.app import Protocol
from portway.core.errors import WorldError

TCP, UDP = Protocol.TCP, Protocol.UDP
NAMESPACE = f"portway-test-claims-{os.getpid()}"

MakeClaims = Callable[[], PortClaims]


@pytest.fixture(params=["sockets", "files"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeClaims]:
    """Makes portways of one host, all closed in the end."""
    if request.param == "sockets" and sys.platform != "linux":
        pytest.skip("abstract sockets are Linux's own")
    made: list[PortClaims] = []

    def make_one() -> PortClaims:
        claims = SocketClaims(NAMESPACE) if request.param == "sockets" else FileClaims(tmp_path / "p")  # fmt: skip
        made.append(claims)
        return claims

    yield make_one
    for claims in made:
        claims.close()


def test_one_of_two_portways_gets_a_port(make: MakeClaims) -> None:
    one, other = make(), make()
    assert one.claim(TCP, 31000)
    assert not other.claim(TCP, 31000)


def test_claiming_twice_is_claiming_once(make: MakeClaims) -> None:
    one, other = make(), make()
    assert one.claim(TCP, 31000)
    assert one.claim(TCP, 31000)
    one.release_claim(TCP, 31000)
    assert other.claim(TCP, 31000)


def test_tcp_and_udp_are_claimed_apart(make: MakeClaims) -> None:
    one, other = make(), make()
    assert one.claim(TCP, 31000)
    assert other.claim(UDP, 31000)


def test_releasing_what_is_not_claimed_takes_nothing_from_its_holder(make: MakeClaims) -> None:
    one, other = make(), make()
    assert one.claim(TCP, 31000)
    other.release_claim(TCP, 31000)
    assert not other.claim(TCP, 31000)


def test_closing_releases_every_claim(make: MakeClaims) -> None:
    one, other = make(), make()
    assert one.claim(TCP, 31000)
    assert one.claim(UDP, 31001)
    one.close()
    assert other.claim(TCP, 31000)
    assert other.claim(UDP, 31001)


def test_only_the_claims_of_others_are_foreign(make: MakeClaims) -> None:
    one, other = make(), make()
    assert one.claim(TCP, 31000)
    assert other.claim(UDP, 31001)
    assert set(one.foreign()) == {(UDP, 31001)}
    assert set(other.foreign()) == {(TCP, 31000)}
    other.close()
    assert set(one.foreign()) == set()


def test_a_claim_dies_with_its_process(make: MakeClaims) -> None:
    claims = make()
    how = f"SocketClaims({NAMESPACE!r})"
    if isinstance(claims, FileClaims):
        how = f"FileClaims(pathlib.Path({str(claims.directory)!r}))"
    code = (
        "import os, pathlib, signal\n"
        "from portway.controller.ports.claims import FileClaims, SocketClaims\n"
        f"claims = {how}\n"
        "assert claims.claim('tcp', 31000)\n"
        f"assert not {how}.claim('tcp', 31000)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, timeout=30, capture_output=True
    )
    assert done.returncode == -9, done.stderr.decode()
    assert claims.claim(TCP, 31000)


def test_a_child_process_does_not_inherit_a_claim(make: MakeClaims) -> None:
    one, other = make(), make()
    assert one.claim(TCP, 31000)
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        close_fds=False,
    )
    try:
        assert child.stdout
        assert child.stdout.readline()
        one.release_claim(TCP, 31000)
        assert other.claim(TCP, 31000)
    finally:
        child.communicate(timeout=10)


def test_a_directory_that_cannot_be_made_is_said_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorldError, match="claims on ports cannot be kept in") as caught:
        FileClaims(tmp_path / "file" / "ports").claim(TCP, 31000)
    assert "TMPDIR" in caught.value.hint


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "tcp-31000").symlink_to(tmp_path / "target")
    with pytest.raises(WorldError):
        FileClaims(tmp_path).claim(TCP, 31000)
    assert not (tmp_path / "target").exists()


def test_files_that_are_no_claims_are_passed_over(tmp_path: Path) -> None:
    for name in ("README", "tcp-0", "tcp-123456", "sctp-31000", "tcp-31000"):
        (tmp_path / name).touch()
    assert FileClaims(tmp_path).foreign() == {}


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's own")
def test_this_system_keeps_claims_as_abstract_sockets() -> None:
    assert isinstance(claims_for_this_system(NAMESPACE), SocketClaims)


def limits_after(claims: int) -> tuple[int, int, int]:
    """(soft before, soft after, hard) of a fresh process that is about to have so many claims."""
    code = (
        "import resource; from portway.controller.ports.claims import allow_open_files\n"
        "hard = min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))\n"
        f"allow_open_files({claims})\n"
        "print(512, *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=30, capture_output=True)
    before, after, hard = (int(word) for word in done.stdout.split())
    return before, after, hard


def test_the_limit_on_open_files_is_raised_only_when_claims_come_near_it() -> None:
    before, after, _ = limits_after(claims=100)
    assert after == before
    _, after, hard = limits_after(claims=400)
    assert after == hard


def test_more_claims_than_files_is_said_with_the_way_out() -> None:
    code = (
        "import resource; from portway.controller.ports.claims import SocketClaims\n"
        "from portway.core.errors import WorldError\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        f"claims = SocketClaims('{NAMESPACE}-many')\n"
        "try:\n"
        "    [claims.claim('tcp', number) for number in range(31000, 31200)]\n"
        "except WorldError as error:\n"
        "    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=30, capture_output=True)
    assert b"no more files can be opened, with " in done.stdout
    assert b"ulimit -n" in done.stdout


def test_asking_for_few_files_changes_nothing() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    allow_open_files(1)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
