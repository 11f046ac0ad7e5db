"""Health and readiness on real containers: who is asked, who gets requests, who is replaced."""

from __future__ import annotations

import sys

import pytest

from portway.cli.client import Client
from tests.e2e.machine import ROOT, Machine, free_port, until

sys.path.insert(0, str(ROOT / "examples"))
from prober import Prober  # noqa: E402

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(120)]

SERVE = "mkdir /w; for f in index.html well ready; do echo $$f > /w/$$f; done; exec httpd -f -p 80 -h /w"


def states(machine: Machine) -> dict[str, str]:
    """What the balancer's map says of each instance; asked without a command, which takes its time to start."""
    (route,) = Client(machine.home / "portway.sock").ask("GET", "/map", query={"stack": "shop"})
    return {endpoint["instance"]: endpoint["state"] for endpoint in route["endpoints"]}


def test_one_not_ready_gets_no_requests_and_one_that_fails_is_replaced_before_it_leaves(
    machine: Machine, image: str
):
    listener = free_port()
    machine.manifest(f"""services:
  web:
    image: {image}
    command: [sh, -c, "{SERVE}"]
    ports: ["{listener}:80"]
    scale: 2
    stop_grace_period: 1s
    labels:
      portway.health.path: /well
      portway.health.interval: 0.3s
      portway.health.threshold.healthy: 1
      portway.readiness.path: /ready
      portway.readiness.interval: 0.3s
""")
    machine.ok("deploy")
    assert states(machine) == {"web.1.1": "ready", "web.2.2": "ready"}
    with Prober(f"http://127.0.0.1:{listener}/") as prober:
        machine.ok("exec", "web.1", "/bin/busybox", "rm", "/w/ready")
        until(lambda: states(machine)["web.1.1"] == "not ready")
        said = machine.ok("ps")
        assert "web.1.1: not ready: HTTP 404 from /ready" in said
        machine.ok("exec", "web.1", "/bin/busybox", "touch", "/w/ready")
        until(lambda: states(machine) == {"web.1.1": "ready", "web.2.2": "ready"})
        machine.ok("exec", "web.1", "/bin/busybox", "rm", "/w/well")
        until(lambda: states(machine) == {"web.2.2": "ready", "web.1.3": "ready"})
    assert prober.result.failures == []
    assert "unhealthy: HTTP 404 from /well" in machine.ok("events")
