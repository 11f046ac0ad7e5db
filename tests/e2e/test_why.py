"""`portway why` on real containers, sockets and HAProxy: one stack of broken apps, each named by its sentence."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portway.cli.client import Client
from tests.e2e.conftest import _short_home
from tests.e2e.machine import SERVES, Machine, free_port, until

pytestmark = [pytest.mark.docker, pytest.mark.haproxy, pytest.mark.timeout(120)]

SERVING = SERVES.format(text="good")
THREE_PORTS = f"httpd -p 81 -h /www; httpd -p 82 -h /www; {SERVING}"
SAYS_500 = (
    r"while :; do printf 'HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n' | nc -l -p 80; done"
)
# So long a start-up time that none of them is given up while it is looked at.
PATIENT = {"healthcheck": {"start_period": "300s"}}
CHECKED = {"labels": {"portway.health.path": "/healthz", "portway.health.timeout": "1"}}


class Ward:
    """The stack of broken apps, and what `why` says of them."""

    def __init__(self, machine: Machine, image: str) -> None:
        self.machine = machine
        self.image = image
        self.services: dict[str, Any] = {}
        self.listeners: dict[str, int] = {}

    def admit(self, name: str, shell: str, **more: Any) -> None:
        self.listeners[name] = free_port()
        ports = [f"{self.listeners[name]}:80"]
        command = ["sh", "-c", f"mkdir -p /www; {shell}"]
        service = {
            "image": self.image,
            "command": command,
            "ports": ports,
            "stop_grace_period": "0s",
        }
        self.services[name] = {**service, **PATIENT, **more}

    def deploy(self) -> None:
        self.machine.manifest(json.dumps({"name": "ward", "services": self.services}))
        self.machine.ok("deploy", "--no-wait")

    def ask(self, subject: str) -> Any:
        client = Client(self.machine.home / "portway.sock")
        return client.ask("GET", "/why", query={"subject": subject})

    def until_said(self, subject: str, beginning: str | tuple[str, ...]) -> Any:
        """Ask until the sentence begins so."""
        last: dict[str, Any] = {}

        def said() -> Any:
            last.update(self.ask(subject))
            return last if last["sentence"].startswith(beginning) else None

        try:
            return until(said, deadline_s=30)
        except AssertionError:
            hops = "\n".join(f"{h['verdict']} {h['name']} {h['text']}" for h in last["hops"])
            raise AssertionError(f"{last['sentence']!r} is not {beginning!r}\n{hops}") from None

    def get(self, path: str) -> Any:
        return Client(self.machine.home / "portway.sock").ask("GET", path)

    def detail(self, app: str, name: str) -> str:
        instances = self.get("/instances")
        return next(i["details"][name] for i in instances if i["app"] == app)


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory, image: str) -> Iterator[Ward]:
    made = Ward(
        Machine(home=_short_home(), directory=tmp_path_factory.mktemp("why") / "ward"), image
    )
    made.admit("web", THREE_PORTS)
    secret = free_port()
    made.services["web"]["ports"] += [f"{secret}:81", "82"]
    made.services["web"]["labels"] = {f"portway.port.{secret}.protocol": "https"}
    made.admit("loopback", "exec httpd -f -p 127.0.0.1:9090 -h /www")
    six = {"sysctls": {"net.ipv6.bindv6only": "1"}}
    made.admit("six", "exec httpd -f -p '[::]:80' -h /www", **six)
    made.admit("slow", "exec sleep 1000")
    made.admit("ill", SAYS_500, **CHECKED)
    made.admit("late", "exec nc -ll -p 80 -e sleep 1000", **CHECKED)
    made.admit("waits", SERVING, depends_on={"slow": {"condition": "service_healthy"}})
    # Nobody is to replace it while it is maltreated.
    rarely = {"healthcheck": {"start_period": "300s", "interval": "60s"}}
    made.admit("victim", SERVING, **rarely)
    try:
        made.deploy()
        yield made
    finally:
        made.machine.close()


SENTENCES = {
    "web": "web answers: HTTP 200 in ",
    "loopback": "loopback listens on 127.0.0.1:9090 inside its container; make it listen on "
    "0.0.0.0:80, or map 9090 (the right number of its port in the manifest) and make it listen there",
    "six": "six listens on IPv6 only ([::]:80) inside its container; make it listen on 0.0.0.0:80",
    "slow": ("slow.1.1 has run for ", "slow listens on no TCP port inside its container"),
    "ill": "ill.1.1 answers its health check with HTTP 500 from /healthz",
    "late": "late.1.1 gives its health check no answer from ",
    "waits": "waits is not started: it waits for slow to be healthy; `portway why slow -a ward`",
}


@pytest.mark.parametrize(("subject", "beginning"), SENTENCES.items(), ids=SENTENCES.keys())
def test_each_app_is_named_by_its_sentence(
    ward: Ward, subject: str, beginning: str | tuple[str, ...]
):
    said = ward.until_said(subject, beginning)
    assert (said["verdict"] == "ok") is (subject == "web")


def test_a_frozen_container_is_known(ward: Ward):
    ward.until_said("victim", "victim answers: HTTP 200")
    container = ward.detail("victim", "container")
    subprocess.run(["docker", "pause", container], check=True, capture_output=True)
    try:
        ward.until_said("victim.1", "victim is frozen: its process is stopped")
    finally:
        subprocess.run(["docker", "unpause", container], check=True, capture_output=True)


def test_a_rule_of_the_firewall_that_drops_traffic_is_named(ward: Ward):
    ward.until_said("victim", "victim answers: HTTP 200")
    address = address_of(ward, "victim")
    rule = ["OUTPUT", "-d", address, "-p", "tcp", "-j", "DROP"]
    subprocess.run(["iptables", "-w", "-I", *rule], check=True)
    try:
        ward.until_said(
            "victim.1",
            f"the firewall of this machine drops what is sent to victim at {address}:80: "
            f'"-A OUTPUT -d {address}/32 -p tcp -j DROP"; delete that rule: iptables -D OUTPUT',
        )
    finally:
        subprocess.run(["iptables", "-w", "-D", *rule], check=True)


def address_of(ward: Ward, app: str) -> str:
    routes = ward.get("/map")
    endpoints = [e for r in routes if r["app"] == app for e in r["endpoints"]]
    return next(e["target_address"] for e in endpoints if e["state"] == "ready")


def test_urls_and_addresses_are_walked_from_the_other_end(ward: Ward):
    ward.until_said("web", "web answers: HTTP 200")
    listeners = {r["port_name"]: r["service_port"] for r in ward.get("/map") if r["app"] == "web"}
    web, secret, inner = (listeners[name] for name in sorted(listeners))
    gateway = address_of(ward, "web").rpartition(".")[0] + ".1"
    expected = {
        f"http://127.0.0.1:{web}/": f"http://127.0.0.1:{web}/ answers: HTTP 200 in ",
        f"http://127.0.0.1:{web}/nosuch": "the way is open, and the listener of ward/web itself "
        "answers HTTP 404 at /nosuch; correct the path",
        f"https://127.0.0.1:{web}/": f"127.0.0.1:{web} speaks plain HTTP, not TLS; ask http://",
        f"http://127.0.0.1:{secret}/": f"127.0.0.1:{secret} speaks TLS, not plain HTTP; ask https",
        f"https://127.0.0.1:{secret}/": f"the certificate of 127.0.0.1:{secret} is for localhost, not",
        f"{gateway}:{inner}": f"nobody listens on {gateway}:{inner}: the listener of ward/web is "
        f"on 127.0.0.1:{inner} only, because its port is internal",
        "http://nosuch.invalid/": "nosuch.invalid means no address: it does not resolve",
        "http://203.0.113.7/": "203.0.113.7, which is not an address of this machine",
    }
    found = {subject: ward.ask(subject)["sentence"] for subject in expected}
    assert {s: found[s].startswith(b) for s, b in expected.items()} == dict.fromkeys(
        expected, True
    ), found


def test_a_host_port_leads_to_its_instance_and_a_strange_one_to_its_holder(ward: Ward):
    instance = next(i for i in ward.get("/instances") if i["app"] == "loopback")
    [port] = instance["ports"]
    ward.until_said(f"127.0.0.1:{port['host_port']}", "loopback listens on 127.0.0.1:9090")
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        number = ours.getsockname()[1]
        said = ward.ask(f"127.0.0.1:{number}")
    assert said["verdict"] == "ok"
    assert f"(pid {os.getpid()}); it is none of portway's" in said["sentence"]


def test_one_that_was_stopped_by_hand_is_told_with_its_end(ward: Ward):
    ward.until_said("web", "web answers: HTTP 200")
    container = ward.detail("web", "container")
    subprocess.run(["docker", "stop", "-t", "0", container], check=True, capture_output=True)
    ward.until_said("web.1.1", "web.1.1 is gone: it exited with code 137 (SIGKILL")
    ward.until_said("web", "web answers: HTTP 200")


def test_the_command_line_tells_by_its_exit_code(ward: Ward):
    assert "OK: web answers: HTTP 200" in ward.machine.ok("why", "web")
    assert "BROKEN: six listens on IPv6 only" in ward.machine.refused("why", "six", code=1)
    assert 'Did you mean "web"?' in ward.machine.refused("why", "wbe", code=2)


def test_the_doctor_finds_its_way_about_the_real_machine(ward: Ward):
    findings = json.loads(ward.machine.run("doctor", "--json").stdout)
    checks = {one["check"] for one in findings}
    assert {"server", "home", "store", "docker", "haproxy", "firewall", "clock"} <= checks
    text = {one["check"]: one["text"] for one in findings}
    assert text["server"].startswith("the server runs (process ")
    assert " answers, API " in text["docker"]


def test_without_a_server_it_says_what_still_serves_and_what_no_longer_does(ward: Ward):
    """The last one: it takes the server down, and then HAProxy."""
    ward.machine.ok("server", "stop")
    where = f"ward/web on 127.0.0.1:{ward.listeners['web']}"
    said = ward.machine.refused("why", "web", code=1)
    assert "no portway server is running, so nothing of web is watched or replaced" in said
    assert "still serves ward/web on " in said, said
    assert where in said
    for pid in balancer_of(ward.machine.home):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not balancer_of(ward.machine.home))
    said = ward.machine.refused("why", "web", code=1)
    assert "and no HAProxy runs either, so nobody serves ward/web on " in said


def balancer_of(home: Path) -> list[int]:
    words = str(home / "haproxy").encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if words in (entry / "cmdline").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
