"""Targets: the files that users deploy. Whatever is in them, Apps come of it or a refusal, and Apps can be written again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import yaml

from portway.core.errors import ManifestError
from portway.manifests.base import Manifest
from portway.manifests.compose import compose_references, parse_compose
from portway.manifests.compose_write import write_compose
from portway.manifests.ecs_write import write_ecs
from portway.manifests.interpolate import TemplateError, parse_dotenv, parse_template
from portway.manifests.language import Source, named_secrets, parse_manifest
from portway.manifests.marathon.accept import (
    accept_app,
    accept_pod,
    accept_update,
    id_of_update,
    version_of,
)
from portway.manifests.marathon.body import parse_body
from portway.manifests.marathon.groups import Around, accept_group, version_of_group
from portway.manifests.marathon.refusal import MarathonRefusal
from portway.manifests.marathon.settings import Settings
from portway.manifests.marathon.write import write_marathon
from portway.manifests.reader import decode_manifest
from tests.fuzz.base import Target, choosing, chosen, examples
from tests.manifests.test_compose_fuzz import KNOWN, assert_placed

_VARIABLES = {"A": "1", "HOME": "/root", "TAG": "a b"}


def _written(manifest: Manifest) -> None:
    """Every language can be asked for, and what it does not say is told."""
    for app in manifest.apps:
        assert len({spec.name for spec in app.ports}) == len(app.ports)
        assert all(0 <= spec.container_port <= 65535 for spec in app.ports)
    for write in (write_compose, write_ecs, write_marathon):
        _ = [str(loss) for loss in write(manifest.apps).losses]


def _compose(data: bytes) -> None:
    try:
        text = decode_manifest(data, file="f.yml")
        with suppress(ManifestError):
            compose_references(text, file="f.yml", variables=_VARIABLES)
        manifest = parse_compose(
            text, stack="shop", file="f.yml", directory="/p", variables=_VARIABLES,
            files={"none.env": "A=$B\nB='x'\n"}, profiles=("*",) if data[:1] == b"#" else (),
        )  # fmt: skip
    except ManifestError as error:
        return assert_placed(error)
    return _written(manifest)


def _as_json(text: bytes) -> bytes:
    return json.dumps(yaml.safe_load(text), default=str).encode()


def _compose_seeds() -> Sequence[bytes]:
    texts = [KNOWN.encode(), *examples("examples/*/docker-compose.yml")]
    return [*texts, *map(_as_json, texts)]


def _labels(data: bytes) -> None:
    """Lines of name=value, on a service and on an app."""
    lines = data.decode(errors="replace").splitlines()
    service = {"image": "x", "labels": lines, "ports": ["80:8080", "443:8443", "53/udp"]}
    _compose(json.dumps({"services": {"web": service}}).encode())
    labels = dict(line.partition("=")[::2] for line in lines)
    app = {"id": "/a", "cmd": "x", "labels": labels, "ports": [8080, 8443]}
    _json_file(json.dumps(app).encode())


_LABELS = (
    "convox.port.443.protocol=https\nportway.port.80.sticky=true\nportway.port.80.balance=leastconn\nportway.port.443.slow-start=10s",
    "convox.health.path=/health\nconvox.health.port=8080\nconvox.health.threshold.healthy=2\nportway.health.status=200-299,301\nportway.health.method=HEAD",
    "portway.readiness.path=/ready\nportway.readiness.interval=2s\nportway.health.command=true\nportway.health.grace=1m\nportway.health.host=a.b",
    "portway.deploy.strategy=canary\nportway.deploy.canary=5%,25%\nportway.deploy.max_failed=2.5%\nportway.deploy.bake_s=5\nportway.deploy.min_requests=50\nportway.deploy.hold=true",
    "convox.deployment.minimum=50\nconvox.deployment.maximum=200\nconvox.draining.timeout=30\nconvox.idle.timeout=60\nconvox.start.shift=-5000\nportway.access_log=true\nconvox.balancer=false",
    "HAPROXY_GROUP=external,internal\nHAPROXY_0_VHOST=a.b,*.c.d\nHAPROXY_0_PATH=/x\nHAPROXY_0_REDIRECT_TO_HTTPS=true\nHAPROXY_0_SSL_CERT=/etc/ssl/a.pem\nHAPROXY_0_BACKEND_WEIGHT=7",
    "HAPROXY_GROUP=external\nHAPROXY_1_MODE=http\nHAPROXY_1_STICKY=t\nHAPROXY_1_BALANCE=leastconn\nHAPROXY_1_BIND_ADDR=127.0.0.1\nHAPROXY_1_ENABLED=no\nHAPROXY_0_BACKEND_HTTP_OPTIONS=x\nHAPROXY_HTTP_FRONTEND_HEAD=y",
)  # fmt: skip


def _json_file(data: bytes) -> None:
    """A file in whichever language it looks like; a second file beside it where a NUL parts them."""
    text, _, other = data.partition(b"\0")
    try:
        source = Source(
            text=decode_manifest(text, file="f.json"), file="f.json", stack="shop",
            files={"g.json": decode_manifest(other, file="g.json")} if other else {},
        )  # fmt: skip
        names = named_secrets(source)
        manifest = parse_manifest(source)
    except ManifestError as error:
        for problem in error.problems:
            assert problem.message
            assert "object at 0x" not in str(problem), problem
        return
    assert all(isinstance(name, str) for name in names)
    _written(manifest)


def _marathon_seeds() -> Sequence[bytes]:
    vectors = [json.loads(line) for line in examples("tests/vectors/marathon.jsonl")[0].splitlines()]  # fmt: skip
    taken = [v["input"] for v in vectors if v["kind"] in ("normalize", "validate", "pod")]
    group = {"id": "/g", "apps": [{"id": "a", "cmd": "x", "dependencies": ["b"]}], "groups": [{"id": "h", "pods": []}], "dependencies": ["/z"]}  # fmt: skip
    return [*examples("examples/marathon-*/*.json"), *(json.dumps(v).encode() for v in [*taken, group])]  # fmt: skip


def _ecs_seeds() -> Sequence[bytes]:
    vectors = [json.loads(line) for line in examples("tests/vectors/ecs.jsonl")[0].splitlines()]
    taken = [v["input"] for v in vectors if v.get("operation") in ("RegisterTaskDefinition", "CreateService")]  # fmt: skip
    both = examples("examples/ecs/*.json")
    return [*both, b"\0".join(both), b"\0".join(reversed(both)), *(json.dumps(v).encode() for v in taken)]  # fmt: skip


def _definitions(data: bytes) -> None:
    """What Marathon's API is sent, each way it can be meant, and what is made of it once more."""
    settings = Settings(default_network_name="n")
    try:
        raw: Any = parse_body(data.decode(errors="replace"))
    except MarathonRefusal:
        return
    around = Around(settings=settings, enforcing=("a",), pods=True)
    for once in (
        lambda: accept_app(accept_app(raw, settings), settings),
        lambda: accept_app(raw, settings, base="/a/b", path="/a/b/c", enforces_role=True),
        lambda: accept_pod(accept_pod(raw, settings), settings),
        lambda: accept_update(raw, _STORED, settings),
        lambda: accept_group(raw, around),
        lambda: version_of_group(raw),
        lambda: (version_of(raw), id_of_update(raw)),
    ):
        with suppress(MarathonRefusal):
            json.dumps(once())


_STORED = accept_app({"id": "/a", "cmd": "sleep 1", "networks": [{"mode": "container", "name": "n"}], "container": {"type": "MESOS", "portMappings": [{"containerPort": 80}], "docker": {"image": "x"}}}, Settings())  # fmt: skip


def _dotenv(data: bytes) -> None:
    with suppress(ManifestError):
        parse_dotenv(data.decode(errors="replace"), ".env", _VARIABLES)


def _template(data: bytes) -> None:
    with suppress(TemplateError):
        parse_template(data.decode(errors="replace"))


_YAML = ("<<: ", "*base", "&base ", "- ", ": ", "? ", "!!str ", "!!binary ", "|-\n", ">+\n", "---\n", "...\n", "%YAML 1.1\n", "[", "]", "{", "}", "${A:-", "${A:?", "${A:+", "$$", "0x1F", "1_000", ".inf", "~", "2001-01-01")  # fmt: skip
_DOTENV = ("export ", "A=", "='", '="', "\\n", "${A:-b}", "$A", " #", "\r\n", "\ufeff")

TARGETS = (
    Target(name="compose", check=_compose, seeds=_compose_seeds, is_json=True, words=_YAML),
    Target(name="marathon-file", check=_json_file, seeds=_marathon_seeds, is_json=True),
    Target(name="marathon-definition", check=_definitions, seeds=_marathon_seeds, is_json=True),
    Target(name="ecs-file", check=_json_file, seeds=_ecs_seeds, is_json=True),
    Target(name="labels", check=_labels, seeds=lambda: [text.encode() for text in _LABELS], words=("HAPROXY_", "portway.", "convox.", "_0_", "true", "10s", "%")),
    Target(
        name="variables",
        check=choosing((_dotenv, _template)),
        seeds=lambda: chosen((("A=1\nexport B='x $A'\nC=\"${A:-b}\" # c\n", "A\nB:c\n"), ("${A:-${B:?no}}$$x$C", "${A+b}"))),
        words=_DOTENV,
    ),
)  # fmt: skip
