"""The vectors of marathon.jsonl that are about ports and variables, and their definitions as the core's values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from portway.core.marathon.ports import OfferedRange, Port
from portway.core.marathon.variables import Task

Body = Mapping[str, Any]

ROOT = Path(__file__).parents[3]
_SHARED = ROOT.parent / "shared" / "vectors" / "marathon.jsonl"
_COPY = ROOT / "tests" / "vectors" / "marathon.jsonl"
_LINES = (_SHARED if _SHARED.exists() else _COPY).read_text().splitlines()
VECTORS: list[Body] = [json.loads(line) for line in _LINES if line.strip()]


def of_kind(kind: str) -> Any:
    """A test with every vector of the kind."""
    chosen = [vector for vector in VECTORS if vector["kind"] == kind]
    return pytest.mark.parametrize("vector", [pytest.param(v, id=v["id"]) for v in chosen])


def container_networks(body: Body) -> list[str]:
    """The names of the container networks of a definition."""
    networks = body.get("networks") or [{"mode": "host"}]
    return [n["name"] for n in networks if n.get("mode", "container") == "container"]


def is_host_mode(body: Body) -> bool:
    """Whether its instances are in the node's own network."""
    return (body.get("networks") or [{"mode": "host"}])[0].get("mode", "container") == "host"


def ports_in(body: Body) -> list[Port]:
    """The ports of a definition, as they are written."""
    if "ranges" in body or "requested" in body:
        return [Port(name=p.get("name", ""), service_port=p["port"]) for p in body["requested"]]
    if is_host_mode(body):
        return [_definition(p) for p in body.get("portDefinitions") or ()]
    mappings = body.get("portMappings") or body.get("endpoints")
    if mappings is None:
        mappings = (body.get("container") or {}).get("portMappings") or ()
    is_bridge = body["networks"][0].get("mode") == "container/bridge"
    return [_mapping(p, is_bridge=is_bridge) for p in mappings]


def _definition(port: Body) -> Port:
    return Port(
        name=port.get("name", ""),
        service_port=port.get("port", 0),
        protocols=_protocols(port),
        labels=port.get("labels", {}),
    )


def _mapping(port: Body, *, is_bridge: bool) -> Port:
    return Port(
        name=port.get("name", ""),
        container_port=port.get("containerPort", 0),
        wanted_host_port=port.get("hostPort", 0 if is_bridge else None),
        service_port=port.get("servicePort", 0),
        protocols=_protocols(port),
        labels=port.get("labels", {}),
        network_names=tuple(port.get("networkNames", ())),
    )


def _protocols(port: Body) -> tuple[str, ...]:
    written = port.get("protocol", "tcp")
    return tuple(written.split(",") if isinstance(written, str) else written)


def offered(context: Body) -> list[OfferedRange]:
    """The host ports of an offer."""
    return ranges_of(context["offer"]["ports"])


def ranges_of(written: Sequence[Body]) -> list[OfferedRange]:
    """Ranges as they are written."""
    return [OfferedRange(first=r["begin"], last=r["end"], role=r["role"]) for r in written]


def task_of(body: Body, context: Body) -> Task:
    """The task of a definition."""
    container = body.get("container") or {}
    is_docker = container.get("type") == "DOCKER"
    return Task(
        id=context.get("task_id") or "test.instance-x._app.1",
        path=body["id"],
        version=body.get("version", "1970-01-01T00:00:00.000Z"),
        docker_image=container.get("docker", {}).get("image", "") if is_docker else "",
        enforces_role=None if "enforce_role" in context else False,
        labels=body.get("labels", {}),
    )
