"""Releases that cannot run: each ends by itself, says why, and no request through the listener notices."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.machine import ROOT, SERVES, Shop, get, until

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(120)]

FAILED = 1
# As short as a check can be made to give up, so that a test takes seconds.
IMPATIENT = "labels: {portway.health.interval: '1'}\nhealthcheck: {interval: 1s, start_period: 2s, retries: 1}"


@pytest.fixture
def probed(untouched: Shop) -> Iterator[Shop]:
    """The shop under requests, of which not one may fail."""
    with Prober(untouched.url, rate_per_s=50) as prober:
        yield untouched
    assert prober.result.failures == []
    assert set(prober.result.bodies) == {b"good\n"}


def test_a_container_that_exits_at_once_is_tried_three_times_and_its_last_lines_are_shown(
    probed: Shop,
):
    said = probed.deploy(
        code=FAILED, shell="echo connecting; echo no database at db:5432 >&2; exit 7"
    )
    assert "ERROR: web could not be deployed: release R" in said
    _, _, why = said.partition("ERROR: web could not be deployed")
    assert "3 instances failed; the last one: it exited with code 7" in why
    assert "connecting" in why
    assert "no database at db:5432" in why
    assert "Still running:\n  web  release " in why
    assert len(_failed_instances(probed)) == 3


def test_a_container_that_ends_well_but_at_once_is_told_that_it_should_stay(probed: Shop):
    said = probed.deploy(code=FAILED, shell="exit 0")
    assert "it exited with code 0, but it is meant to keep running" in said
    assert "`restart: on-failure`" in said


def test_a_command_the_image_does_not_have_fails_at_the_first_try(probed: Shop):
    probed.machine.manifest(
        probed.text().replace('["sh",', '["/bin/nosuch",').replace("command:", "entrypoint:")
    )
    said = probed.machine.refused("deploy", code=FAILED)
    assert 'the command "/bin/nosuch" does not exist in the image' in said
    assert "Check `command` and `entrypoint`" in said
    assert len(_failed_instances(probed)) == 1


def test_a_container_that_listens_on_another_port_is_told_which(probed: Shop):
    said = probed.deploy(
        code=FAILED,
        shell="mkdir /www; echo ready; exec httpd -f -p 0.0.0.0:9090 -h /www",
        more=IMPATIENT,
    )
    _, _, why = said.partition("ERROR: web could not be deployed")
    assert "it did not become healthy within" in why
    assert ":80 (connection refused)" in why, "which port was checked"
    assert "web listens on 0.0.0.0:9090 inside its container" in why
    assert "make it listen on 0.0.0.0:80, or map 9090" in why
    assert "ready" in why, "its last log lines"


def test_a_container_that_listens_only_on_its_loopback_is_told_so(probed: Shop):
    said = probed.deploy(
        code=FAILED,
        shell="mkdir /www; exec httpd -f -p 127.0.0.1:80 -h /www",
        more=IMPATIENT,
    )
    assert "web listens on 127.0.0.1:80 inside its container" in said
    assert "make it listen on 0.0.0.0:80" in said


def test_an_answer_that_is_no_success_is_shown(probed: Shop):
    said = probed.deploy(
        code=FAILED,
        shell=SERVES.format(text="bad"),
        more="labels: {portway.health.path: /nowhere, portway.health.interval: '1'}\n"
        "healthcheck: {start_period: 1s, retries: 1}",
    )
    assert "HTTP 404 from /nowhere" in said


def test_a_health_command_that_is_wrong_never_reaches_what_serves(probed: Shop):
    """The same app with another check: a new instance meets it, not the one that serves."""
    said = probed.deploy(
        code=FAILED,
        more="healthcheck: {test: [CMD, nosuch], interval: 1s, start_period: 1s, retries: 1}",
    )
    assert 'the command "nosuch" does not exist in the image' in said


def test_a_release_of_which_one_app_fails_is_taken_back_whole(shop: Shop):
    before = shop.survey()["release"]
    with Prober(shop.url, rate_per_s=50) as prober:
        shop.machine.manifest(
            shop.text(shell=SERVES.format(text="good"), more="environment: {NEW: '1'}")
            + f"  api:\n    image: {shop.image}\n    command: [sh, -c, exit 3]\n"
            "    ports: ['80']\n"  # what has none is healthy while it is seen to run
        )
        said = shop.machine.refused("deploy", code=FAILED)
        until(lambda: {i["app"] for i in shop.machine.ask("/instances")} == {"web"})
        until(lambda: {i["release"] for i in shop.machine.ask("/instances")} == {before})
    assert "api could not be deployed" in said
    assert "it exited with code 3" in said
    assert prober.result.failures == []
    assert shop.survey()["release"] == before


def test_an_instance_that_dies_after_the_deploy_is_replaced_and_its_end_is_kept(shop: Shop):
    """Healthy at first, dead later: traffic moves to the other at once."""
    shop.write(more="deploy: {replicas: 2}")
    shop.machine.ok("deploy")
    victim = shop.machine.json("ps")[0]
    subprocess.run(
        ["docker", "kill", victim["details"]["container"]], check=True, capture_output=True
    )
    until(lambda: get(shop.url) == "good\n" and victim["id"] not in shop.survey()["serving"])
    until(lambda: len(shop.survey()["serving"]) == 2)
    ends = [e["message"] for e in _events(shop) if victim["id"] in e["message"]]
    assert any("it exited with code 137 (SIGKILL: it was killed)" in end for end in ends)


def _events(shop: Shop) -> list[dict[str, str]]:
    lines = shop.machine.ok("events", "--json").splitlines()
    return [json.loads(line) for line in lines]


def _failed_instances(shop: Shop) -> set[str]:
    """Those of the newest release."""
    release = shop.machine.json("releases")[0]["id"]
    return {
        e["message"].partition(" ")[0]
        for e in _events(shop)
        if e.get("release") == release and " failed" in e["message"] and "web." in e["message"]
    }
