"""Real Docker, real HAProxy, real processes; each test has a portway of its own and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.machine import Machine, Shop, free_port

IMAGE = f"portway-e2e:httpd-{os.getpid()}"  # a run beside this one removes its own
DOCKERFILE = """FROM scratch
COPY busybox /bin/busybox
ENTRYPOINT ["/bin/busybox"]
CMD ["httpd", "-f", "-p", "80", "-h", "/"]
"""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A portway with Docker."""
    made = Machine(home=_short_home(), directory=tmp_path / "shop")
    yield made
    made.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Shop]:
    """A release that runs and serves, for all the tests of a file that must not touch it."""
    directory = tmp_path_factory.mktemp("bad") / "shop"
    made = Shop(Machine(home=_short_home(), directory=directory), image, free_port())
    try:
        made.write()
        made.machine.ok("deploy")
        yield made
    finally:
        made.machine.close()


@pytest.fixture
def untouched(shop: Shop) -> Iterator[Shop]:
    """The shop, which serves the same release with the same instances when the test is over."""
    before = shop.survey()
    shop.write()
    yield shop
    assert shop.survey() == before
    assert shop.body() == "good\n"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Machine]:
    """A portway with plain processes."""
    made = Machine(home=_short_home(), directory=tmp_path / "shop", engine="process")
    yield made
    made.close()


@pytest.fixture(scope="module")
def standing() -> Iterator[Standing]:
    """Portways that stand as long as the tests of a file last."""
    made = Standing()
    yield made
    made.close()


@pytest.fixture
def standing_machine(standing: Standing, tmp_path: Path) -> Iterator[Machine]:
    """A portway with Docker, of which the tests of a file have one: each leaves it without a stack."""
    with standing.lent("docker", tmp_path / "shop") as machine:
        yield machine


@pytest.fixture
def standing_processes(standing: Standing, tmp_path: Path) -> Iterator[Machine]:
    """The same with plain processes."""
    with standing.lent("process", tmp_path / "shop") as machine:
        yield machine


class Standing:
    """At most one portway for each engine, which starting anew for every test would take longer than the tests."""

    def __init__(self) -> None:
        self._machines: dict[str, Machine] = {}

    @contextmanager
    def lent(self, engine: str, directory: Path) -> Iterator[Machine]:
        """It, for one test; one that did not end well is not lent again."""
        known = self._machines.pop(engine, None)
        made = (
            replace(known, directory=directory)
            if known
            else Machine(home=_short_home(), directory=directory, engine=engine)
        )
        try:
            yield made
            made.clear()
        except BaseException:
            made.close()
            raise
        self._machines[engine] = made

    def close(self) -> None:
        for machine in self._machines.values():
            machine.close()


def _short_home() -> Path:
    # A unix socket's path may have 107 bytes; pytest's own directories are longer.
    return Path(tempfile.mkdtemp(prefix="pw"))


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of nothing but busybox, made here: there is no registry."""
    context = tmp_path_factory.mktemp("image")
    shutil.copy("/bin/busybox", context / "busybox")
    (context / "Dockerfile").write_text(DOCKERFILE)
    subprocess.run(
        ["docker", "build", "-q", "-t", IMAGE, str(context)], check=True, capture_output=True
    )
    yield IMAGE
    subprocess.run(["docker", "rmi", "-f", IMAGE], check=False, capture_output=True)
