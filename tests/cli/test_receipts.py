"""Receipts as people read them, and where a command finds its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portway.cli.receipts import history_lines, receipt_lines
from portway.core.receipt import AppReceipt, FailedRequests, Receipt
from tests.cli import views
from tests.cli.conftest import Run
from tests.cli.fake_server import FakeServer
from tests.cli.test_deploy import RELEASES, deploying, promoted


@pytest.fixture
def manifest(workdir: Path) -> Path:
    path = workdir / "docker-compose.yml"
    path.write_text("services:\n  web:\n    image: httpd\n")
    return path


RELEASE = f"{RELEASES}/{views.RELEASE}".replace("POST", "GET")


def receipt(**fields: Any) -> Receipt:
    base: dict[str, Any] = {
        "deployment": "D1",
        "release": "RUAENUMAQBS",
        "status": "done",
        "started_at_ms": 1000,
        "ended_at_ms": 3300,
        "stages_ms": {"build": 800, "start": 400, "health": 300, "drain": 600, "stop": 1000},
    }
    return Receipt(**{**base, **fields})


def app(**fields: Any) -> AppReceipt:
    base: dict[str, Any] = {
        "app": "web",
        "requests": 612,
        "timed": 612,
        "p99_ms": 12.3,
        "worst_ms": 41.0,
        "drained_connections": 3,
        "drained_ms": 210,
    }
    return AppReceipt(**{**base, **fields})


def test_a_clean_deployment_is_one_line() -> None:
    assert receipt_lines(receipt(apps=(app(),), p99_ms=12.3, worst_ms=41.0)) == [
        "deployed in 3.1 s: build 0.8, start 0.4, health 0.3, drain 0.6, stop 1.0"
        " · 612 requests meanwhile, 0 failed, p99 12 ms, worst 41 ms"
        " · 3 connections drained in 0.2 s"
    ]


def test_every_reason_for_a_failure_has_its_line() -> None:
    failures = (
        FailedRequests(reason="the app answered 500", count=2),
        FailedRequests(reason="no instance was ready", count=1),
    )
    lines = receipt_lines(
        receipt(apps=(app(failed=3, failures=failures, aborted=1, denied=2, retried=4),))
    )
    assert "612 requests meanwhile, 3 failed" in lines[0]
    assert lines[1:] == [
        "  web: 2 requests failed: the app answered 500",
        "  web: 1 request failed: no instance was ready",
        "  web: 1 request given up by the client",
        "  web: 2 requests not let through: malformed or forbidden",
        "  web: 4 connections to an instance tried again",
    ]


def test_without_requests_nothing_is_said_of_them() -> None:
    quiet = app(requests=0, timed=0, p99_ms=None, worst_ms=None, drained_connections=0)
    assert receipt_lines(receipt(apps=(quiet,), stages_ms={"start": 120})) == [
        "deployed in 0.1 s: start 0.1"
    ]


def test_a_quantile_of_a_part_says_of_how_many() -> None:
    (line,) = receipt_lines(receipt(apps=(app(timed=600),), p99_ms=2.34, worst_ms=9.9))
    assert "p99 2.3 ms, worst 9.9 ms (of 600 timed)" in line


def test_what_is_not_known_is_said() -> None:
    unknown = app(timed=0, p99_ms=None, worst_ms=None, unknown=("latency is unknown: plain TCP",))
    lines = receipt_lines(receipt(apps=(unknown,), unknown=("portway was restarted",)))
    assert "p99" not in lines[0]
    assert lines[1:] == ["  web: latency is unknown: plain TCP", "  portway was restarted"]


@pytest.mark.parametrize(
    ("status", "verb"),
    [("failed", "failed after"), ("cancelled", "cancelled after"), ("removed", "ended after")],
)
def test_how_it_ended_comes_first(status: str, verb: str) -> None:
    assert receipt_lines(receipt(status=status))[0].startswith(f"{verb} 3.1 s")


def test_a_release_shows_its_deployments_oldest_first() -> None:
    running = receipt(status="running", ended_at_ms=None, started_at_ms=60_000)
    first, second = history_lines([receipt(stages_ms={}), running], now_ms=61_000)
    assert first == "  1 minute ago: deployed in 0.0 s"
    assert "under way" in second


def kept(fake: FakeServer, *receipts: Receipt) -> None:
    fake.on(RELEASE, views.release(receipts=msgspec.to_builtins(receipts)))


def test_deploy_ends_with_its_own_receipt(run: Run, fake: FakeServer, manifest: Path) -> None:
    promoted(fake, deploying(), views.stack())
    kept(fake, receipt(deployment="D0", status="failed"), receipt(apps=(app(),)))
    outcome = run("deploy", "-a", "httpd")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    said = next(n for n, line in enumerate(lines) if line.startswith("deployed in 3.1 s: build"))
    assert "is running" in lines[said + 1], "where to reach it comes last"


def test_json_holds_the_receipt(run: Run, fake: FakeServer, manifest: Path) -> None:
    promoted(fake, views.stack())
    kept(fake, receipt())
    outcome = run("deploy", "-a", "httpd", "--json")
    assert json.loads(outcome.out)["receipt"]["stages_ms"]["build"] == 800


def test_the_receipt_is_waited_for_a_moment(run: Run, fake: FakeServer, manifest: Path) -> None:
    promoted(fake, views.stack())
    answers = iter([receipt(ended_at_ms=None, status="running"), receipt()])
    fake.on(RELEASE, lambda _: views.release(receipts=msgspec.to_builtins((next(answers),))))
    assert "deployed in 3.1 s" in run("deploy", "-a", "httpd").out


def test_releases_info_shows_them(run: Run, fake: FakeServer) -> None:
    kept(fake, receipt(apps=(app(),)))
    out = run("releases", "info", views.RELEASE, "-a", "httpd").out
    assert "Deployments:" in out
    assert "612 requests meanwhile" in out


def test_what_pulling_took_is_sent_with_the_release(
    run: Run, fake: FakeServer, manifest: Path
) -> None:
    promoted(fake, views.stack())
    run("deploy", "-a", "httpd")
    body = fake.requests(RELEASES)[0].json
    assert (body["build_ms"], body["pull_ms"]) == (0, 0)
