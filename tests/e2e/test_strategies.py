"""Canary and blue-green on containers under load: taken back half-way, then gone through with, no request dropped."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.machine import ROOT, Machine, free_port, get, until

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(240)]

WEB = """
services:
  web:
    image: {image}
    command: ["sh", "-c", "mkdir -p /www; echo {text} > /www/index.html; exec /bin/busybox httpd -f -p 80 -h /www"]
    stop_signal: SIGKILL
    ports:
      - {listener}:80
    deploy:
      replicas: {count}
"""


COUNT = 2


class Shop:
    """One web app of one portway, deployed in several ways."""

    def __init__(self, machine: Machine, image: str) -> None:
        self.machine = machine
        self.image = image
        self.listener = free_port()
        self.url = f"http://127.0.0.1:{self.listener}/"

    def deploy(self, text: str, *words: str) -> str:
        self.machine.manifest(
            WEB.format(image=self.image, listener=self.listener, text=text, count=COUNT)
        )
        return self.machine.ok("deploy", *words)

    def holds(self) -> None:
        def stage() -> str:
            (stack,) = self.machine.ask("/stacks")
            return str(stack["apps"][0]["deployment"]["stage"])

        until(lambda: stage() == "holding", why="the step holds")

    def bodies(self) -> set[str]:
        return {get(self.url) for _ in range(4 * COUNT)}

    def instances(self) -> set[str]:
        return {one["id"] for one in self.machine.json("ps")}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Shop]:
    """The app runs already; what a test leaves running is where the next one begins."""
    directory = tmp_path_factory.mktemp("strategies") / "shop"
    made = Shop(Machine(home=Path(tempfile.mkdtemp(prefix="pw")), directory=directory), image)
    try:
        made.deploy("v0")
        yield made
    finally:
        made.machine.close()


def test_a_canary_is_aborted_then_carried_through_and_no_request_fails(shop: Shop) -> None:
    (before,) = shop.bodies()
    with Prober(shop.url) as prober:
        shop.deploy("c1", "--canary", "50%", "--hold", "--no-wait")
        shop.holds()
        assert shop.bodies() == {before, "c1\n"}
        assert "web: canary 1/2 serving, holding until `portway resume`" in shop.machine.ok("ps")
        shop.machine.ok("abort")
        assert shop.bodies() == {before}
        said = shop.deploy("c2", "--canary", "50%", "--bake", "0.5", "--until-gone")
        assert "canary 1/2 serving, baking " in said
        assert shop.bodies() == {"c2\n"}
    assert prober.result.failures == []
    assert len(prober.result.bodies) == 3


def test_a_blue_green_is_aborted_after_the_switch_then_carried_through_and_no_request_fails(
    shop: Shop,
) -> None:
    (before,), blue = shop.bodies(), shop.instances()
    with Prober(shop.url) as prober:
        shop.deploy("b1", "--strategy", "blue-green", "--hold", "--no-wait")
        shop.holds()
        assert shop.bodies() == {"b1\n"}
        shop.machine.ok("abort")
        assert shop.bodies() == {before}
        assert shop.instances() == blue
        shop.deploy("b2", "--strategy", "blue-green", "--bake", "0")
        assert shop.bodies() == {"b2\n"}
    assert prober.result.failures == []
    assert len(prober.result.bodies) == 3
