"""Apps as ECS documents: what is not told as lost comes back as it was."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portway.core.app import App
from portway.core.errors import ManifestError
from portway.manifests.compose import parse_compose
from portway.manifests.ecs import parse_ecs
from portway.manifests.ecs_write import WrittenEcs, write_ecs
from portway.manifests.losses import comparable
from tests.features import examples

WHOLE = """
services:
  web:
    image: nginx:1
    command: [nginx, "-g", "daemon off;"]
    entrypoint: ["/tini", "--"]
    environment: {A: "1", B: "$$x"}
    ports: ["8000:80", "8001:80", "5353:53/udp"]
    user: "1000"
    working_dir: /srv
    stop_grace_period: 20s
    cap_add: [NET_ADMIN]
    read_only: true
    init: true
    tty: true
    stdin_open: true
    hostname: h
    dns: [1.1.1.1]
    dns_search: [x.test]
    ulimits: {nofile: {soft: 1, hard: 2}}
    sysctls: {net.core.somaxconn: "9"}
    shm_size: 8m
    extra_hosts: ["a:10.0.0.1"]
    security_opt: [no-new-privileges]
    devices: ["/dev/null:/dev/x:rw"]
    labels: {team: a}
    logging: {driver: syslog, options: {tag: x}}
    mem_limit: 64m
    mem_reservation: 32m
    cpu_shares: 512
    volumes: ["/srv:/data:ro", {type: tmpfs, target: /t, tmpfs: {size: 8m}}]
    healthcheck: {test: ["CMD", "true"], interval: 10s, timeout: 5s, retries: 3, start_period: 5s}
    deploy: {replicas: 3}
"""


def apps_of(text: str) -> tuple[App, ...]:
    return parse_compose(text, stack="shop", directory="/p").apps


def read_back(written: WrittenEcs) -> dict[str, App]:
    text = json.dumps(written.document)
    return {app.id: app for app in parse_ecs({"w.json": text}, stack="shop").apps}


def test_a_service_that_ecs_can_say_comes_back_whole() -> None:
    apps = apps_of(WHOLE)
    written = write_ecs(apps)
    assert [str(loss) for loss in written.losses] == []
    (app,) = read_back(written).values()
    assert comparable(app) == comparable(apps[0])


def test_what_ecs_cannot_say_is_named_with_its_reason() -> None:
    text = """
services:
  Web:
    build: .
    ports: ["8000-8001:80", "443"]
    labels: {portway.health.path: /h, portway.port.8000.protocol: http}
    stop_signal: SIGQUIT
    restart: "no"
    depends_on: [db]
  db: {image: x, expose: [1]}
"""
    told = [str(loss) for loss in write_ecs(apps_of(text)).losses]
    assert any(line.startswith("Web: name: ") for line in told)
    text = text.replace("Web", "web")
    told = [str(loss) for loss in write_ecs(apps_of(text)).losses]
    for words in ("web: build", "web: stop_signal", "web: restart", "web: depends_on", "web: health", "web: ports", "db: expose"):  # fmt: skip
        assert any(line.startswith(words) for line in told), (words, told)


def test_values_of_variables_are_not_told() -> None:
    text = "services: {a: {image: x, mem_limit: 64m, environment: {'': '', P: s3cret}}}"
    try:
        apps = apps_of(text)
    except ManifestError:
        apps = apps_of(text.replace("'': '', ", ""))
    assert "s3cret" not in str(write_ecs(apps).losses)


def test_several_containers_come_back_whole() -> None:
    container: dict[str, Any] = {"name": "a", "image": "x", "memory": 64}
    waits = [{"containerName": "b", "condition": "HEALTHY"}]
    check = {"command": ["CMD-SHELL", "true"]}
    value = {
        "family": "two",
        "networkMode": "bridge",
        "containerDefinitions": [
            {**container, "dependsOn": waits, "links": ["b:db"], "portMappings": [{"containerPort": 80}]},
            {**container, "name": "b", "healthCheck": check, "essential": False},
        ],
    }  # fmt: skip
    apps = parse_ecs({"t.json": json.dumps(value)}, stack="shop").apps
    written = write_ecs(apps)
    assert [str(loss) for loss in written.losses] == []
    assert comparable(read_back(written)["shop/two"]) == comparable(apps[0])


KEYS: dict[str, Any] = {
    "command": st.sampled_from(["a b", ["a", "$$b"], []]),
    "entrypoint": st.sampled_from([["/e"], []]),
    "environment": st.dictionaries(st.sampled_from("AB"), st.text("a$ é", max_size=3), max_size=2),
    "ports": st.lists(st.sampled_from(["80", "8000:80", "8000-8001:90", "53:53/udp", "8001:80", "127.0.0.1:1:2"]), max_size=3, unique=True),
    "mem_limit": st.sampled_from(["64m", "7", "65537k"]),
    "cpus": st.sampled_from(["0.5", "1", "0.3"]),
    "volumes": st.lists(st.sampled_from(["data:/d", "/a:/b:ro", "/x", "data:/e"]), max_size=3, unique=True),
    "healthcheck": st.sampled_from([{"test": "true"}, {"test": ["NONE"]}, {"disable": True}, {"test": ["CMD", "x"], "interval": "1s"}]),
    "stop_grace_period": st.sampled_from(["1s", "1.5s", "3m"]),
    "labels": st.sampled_from([{"a": "b"}, {"portway.port.8000.protocol": "tls"}, {"portway.deployment.minimum": "50"}]),
    "network_mode": st.sampled_from(["host", "none", "bridge"]),
    "restart": st.sampled_from(["always", "no", "on-failure"]),
    "deploy": st.sampled_from([{"replicas": 0}, {"replicas": 3, "update_config": {"order": "stop-first"}}]),
    "logging": st.sampled_from([{"driver": "json-file"}, {"driver": "syslog", "options": {"tag": "x"}}]),
    "user": st.just("1"),
}  # fmt: skip
SERVICES = st.fixed_dictionaries({"image": st.sampled_from(["x", "x:1"])}, optional=KEYS)
NAMES = st.sampled_from(["web", "db", "a_b", "Big", "x.y"])


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(services=st.dictionaries(NAMES, SERVICES, min_size=1, max_size=2))
def test_whatever_is_not_told_as_lost_comes_back(services: dict[str, Any]) -> None:
    text = json.dumps({"services": services, "volumes": {"data": {}}})
    try:
        apps = apps_of(text)
    except ManifestError:
        return
    written = write_ecs(apps)
    lost = {loss.app for loss in written.losses}
    if "shop" in lost:
        return  # refused whole, and said so
    found = read_back(written)
    for app in apps:
        if app.name not in lost:
            assert comparable(found[app.id]) == comparable(app)
