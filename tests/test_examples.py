"""Every example is what its README says: it parses without a warning, runs, answers, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import tempfile
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pytest

from portway.config import Config
from portway.core.app import Condition, Exposure, ListenerProtocol, VolumeKind
from portway.manifests.base import Manifest
from portway.manifests.compose import parse_compose
from portway.manifests.ecs import parse_ecs
from tests.e2e.machine import Machine, free_port, get, until

EXAMPLES = Path(__file__).parents[1] / "examples"
F = TypeVar("F", bound=Callable[..., None])
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/docker-compose.yml"))


def parsed(name: str) -> Manifest:
    directory = EXAMPLES / name
    files = {path.name: path.read_text() for path in directory.glob("*.env")}
    text = (directory / "docker-compose.yml").read_text()
    return parse_compose(text, stack=name, files=files, directory=str(directory))


def test_there_is_an_example_of_each_kind():
    assert NAMES == ["compose-app", "httpd", "process", "two-ports-tls"]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_parses_without_a_warning_and_explains_itself(name: str):
    assert parsed(name).warnings == ()
    assert (EXAMPLES / name / "README.md").read_text().startswith(f"# {name}\n")


def test_httpd_is_two_instances_behind_one_listener():
    (web,) = parsed("httpd").apps
    (spec,) = web.ports
    assert (web.count, spec.service_ports, spec.container_port) == (2, (8000,), 80)
    assert spec.exposure is Exposure.PUBLIC


def test_two_ports_tls_has_two_listeners_for_one_container_port():
    (web,) = parsed("two-ports-tls").apps
    assert [(s.service_ports, s.container_port, s.listener.protocol) for s in web.ports] == [
        ((8088,), 80, ListenerProtocol.AUTO),
        ((8443,), 80, ListenerProtocol.HTTPS),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_no_example_wants_the_port_of_portways_own_api(name: str):
    own = int(Config(home=Path("/nowhere")).listen.rpartition(":")[2])
    assert own not in {n for app in parsed(name).apps for s in app.ports for n in s.service_ports}


def test_compose_app_keeps_its_store_inside_and_waits_for_it():
    web, worker, store = parsed("compose-app").apps
    assert [s.exposure for s in web.ports] == [Exposure.PUBLIC]
    assert [s.exposure for s in store.ports] == [Exposure.INTERNAL]
    assert worker.ports == ()
    assert [link.name for link in worker.links] == ["store"]
    assert {d.condition for app in (web, worker) for d in app.depends_on} == {Condition.HEALTHY}
    assert [v.kind for v in store.volumes] == [VolumeKind.NAMED]


def test_process_runs_commands_and_no_images():
    apps = parsed("process").apps
    assert all(app.command and app.image is None and app.build is None for app in apps)


@dataclass
class Example:
    """An example in a portway of its own, under a name and on listeners nobody else has."""

    name: str
    engine: str = "docker"
    stack: str = field(default_factory=lambda: f"example-{uuid.uuid4().hex[:8]}")
    http: int = field(default_factory=free_port)
    https: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        # A unix socket's path may have 107 bytes; pytest's own directories are longer.
        self.home = Path(tempfile.mkdtemp(prefix="pw"))
        self.machine = Machine(
            home=self.home,
            directory=EXAMPLES / self.name,
            engine=self.engine,
            variables={
                "HTTP_PORT": str(self.http),
                "HTTPS_PORT": str(self.https),
                "PORTWAY_STACK": self.stack,
            },
        )

    def ok(self, *words: str, **variables: str) -> str:
        return self.machine.ok(*words, env=variables)

    def get(self, path: str = "/") -> str:
        return get(f"http://127.0.0.1:{self.http}{path}")

    def delete(self) -> None:
        """As the README says; then nothing that ran may be left."""
        self.ok("apps", "delete", "--yes")
        assert self.get() == ""
        assert self.docker("ps", "-aq", "--filter", f"label=portway.stack={self.stack}") == []
        assert self.docker("network", "ls", "-q", "--filter", f"name={self.stack}") == []
        self.ok("server", "stop")
        until(lambda: not self.machine.processes(), deadline_s=20, why="no process is left")

    def close(self) -> None:
        """Whatever became of the test; images and volumes are the user's, so they stay otherwise."""
        self.machine.close()
        if self.engine == "docker":
            listed = ("images", "--format", "{{.Repository}}:{{.Tag}}")
            reference = f"reference=portway/{self.stack}-*"
            for image in self.docker(*listed, "--filter", reference):
                self.docker("rmi", image)
            for volume in self.docker("volume", "ls", "-q", "--filter", f"name={self.stack}_"):
                self.docker("volume", "rm", volume)

    def docker(self, *words: str) -> list[str]:
        if self.engine != "docker":
            return []
        done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Iterator[Example]:
    name: str = request.param
    busybox = EXAMPLES / name / "busybox"
    if (EXAMPLES / name / "Dockerfile").exists() and not busybox.exists():
        shutil.copy("/bin/busybox", busybox)
    made = Example(name=name, engine="process" if name == "process" else "docker")
    yield made
    made.close()


def deployed(name: str) -> Callable[[F], F]:
    """Mark a test that deploys an example for real."""
    marks = [pytest.mark.parametrize("example", [name], indirect=True), pytest.mark.haproxy]
    marks.append(pytest.mark.timeout(180))
    if name != "process":
        marks.append(pytest.mark.docker)

    def mark(function: F) -> F:
        for one in marks:
            function = one(function)
        return function

    return mark


@deployed("httpd")
def test_httpd_answers_and_greets_anew_after_a_redeploy(example: Example):
    said = example.ok("deploy")
    assert f"http://127.0.0.1:{example.http}/  ->  web" in said
    assert example.get() == "<html><body><h1>It works!</h1></body></html>\n"
    example.ok("deploy", GREETING="Hello, you!")
    assert example.get() == "<html><body><h1>Hello, you!</h1></body></html>\n"
    example.ok("rollback")
    assert "It works!" in example.get()
    example.delete()


@deployed("two-ports-tls")
def test_two_ports_tls_ends_tls_at_the_balancer(example: Example, tmp_path: Path):
    example.ok("deploy")
    example.ok("ssl", "create", f"web:{example.https}", "--self-signed")
    path = "/cgi-bin/scheme"
    assert until(lambda: example.get(path)) == "http from 127.0.0.1\n"
    assert tls_get(f"https://127.0.0.1:{example.https}{path}") == "https from 127.0.0.1\n"
    certificate, key = own_certificate(tmp_path)
    example.ok("ssl", "update", f"web:{example.https}", str(certificate), str(key))
    trusting = ssl.create_default_context(cafile=str(certificate))
    url = f"https://localhost:{example.https}{path}"
    assert until(lambda: tls_get(url, trusting)) == "https from 127.0.0.1\n"
    example.delete()


@deployed("compose-app")
def test_compose_app_counts_in_its_store_and_the_worker_writes_it_down(example: Example):
    example.ok("deploy")
    assert example.get("/cgi-bin/sign").startswith("Guest book: visit 1, ")
    assert until(lambda: "served by web." in example.ok("logs", "worker"))
    assert until(lambda: example.get("/cgi-bin/sign").rpartition(", ")[2].startswith("1 "))
    # Data outlives what wrote it: a change of the store replaces it, and the count goes on.
    visits = int(example.get("/cgi-bin/sign").split("visit ")[1].split(",")[0])
    example.ok("restart", "store")
    again = until(lambda: example.get("/cgi-bin/sign"))
    assert int(again.split("visit ")[1].split(",")[0]) > visits
    example.delete()
    volume = f"{example.stack}_store-data"
    assert example.docker("volume", "ls", "-q", "--filter", f"name={volume}") == [volume]


@deployed("process")
def test_process_tells_each_instance_its_port_and_stops_it_gracefully(example: Example):
    example.ok("deploy")
    answers = {example.get().split("(")[1].split(" of")[0] for _ in range(8)}
    assert answers == {"web.1", "web.2"}
    assert until(lambda: "worker.1.1 | It works!" in example.ok("logs", "worker"))
    example.ok("deploy", GREETING="Hello")
    assert example.get().startswith("Hello (web.")
    example.delete()


@pytest.mark.docker
@pytest.mark.haproxy
@pytest.mark.timeout(180)
def test_ecs_serves_its_task_definition_and_another_one_after_it(tmp_path: Path):
    if not (busybox := EXAMPLES / "httpd" / "busybox").exists():
        shutil.copy("/bin/busybox", busybox)
    image = f"portway-test-ecs:{uuid.uuid4().hex[:8]}"
    example = Example(name="ecs")
    example.machine.directory = tmp_path
    text = (EXAMPLES / "ecs" / "taskdef.json").read_text()
    text = text.replace("portway-example-ecs", image).replace("8000", str(example.http))
    shutil.copy(EXAMPLES / "ecs" / "service.json", tmp_path)
    try:
        example.docker("build", "-q", "-t", image, str(EXAMPLES / "httpd"))
        (tmp_path / "taskdef.json").write_text(text)
        example.ok("deploy", "taskdef.json", "service.json")
        greeted = {example.get().rpartition(" ")[0] for _ in range(4)}
        assert greeted == {"Hello from"}
        assert "exited (0)" in example.ok("ps")
        (tmp_path / "taskdef.json").write_text(text.replace('"Hello"', '"Good day"'))
        example.ok("deploy")
        assert example.get().startswith("Good day from ")
    finally:
        example.close()
        example.docker("rmi", "-f", image)


def test_ecs_is_one_app_of_two_containers_without_a_warning():
    documents = {path.name: path.read_text() for path in (EXAMPLES / "ecs").glob("*.json")}
    manifest = parse_ecs(documents, stack="ecs")
    assert [(app.name, app.count, len(app.containers)) for app in manifest.apps] == [("web", 2, 1)]
    assert manifest.warnings == ()
    assert (EXAMPLES / "ecs" / "README.md").read_text().startswith("# ecs\n")


def own_certificate(directory: Path) -> tuple[Path, Path]:
    certificate, key = directory / "my.crt", directory / "my.key"
    words = "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    made = ["openssl", *words.split(), "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True, env=os.environ)
    return certificate, key


def tls_get(url: str, context: ssl.SSLContext | None = None) -> str:
    if context is None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, context=context, timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return ""
