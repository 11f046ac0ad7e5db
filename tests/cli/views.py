"""Views as the API would write them, of one small stack: httpd with two healthy instances of web."""

from __future__ import annotations

from typing import Any

from tests.cli.conftest import NOW_MS

RELEASE = "RUAENUMAQBS"
OLD_RELEASE = "RBKPDQEGDUX"


def deployment(**changes: Any) -> dict[str, Any]:
    return {
        "id": "D1", "app": "web", "release": RELEASE, "status": "done", "reason": "", "desired": 2,
        "started": 2, "healthy": 2, "old": 0, "started_at_ms": NOW_MS - 5000, "ended_at_ms": NOW_MS,
        "strategy": "rolling", "step": 0, "steps": 0, "step_wanted": 0, "stage": "", "bake_ends_at_ms": None,
        "paused": False,
    } | changes  # fmt: skip


def port(**changes: Any) -> dict[str, Any]:
    return {
        "name": "80", "container_port": 80, "host_port": 31004, "service_port": 8000, "protocol": "tcp",
        "exposure": "public", "address": "127.0.0.1", "why": "",
    } | changes  # fmt: skip


def app(**changes: Any) -> dict[str, Any]:
    return {
        "name": "web", "count": 2, "running": 2, "healthy": 2, "release": RELEASE, "image": "httpd",
        "status": "running", "blocked": "", "ports": [port(host_port=0)], "deployment": deployment(),
    } | changes  # fmt: skip


def stack(**changes: Any) -> dict[str, Any]:
    return {
        "name": "httpd", "status": "running", "release": RELEASE, "created_at_ms": NOW_MS - 3 * 60_000,
        "apps": [app()], "urls": ["http://127.0.0.1:8000/"],
    } | changes  # fmt: skip


def promotion(**changes: Any) -> dict[str, Any]:
    return {
        "stack": "httpd", "release": RELEASE, "unchanged": [], "removed": [], "notes": [], "sequence": 41,
        "deployments": [deployment(status="running", started=0, healthy=0, ended_at_ms=None)],
    } | changes  # fmt: skip


def release(**changes: Any) -> dict[str, Any]:
    return {
        "id": RELEASE, "stack": "httpd", "created_at_ms": NOW_MS - 3 * 60_000, "active": True,
        "apps": ["web"], "description": "", "manifest_name": "docker-compose.yml", "manifest": "", "warnings": [],
    } | changes  # fmt: skip


def instance(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"web.{number}.{number + 6}", "stack": "httpd", "app": "web", "slot": number, "release": RELEASE,
        "node": "local", "phase": "running", "health": "healthy", "health_detail": "", "reason": "", "details": {},
        "ports": [port(host_port=31003 + number)], "command": "httpd-foreground",
        "planned_at_ms": NOW_MS - 190_000, "started_at_ms": NOW_MS - 180_000,
    } | changes  # fmt: skip


def endpoint(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "instance": f"web.{number}.{number + 6}", "slot_name": f"web.{number}", "host_address": "127.0.0.1",
        "host_port": 31003 + number, "container_port": 80, "target_address": f"172.18.0.{number + 1}",
        "target_port": 80, "state": "ready", "connections": 0,
    } | changes  # fmt: skip


def route(**changes: Any) -> dict[str, Any]:
    return {
        "stack": "httpd", "app": "web", "port_name": "80", "exposure": "public", "protocol": "auto", "address": "",
        "service_port": 8000, "url": "http://127.0.0.1:8000/", "tls": False, "note": "",
        "endpoints": [endpoint(1), endpoint(2)],
    } | changes  # fmt: skip


def server(**changes: Any) -> dict[str, Any]:
    return {
        "version": "0.1.0", "pid": 4242, "home": "/var/lib/portway", "engine": "docker", "listen": "127.0.0.1:8080",
        "public_address": "", "store": "SQLite", "balancer": "HAProxy 2.6.12", "balancer_pid": 4250,
        "balancer_reloads": 1, "balancer_restarts": 0, "host_ports": "31000-32000", "host_ports_leased": 2,
        "started_at_ms": NOW_MS - 7_200_000, "problems": [],
    } | changes  # fmt: skip


def event(sequence: int, **changes: Any) -> dict[str, Any]:
    return {
        "at_ms": NOW_MS, "kind": "instance.started", "message": "web.1.7 started", "stack": "httpd",
        "app_id": "httpd/web", "instance_id": "httpd/web.1.7", "release": RELEASE, "deployment": "D1", "data": {},
        "sequence": sequence,
    } | changes  # fmt: skip
