"""Every vector of convox.jsonl, and what portway makes of it.

Eras (spec/convox.md section 0): E1 the SEED's own rules of November 2015, E3 late 2016, E4 July 2017.
portway is the successor of all three and of compose, so each outcome below is portway's; where it
differs from the era's on purpose, `difference` says how.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from portway.core.app import CheckKind, Exposure, ListenerProtocol, Protocol
from portway.core.errors import ManifestError
from portway.manifests.base import Manifest
from portway.manifests.compose import parse_compose

ROOT = Path(__file__).parents[2]
_SHARED = ROOT.parent / "shared" / "vectors" / "convox.jsonl"
_COPY = ROOT / "tests" / "vectors" / "convox.jsonl"


def _load(path: Path) -> dict[str, dict]:
    rows = (json.loads(line) for line in path.read_text().splitlines() if line.strip())
    return {row["id"]: row for row in rows}


VECTORS = _load(_SHARED if _SHARED.exists() else _COPY)


@dataclass(frozen=True)
class Rule:
    """One vector's outcome here. `nothing_to_run`: refused for that, and then given an image."""

    era: str
    check: Callable[[Manifest], object] | None = None
    error: str = ""
    position: tuple[int, int] = (0, 0)
    difference: str = ""
    nothing_to_run: bool = False


def _ports(manifest: Manifest, name: str = "web") -> list[tuple[int | None, int, Exposure]]:
    app = next(app for app in manifest.apps if app.name == name)
    return [
        (p.service_ports[0] if p.service_ports else None, p.container_port, p.exposure)
        for p in app.ports
    ]


def _listeners(manifest: Manifest) -> list[tuple[int, ListenerProtocol, bool]]:
    return [
        (p.service_ports[0], p.listener.protocol, p.listener.secure) for p in manifest.apps[0].ports
    ]


def _health(manifest: Manifest) -> tuple[CheckKind, str | None, str, float, float]:
    h = manifest.apps[0].health
    return h.kind, h.port_name, h.path, h.timeout_s, h.interval_s


PUBLIC, INTERNAL, HOST = Exposure.PUBLIC, Exposure.INTERNAL, Exposure.HOST
AUTO, HTTPS, TLS = ListenerProtocol.AUTO, ListenerProtocol.HTTPS, ListenerProtocol.TLS


def _cv_001(m: Manifest) -> None:
    assert _ports(m) == [(80, 80, PUBLIC)]
    assert m.apps[0].image == "httpd"
    assert m.apps[0].rollout.drain_timeout_s == 60
    assert m.apps[0].ports[0].listener.idle_timeout_s == 3600
    assert not m.apps[0].ports[0].listener.sticky
    assert m.apps[0].health.kind is CheckKind.TCP
    assert (m.apps[0].health.interval_s, m.apps[0].health.timeout_s) == (5, 3)
    assert m.apps[0].health.unhealthy_threshold == 2


def _cv_002(m: Manifest) -> None:
    assert _ports(m) == [(80, 80, PUBLIC), (443, 80, PUBLIC)]
    assert _listeners(m) == [(80, AUTO, False), (443, AUTO, False)]


def _cv_007(m: Manifest) -> None:
    assert _ports(m) == [(80, 3000, PUBLIC), (None, 3001, INTERNAL)]


def _cv_010(m: Manifest) -> None:
    assert m.apps[0].ports == ()
    assert m.apps[0].count is None


def _cv_011(m: Manifest) -> None:
    assert _ports(m, "api-server") == [(8080, 80, PUBLIC)]


def _cv_012(m: Manifest) -> None:
    order: list[str] = []
    waiting = sorted(m.apps, key=lambda app: app.name)
    while waiting:
        ready = next(a for a in waiting if all(d.name in order for d in a.depends_on))
        order.append(ready.name)
        waiting.remove(ready)
    assert order == VECTORS["cv-012"]["expect"]["run_order"]


def _cv_016(m: Manifest) -> None:
    ports = _ports(m)
    assert len(ports) == 3001
    assert ports[0] == (42000, 42000, PUBLIC)
    assert ports[-1] == (45000, 45000, PUBLIC)


def _cv_018(m: Manifest) -> None:
    assert [app.name for app in m.apps] == ["worker"]


def _cv_023(m: Manifest) -> None:
    assert _listeners(m) == [(443, TLS, True)]
    assert m.apps[0].ports[0].listener.proxy_protocol
    assert _health(m) == (CheckKind.TCP, None, "/", 3, 5)


def _cv_024(m: Manifest) -> None:
    assert _health(m) == (CheckKind.HTTPS, "81", "/health_check", 60, 62)
    assert m.apps[0].health.healthy_threshold == 2
    assert m.apps[0].health.unhealthy_threshold == 2
    assert _listeners(m) == [(80, AUTO, False), (81, AUTO, True)]


def _cv_025(m: Manifest) -> None:
    assert _health(m) == (CheckKind.TCP, None, "/", 3, 5)
    assert _listeners(m) == [(80, AUTO, False), (443, HTTPS, False)]


def _cv_026(m: Manifest) -> None:
    assert _health(m) == (CheckKind.HTTP, "443", "/foo", 20, 22)


def _cv_027(m: Manifest) -> None:
    assert _health(m)[:2] == (CheckKind.TCP, "443")
    assert _listeners(m) == [(80, AUTO, False), (443, HTTPS, True)]


def _cv_035(m: Manifest) -> None:
    (port,) = m.apps[0].ports
    assert (port.protocol, port.exposure, port.container_port) == (Protocol.UDP, HOST, 53)
    assert (port.host_port, port.address) == (None, "127.0.0.1")


def _cv_037(m: Manifest) -> None:
    assert _ports(m) == [(80, 5000, PUBLIC)]
    assert m.apps[0].ports[0].protocol is Protocol.TCP


def _cv_038(m: Manifest) -> None:
    (port,) = m.apps[0].ports
    assert (port.exposure, port.host_port, port.container_port) == (HOST, 80, 5000)
    assert port.service_ports == ()


def _cv_043(m: Manifest) -> None:
    assert m.apps[0].start_shift == 2
    assert _listeners(m) == [(80, AUTO, False), (443, HTTPS, False)]


def _cv_044(m: Manifest) -> None:
    assert _ports(m) == [(30544, 5000, PUBLIC)]


def _cv_045(m: Manifest) -> None:
    assert _ports(m, "web_api") == [(80, 80, PUBLIC)]


def _cv_046(m: Manifest) -> None:
    assert [app.name for app in m.apps] == ["web"]


def _cv_048(m: Manifest) -> None:
    assert [link.name for link in m.apps[0].links] == ["database"]
    (warning,) = m.warnings
    assert "web links to service: database which does not expose any ports" in warning.message


def _cv_050(m: Manifest) -> None:
    (port,) = m.apps[0].ports
    assert port.listener.protocol is HTTPS
    assert port.listener.proxy_protocol


def _cv_054(m: Manifest) -> None:
    assert m.apps[0].rollout.minimum_percent == 50
    assert m.apps[0].rollout.maximum_percent == 100


_MIXED = "a bare port never makes a public one internal: 80 stays public, 3001 is internal"
_NO_IMAGE = "a service with nothing to run is an error; with an image the rest holds"

RULES = {
    "cv-001": Rule("E1", _cv_001),
    "cv-002": Rule("E1", _cv_002),
    "cv-007": Rule("E1", _cv_007, difference="the bare port also gets a loopback listener"),
    "cv-010": Rule("E1", _cv_010),
    "cv-011": Rule("E1", _cv_011),
    "cv-012": Rule("E1", _cv_012, nothing_to_run=True, difference=_NO_IMAGE),
    "cv-015": Rule("E1", error="a compose file is a map of services", position=(1, 1)),
    "cv-016": Rule("E1", _cv_016, difference="ranges are accepted, one port each"),
    "cv-018": Rule("E1", _cv_018, difference="no limit by the number of machines"),
    "cv-021": Rule("E3", _cv_007, difference=_MIXED),
    "cv-023": Rule("E3", _cv_023),
    "cv-024": Rule("E3", _cv_024, nothing_to_run=True, difference=_NO_IMAGE),
    "cv-025": Rule("E3", _cv_025),
    "cv-026": Rule("E3", _cv_026),
    "cv-027": Rule("E3", _cv_027, nothing_to_run=True, difference=_NO_IMAGE),
    "cv-029": Rule("E3", error="'534a' is not a number", position=(4, 7), nothing_to_run=True),
    "cv-030": Rule("E3", error="'534b' is not a number", position=(4, 7), nothing_to_run=True),
    "cv-031": Rule("E3", error="'534c' is not a number", position=(4, 7), nothing_to_run=True),
    "cv-032": Rule("E3", error="one number too many", position=(4, 7), nothing_to_run=True),
    "cv-033": Rule("E4", error="one number too many", position=(4, 7), nothing_to_run=True),
    "cv-035": Rule(
        "E3",
        _cv_035,
        nothing_to_run=True,
        difference="UDP is accepted, as in E4; a bare UDP port is leased on loopback, never fixed",
    ),
    "cv-037": Rule("E4", _cv_037, nothing_to_run=True, difference=_NO_IMAGE),
    "cv-038": Rule("E4", _cv_038, nothing_to_run=True, difference=_NO_IMAGE),
    "cv-043": Rule("E3", _cv_043, difference="the shift is kept apart and applied by `start` only"),
    "cv-044": Rule("E3", _cv_044, difference="who holds the port is found when it is started"),
    "cv-045": Rule("E3", _cv_045, difference="underscores are allowed, as in compose"),
    "cv-046": Rule("E3", _cv_046, difference="version 3 is accepted"),
    "cv-047": Rule(
        "E3", error="web links to service: database2 which does not exist", position=(6, 9)
    ),
    "cv-048": Rule("E3", _cv_048, difference="a warning: it is still found by its name"),
    "cv-050": Rule("E3", _cv_050, difference="the balancer terminates TLS, no proxy container"),
    "cv-052": Rule(
        "E3",
        error="web wants to listen on 80, which web already takes",
        position=(5, 7),
        difference="two ports wanting one listener are refused at once instead of failing in AWS",
    ),
    "cv-054": Rule("E3", _cv_054),
}

# Expectations about CloudFormation, ECS and container names; the manifest itself is checked above.
NOT_HERE = {
    "parameters": "CloudFormation parameters",
    "absent_parameters": "CloudFormation parameters",
    "parameter_prefix": "CloudFormation parameters",
    "elb": "the properties of an ELB; listeners and checks are compared through the App",
    "task_port_mappings": "an ECS task definition; host ports are leases, decided at deploy",
    "ecs_service_load_balancer": "an ECS service takes one load balancer; portway takes all",
    "ecs": "an ECS service; its percentages are compared through Rollout",
    "policies": "ELB policies; compared through ListenerSpec.proxy_protocol",
    "security_group_ingress": "AWS security groups",
    "auto_certificate": "made by the balancer's side, not by the manifest",
    "host_port_80_after_adding_443": "leases are sticky: tested with the port pool",
    "link_vars_for_this_service": "made when instances start: tested with the environment",
    "start_cmd": "the docker command line of 'convox start'",
    "start_proxy": "the docker command line of 'convox start'",
    "app_container_publish": "the docker command line of 'convox start'",
    "stage": "AWS refuses the template",
    "deterministic_ports": "Convox's test mode",
    "rack": "Convox's test mode",
    "rack_instances": "Convox's test mode",
    "precondition": "needs a machine: tested with the port pool",
    "start_error": "needs a machine: tested with the port pool",
    "e1_start_error": "needs a machine: tested with the port pool",
    "after": "a command that is tested with the CLI",
    "labels": "`start` shifts numbers, not labels",
}
HERE = {
    "era", "app", "ports", "listeners", "health", "error", "error_prefix", "error_contains",
    "validate_error", "run_order", "note", "parser_error",
}  # fmt: skip


def test_every_vector_has_a_rule_and_every_rule_a_vector() -> None:
    assert set(RULES) == set(VECTORS)


def test_the_committed_copy_is_the_shared_one() -> None:
    if not _SHARED.exists():
        pytest.skip("no shared vectors here")
    assert _load(_COPY) == _load(_SHARED)


def test_every_expectation_is_either_checked_or_listed_with_the_reason_it_cannot_apply() -> None:
    keys = {key for vector in VECTORS.values() for key in vector["expect"]}
    assert keys - HERE == set(NOT_HERE)


@pytest.mark.parametrize("vector_id", sorted(VECTORS))
def test_the_rule_names_the_vectors_era(vector_id: str) -> None:
    assert RULES[vector_id].era == VECTORS[vector_id]["expect"]["era"]


@pytest.mark.parametrize("vector_id", sorted(VECTORS))
def test_a_convox_manifest_means_what_its_rule_says(vector_id: str) -> None:
    rule, text = RULES[vector_id], VECTORS[vector_id]["input_yaml"]
    if rule.nothing_to_run:
        text = _refused_then_given_an_image(text)
    if rule.check:
        rule.check(_parse(text))
        return
    with pytest.raises(ManifestError) as caught:
        _parse(text)
    (problem,) = caught.value.problems
    assert rule.error in problem.message
    assert (problem.line, problem.column) == rule.position
    assert problem.hint


def _parse(text: str) -> Manifest:
    return parse_compose(text, stack="httpd", directory="/project")


def _refused_then_given_an_image(text: str) -> str:
    with pytest.raises(ManifestError) as caught:
        _parse(text)
    idle = [p for p in caught.value.problems if "has nothing to run" in p.message]
    assert idle
    lines = text.splitlines()
    for problem in sorted(idle, key=lambda p: -p.line):
        lines.insert(problem.line - 1, " " * (problem.column - 1) + "image: x")
    return "\n".join(lines) + "\n"
