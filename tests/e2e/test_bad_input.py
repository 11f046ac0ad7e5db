"""What bad input gets: a sentence that says what to do, the right exit code, and a release that goes on serving."""

from __future__ import annotations

import datetime
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.machine import PORTWAY, Machine, Shop, free_port, get, without_capabilities

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(120)]

FAILED, WRONG = 1, 2
WRITES_PORTS = "docker-compose.yml:7:9: services.web.ports[0]: "


@contextmanager
def listening(number: int) -> Iterator[None]:
    """Another program (this one) that has a port."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", number))
        other.listen()
        yield


@pytest.mark.parametrize(
    ("ports", "said"),
    [
        ("0:80", "the published port 0 is out of range"),
        ("65536:80", "the published port 65536 is out of range"),
        ("-1:80", "the published port -1 is negative"),
        ("8000:70000", "the container port 70000 is out of range"),
        ("80/tcp/udp", "'tcp/udp' names more than one protocol"),
        ("9000-8000:80", "the range 9000-8000 runs backwards"),
        ("8000-8002:80-81", "the ranges 8000-8002 and 80-81 are not of the same size"),
        ("http:80", "the published port 'http' is not a number"),
        ("300.1.1.1:80:80", "'300.1.1.1' is not an IP address"),
    ],
)
def test_a_wrong_port_is_shown_with_its_place(untouched: Shop, ports: str, said: str):
    assert WRITES_PORTS + said in (full := untouched.deploy(code=WRONG, ports=ports))
    assert len(full.splitlines()) >= 3, "what is wrong is followed by what to write"


def test_two_apps_of_a_manifest_that_want_one_listener_are_both_named(untouched: Shop):
    second = f"  api:\n    image: {untouched.image}\n    ports: ['{untouched.listener}:80']\n"
    untouched.machine.manifest(untouched.text() + second)
    said = untouched.machine.refused("deploy", code=WRONG)
    assert f"api wants to listen on {untouched.listener}, which web already takes" in said
    assert "docker-compose.yml:7:9" in said


def test_a_listener_of_another_stack_is_refused_and_its_owner_named(untouched: Shop):
    untouched.machine.write("other/docker-compose.yml", untouched.text())
    for command in ("deploy", "plan"):
        said = untouched.machine.refused(command, "other", code=WRONG)
        assert f"other/web wants the listener {untouched.listener}, which shop/web has" in said
        assert "Change the left number" in said


def test_a_listener_another_program_has_is_refused_and_the_program_named(untouched: Shop):
    taken = free_port()
    with listening(taken):
        for command in ("deploy", "plan"):
            untouched.write(ports=f"{taken}:80")
            said = untouched.machine.refused(command, code=WRONG)
            assert f"web wants to listen on {taken}, but {taken} is held by" in said
            assert f"(pid {os.getpid()}), listening on 127.0.0.1:{taken}" in said
            assert "Stop what has it, or change the left number" in said


def test_a_fixed_host_port_another_program_has_is_refused_and_the_program_named(untouched: Shop):
    taken = free_port()
    with listening(taken):
        said = untouched.deploy(code=WRONG, ports=f"{{target: 81, published: {taken}, mode: host}}")
    assert f"web wants the host port {taken}, but {taken} is held by" in said
    assert f"(pid {os.getpid()})" in said


def test_a_fixed_host_port_serves_one_instance_and_no_more(untouched: Shop):
    said = untouched.deploy(
        code=WRONG,
        ports=f"{{target: 81, published: {free_port()}, mode: host}}",
        more="deploy: {replicas: 2}",
    )
    assert "web asks for 2 instances, and its host port" in said
    assert "Ask for one instance" in said


def test_more_instances_than_host_ports_are_refused_with_the_range(untouched: Shop):
    scaled = untouched.machine.refused("scale", "web=51", code=WRONG)
    deployed = untouched.deploy(code=WRONG, more="deploy: {replicas: 51}")
    for said in (scaled, deployed):
        assert "shop needs 51 host ports for its instances, and the range" in said
        assert "has 50" in said
        assert "--host-ports" in said


def test_an_image_that_is_nowhere_is_said_and_why_it_could_not_be_fetched(untouched: Shop):
    # A registry on a port where nothing listens: as unreachable as one behind a dead network.
    image = f"127.0.0.1:{free_port()}/nosuch:1"
    said = untouched.deploy(code=FAILED, what=f"image: {image}")
    assert f"The image {image} could not be pulled: the registry cannot be reached." in said
    assert "docker load" in said


def test_an_image_name_that_cannot_be_one_is_shown_with_its_place(untouched: Shop):
    said = untouched.deploy(code=WRONG, what="image: NoSuch")
    assert "docker-compose.yml:3:12: services.web.image: 'NoSuch' is not the name" in said
    assert "Write nosuch." in said


def test_a_failing_build_shows_the_step_its_code_and_its_last_lines(untouched: Shop):
    untouched.machine.write(
        "broken/Dockerfile",
        f"FROM {untouched.image}\n"
        'RUN ["/bin/busybox", "sh", "-c", "echo compiling; echo main.c: syntax error >&2; exit 3"]\n',
    )
    said = untouched.deploy(code=FAILED, what="build: broken")
    assert "ERROR: The image of web could not be built: the step" in said
    assert "failed with exit code 3" in said
    _, _, last = said.partition("The build wrote last:")
    assert "compiling" in last
    assert "main.c: syntax error" in last
    assert "Correct the Dockerfile" in last


def test_a_build_without_dockerfile_or_directory_starts_nothing(untouched: Shop):
    said = untouched.deploy(code=WRONG, what="build: nowhere")
    assert "web is built from" in said
    assert "which is not a directory" in said
    untouched.machine.write("empty/readme", "")
    said = untouched.deploy(code=WRONG, what="build: empty")
    assert "empty/Dockerfile, which does not exist" in said


class Certificates:
    """Certificates and keys as files, the way people have them."""

    def __init__(self, machine: Machine, listener: int) -> None:
        self.machine = machine
        self.target = f"web:{listener}"

    def write(self, name: str, *, days: int = 10) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}.test")])
        end = datetime.datetime.fromtimestamp(_now_s() + days * 86400, datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - datetime.timedelta(days=20))
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"{name}.test")]), False)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        no_password = serialization.NoEncryption()
        text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_password)
        self.machine.write(f"{name}.key", text.decode())
        self.machine.write(f"{name}.crt", made.public_bytes(pem).decode())

    def refused(self, certificate: str, key: str) -> str:
        said = self.machine.refused("ssl", "create", self.target, certificate, key, code=WRONG)
        assert self.machine.json("ssl") == []
        return said


def _now_s() -> float:
    return datetime.datetime.now(datetime.UTC).timestamp()  # noqa: TID251  (a real certificate's)


def test_a_certificate_that_cannot_serve_is_refused_and_none_is_kept(untouched: Shop):
    files = Certificates(untouched.machine, untouched.listener)
    files.write("a")
    files.write("b")
    files.write("old", days=-3)
    untouched.machine.write("junk", "hello\n")
    assert "The private key does not belong to the certificate of a.test" in files.refused(
        "a.crt", "b.key"
    )
    assert "The certificate and the key are swapped" in files.refused("a.key", "a.crt")
    assert "expired" in files.refused("old.crt", "old.key")
    assert "The certificate is not in PEM form" in files.refused("junk", "a.key")
    assert "The key is not in PEM form" in files.refused("a.crt", "junk")
    assert "nowhere.crt cannot be read" in files.refused("nowhere.crt", "a.key")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("ps -a shp", 'there is no stack "shp". Did you mean "shop"?'),
        ("events -a shp", 'there is no stack "shp". Did you mean "shop"?'),
        ("apps delete -a shp --yes", 'there is no stack "shp". Did you mean "shop"?'),
        ("scale wbe=3", 'shop has no app "wbe". Did you mean "web"?'),
        ("restart wbe", 'shop has no app "wbe". Did you mean "web"?'),
        ("exec wbe true", 'shop has no instance "wbe". Did you mean "web"?'),
        ("ps stop web.1.99", 'shop has no instance "web.1.99". Did you mean "web.1.1"?'),
        ("ssl create web:1 --self-signed", "web has no listener 1"),
        ("rollback", "shop has no earlier release to go back to"),
        ("cancel", "no deployment of shop is under way"),
        ("scale web=many", '"web=many" is not an App and a count'),
        ("deplyo", 'There is no command "deplyo". Did you mean "deploy"?'),
        ("deploy nowhere.yml", "There is no file or directory nowhere.yml"),
    ],
)
def test_an_unknown_name_is_answered_with_what_was_meant(untouched: Shop, words: str, said: str):
    assert said in untouched.machine.refused(*words.split(), code=WRONG)


def test_an_unknown_release_is_answered_with_the_one_that_was_meant(untouched: Shop):
    release = untouched.survey()["release"]
    mistyped = release[:-1] + ("A" if release[-1] != "A" else "B")
    for command in (("promote",), ("rollback",), ("releases", "info")):
        said = untouched.machine.refused(*command, mistyped, code=WRONG)
        assert f'shop has no release {mistyped}. Did you mean "{release}"?' in said


def test_a_manifest_that_is_none_is_refused_before_anything_is_asked(untouched: Shop):
    machine = untouched.machine
    machine.manifest("#" * 2_000_000)
    assert "docker-compose.yml is too large: 2000000 bytes" in machine.refused("deploy", code=WRONG)
    (machine.directory / "docker-compose.yml").write_bytes(b"services:\n  web: \xff\n")
    assert "is not UTF-8 text" in machine.refused("deploy", code=WRONG)
    machine.manifest("services:\n  web:\n    image: [a\n")
    assert "docker-compose.yml:3:12: " in machine.refused("deploy", code=WRONG)
    (machine.directory / "docker-compose.yml").unlink()
    for command in ("deploy", "plan", "start"):
        said = machine.refused(command, code=WRONG)
        assert "There is no manifest in this directory" in said
        assert "docker-compose.yml" in said


def test_a_manifest_this_user_may_not_read_is_said_so(untouched: Shop):
    (untouched.machine.directory / "docker-compose.yml").chmod(0)
    words = without_capabilities("dac_override dac_read_search", str(PORTWAY), "deploy")
    done = subprocess.run(
        words,
        cwd=untouched.machine.directory,
        env=untouched.machine.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == WRONG, done
    assert "docker-compose.yml cannot be read: Permission denied" in done.stderr


def test_json_answers_stay_json_where_it_fails(untouched: Shop):
    untouched.write(more="deploy: {replicas: 51}")
    done = untouched.machine.run("deploy", "--json")
    assert done.returncode == WRONG
    assert done.stdout == "" or json.loads(done.stdout)
    assert "shop needs 51 host ports" in done.stderr


def test_what_was_refused_leaves_nothing_running(shop: Shop):
    ours = json.dumps(shop.machine.json("ps"))
    assert len(json.loads(ours)) == 1
    assert get(shop.url) == "good\n"
