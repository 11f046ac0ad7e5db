"""compose: whatever is written, the answer is Apps or a ManifestError whose every problem has a place."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from portway.core.errors import ManifestError, Problem
from portway.manifests.compose import compose_references, parse_compose
from portway.manifests.interpolate import TemplateError, parse_dotenv, parse_template
from portway.manifests.reader import decode_manifest
from tests.features import examples

KNOWN = """\
version: "3.8"
name: shop
x-base: &base
  restart: unless-stopped
services:
  web:
    <<: *base
    build: {context: ./web, dockerfile: Dockerfile, args: {A: "1"}, target: prod}
    command: bundle exec puma -p ${PORT:-3000}
    entrypoint: ["/run.sh"]
    environment:
      - RAILS_ENV=production
      - NAME=${NAME:-shop}
    env_file: [{path: none.env, required: false}]
    ports:
      - 80:5000
      - "443:5000"
      - 127.0.0.1:8080-8082:90-92
      - 9000-9003:70
      - 53:53/udp
      - target: 6000
        published: "600"
        protocol: tcp
        app_protocol: http
        name: api
    labels:
      - convox.port.443.protocol=https
      - convox.health.path=/health
      - portway.port.80.sticky=true
      - convox.draining.timeout=30
      - portway.deploy.canary=5%,25%
      - portway.deploy.max_failed=2.5%
      - portway.deploy.min_requests=50
    links: [db:database]
    depends_on:
      db: {condition: service_healthy, required: true}
      job: {condition: service_completed_successfully}
    volumes:
      - ./src:/src:ro
      - {type: tmpfs, target: /run, tmpfs: {size: 8m}}
    deploy:
      replicas: 3
      update_config: {order: stop-first, parallelism: 2, delay: 5s, monitor: 5s, max_failure_ratio: 0.2}
      resources: {limits: {cpus: "0.5", memory: 256m, pids: 10}, reservations: {memory: 64m}}
    networks: {front: {aliases: [shop]}}
    extra_hosts: ["me:host-gateway"]
    stop_signal: SIGQUIT
    stop_grace_period: 1m30s
    ulimits: {nofile: {soft: 1, hard: 2}}
    cap_add: [NET_ADMIN]
  db:
    image: postgres:16
    expose: [5432]
    volumes: ["data:/var/lib/postgresql"]
    healthcheck: {test: ["CMD", "pg_isready"], interval: 5s, retries: 3}
    mem_limit: 512m
    tmpfs: /tmp:size=8m
  job:
    image: shop
    profiles: []
volumes: {data: {}, old: {external: {name: older}}}
networks: {front: {driver: bridge}, corp: {external: true}}
"""

PIECES = st.sampled_from([
    "0", "-1", "65536", "80:", ":80", "80/tcp/udp", "[", "]", "{", "}", ":", "- ", "\n", "\t", "  ", "*base", "&a ", "<<",
    "${", "$", "$$", "null", "~", "true", '"', "'", "|", ">", "#", "!x ", "\x00", "\ud800", "é", "9" * 30, "1e9", "x" * 300,
    "ports", "services:", "web:", "---\n", "? ", "10s", "1-", "-9", "80-70", "[]", "{}", "[[]]", "{a: [b]}", "\u2028",
    "\x85", "%", "@", "`", "convox.port.443.protocol=", "service_healthy", "256m", "*x", "\r", "\ufeff",
])  # fmt: skip


def parse_or_refuse(text: str) -> ManifestError | None:
    """The error of a text, which is the only thing that may be raised."""
    with contextlib.suppress(ManifestError):
        compose_references(text, file="f.yml")
    try:
        manifest = parse_compose(
            text, stack="shop", file="f.yml", directory="/p", variables={"A": "1"}
        )
    except ManifestError as error:
        return error
    assert all(w.line > 0 and w.column > 0 for w in manifest.warnings)
    assert len({app.id for app in manifest.apps}) == len(manifest.apps)
    for app in manifest.apps:
        assert len({p.name for p in app.ports}) == len(app.ports)
        assert all(app.port(p.name) is p for p in app.ports)
        assert all(1 <= n <= 65535 for p in app.ports for n in (p.container_port, *p.service_ports))
    return None


def assert_placed(error: ManifestError | None) -> None:
    for problem in error.problems if error else ():
        assert problem.line > 0, problem
        assert problem.column > 0, problem
        assert problem.file == "f.yml", problem
        assert problem.message
        assert "\n" not in problem.message, problem
        assert "Traceback" not in str(problem)
        assert "object at 0x" not in str(problem)


def test_the_known_file_is_sound() -> None:
    assert parse_or_refuse(KNOWN) is None


@settings(max_examples=examples(300), deadline=None)
@given(text=st.text(max_size=200))
@example(text="a: !!float .inf")
@example(text="services: {a: {ports: [{target: {}}]}}")
def test_any_text_is_apps_or_a_refusal(text: str) -> None:
    assert_placed(parse_or_refuse(text))


@settings(max_examples=examples(300), deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_text_or_a_refusal(data: bytes) -> None:
    with contextlib.suppress(ManifestError):
        assert_placed(parse_or_refuse(decode_manifest(data, file="f.yml")))


@settings(max_examples=examples(800), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(KNOWN)), st.integers(0, 12), PIECES | st.text(max_size=4)),
        min_size=1,
        max_size=4,
    )
)
def test_a_known_file_with_mistakes_is_apps_or_a_refusal_with_places(
    edits: list[tuple[int, int, str]],
) -> None:
    text = KNOWN
    for at, removed, piece in edits:
        text = text[:at] + piece + text[at + removed :]
    assert_placed(parse_or_refuse(text))


LINES = KNOWN.splitlines(keepends=True)


@settings(max_examples=examples(300), deadline=None)
@given(order=st.lists(st.sampled_from(range(len(LINES))), min_size=1, max_size=len(LINES)))
def test_the_lines_of_a_known_file_in_any_order_are_apps_or_a_refusal(order: list[int]) -> None:
    assert_placed(parse_or_refuse("".join(LINES[n] for n in order)))


SERVICE_KEYS = [
    "image", "build", "command", "entrypoint", "environment", "env_file", "ports", "expose", "links", "depends_on",
    "healthcheck", "labels", "volumes", "tmpfs", "networks", "network_mode", "extra_hosts", "mem_limit", "cpus",
    "cpu_shares", "pids_limit", "deploy", "scale", "restart", "stop_signal", "stop_grace_period", "user", "privileged",
    "cap_add", "ulimits", "sysctls", "dns", "hostname", "shm_size", "devices", "profiles", "extends", "logging",
]  # fmt: skip
INNER_KEYS = st.sampled_from([
    "target", "published", "protocol", "name", "context", "args", "test", "interval", "condition", "required", "web",
    "update_config", "order", "resources", "limits", "memory", "type", "source", "path", "soft", "hard", "restart_policy",
    "aliases", "convox.port.80.protocol", "portway.health.port", "replicas", "external", "<<", "x",
])  # fmt: skip
SCALARS = st.sampled_from([
    "", "web", "80", "80:80", "0", "-1", "true", "null", "./x:/y", "a=b", "a:b", "10s", "8m", "/x", "$A", "${", "${B:?}",
    "CMD", "NONE", "host", "stop-first", "bind", "always", "http", "9999999999999999999999", "1.5", "data:/d",
])  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(INNER_KEYS, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=examples(800), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    top=st.sampled_from(["services", "volumes", "networks", "name", "version"]),
    keys=st.dictionaries(st.sampled_from(SERVICE_KEYS), TREES, max_size=6),
    tree=TREES,
)
def test_any_value_under_any_key_is_apps_or_a_refusal_with_places(
    top: str, keys: dict[str, object], tree: object
) -> None:
    file = {"services": {"web": keys, "db": {"image": "d"}}}
    if top != "services":
        file[top] = tree  # type: ignore[assignment]
    assert_placed(parse_or_refuse(json.dumps(file)))


@settings(max_examples=examples(300), deadline=None)
@given(text=st.text(alphabet="${}AB:-?+ x\n", max_size=40))
def test_any_template_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(TemplateError):
        parse_template(text)


@settings(max_examples=examples(300), deadline=None)
@given(text=st.text(alphabet="AB=\"'\\n\n# ${}:-?export\t\r", max_size=60))
def test_any_dotenv_file_is_read_or_refused_with_lines(text: str) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        values = parse_dotenv(text, ".env", {"A": "1"})
    except ManifestError as error:
        values, problems = None, error.problems
    assert values is not None or problems
    assert all(0 < p.line <= text.count("\n") + 1 for p in problems)


@pytest.mark.parametrize("text", ["$" * 5000, "${A:-" * 5000, "${A:-$" * 2000 + "}" * 2000])
def test_a_hostile_template_is_answered_at_once(text: str) -> None:
    with contextlib.suppress(TemplateError):
        parse_template(text)


def test_thousands_of_mistakes_are_answered_with_the_first_of_them() -> None:
    text = "services:\n  web:\n    image: x\n" + "".join(f"    prots{n}: 1\n" for n in range(6_000))
    assert parse_or_refuse(text) is None
    text = "services:\n  web:\n    image: x\n    ports: [" + "x," * 12_000 + "]\n"
    error = parse_or_refuse(text)
    assert error is not None
    assert 100 < len(error.problems) <= 500
