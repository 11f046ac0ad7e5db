"""Requests a second through portway's balancer, two haproxy.cfg by hand, and Docker's own published port.

    .venv/bin/python benchmarks/balancer.py [--quick]

All lead to the same two containers, whose server is a HAProxy that answers every request itself. `wrk` keeps 32
connections busy on the machine that everything else runs on, so the ratios mean more than the figures. Besides,
the processor time that the proxies took for a request (not the kernel's on behalf of others): a busy machine
disturbs that far less. docs/benchmarks.md says what each configuration does.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from measure import Figure, against, arguments, in_turns, report
from rig import client, free_port, portway, release, run, settled
from rig import wait_until_it_answers as answered

IMAGE = "portway-benchmark:fast"
REPORTED_S = (
    5.0  # requests are told one by one while a deployment runs, which is not what is measured here
)
MANIFEST = """services:
  web:
    image: {image}
    stop_signal: SIGKILL
    ports: ["{listener}:80"]
    deploy: {{replicas: 2}}
"""
FAST = """global
    nbthread 1
defaults
    mode http
    timeout client 1m
frontend fast
    bind :80
    http-request return status 200 content-type text/plain string "ok"
"""
BARE = """global
    maxconn 5000
defaults
    mode http
    timeout connect 3s
    timeout client 1h
    timeout server 1h
frontend web
    bind 127.0.0.1:{listener}
    default_backend web
backend web
    server web1 {one}
    server web2 {two}
"""
CAREFUL = BARE.replace(
    "    default_backend",
    """    option forwardfor
    unique-id-format %[uuid()]
    unique-id-header X-Request-ID
    http-request del-header Forwarded
    http-request del-header X-Forwarded-For
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Port %[dst_port]
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    default_backend""",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to the containers: where to ask, and whose processor time it costs."""

    name: str
    service_port: int
    process_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one run of wrk gave."""

    per_s: float
    cpu_us: float  # of one request


def main() -> int:
    """Run it and print the table."""
    options = arguments(__doc__, seconds=3)
    rounds = 3 if options.quick else 5
    with fast_image(), portway() as machine:
        api, listener = client(machine), free_port()
        wanted = release(api, "fast", MANIFEST.format(image=IMAGE, listener=listener))
        api.ask("POST", f"/stacks/fast/releases/{wanted}/promote", body={})
        settled(api, "fast")
        endpoints = api.ask("GET", "/map", query={"stack": "fast"})[0]["endpoints"]
        containers = [f"{endpoint['target_address']}:80" for endpoint in endpoints]
        published = [f"127.0.0.1:{endpoint['host_port']}" for endpoint in endpoints]
        proxies = tuple(docker_proxy(endpoint["host_port"]) for endpoint in endpoints)
        time.sleep(REPORTED_S)
        ours = Way(name="portway", service_port=listener, process_ids=workers(machine.home))
        docker = Way(
            name="docker-proxy", service_port=endpoints[0]["host_port"], process_ids=proxies[:1]
        )
        with (
            by_hand("a careful haproxy.cfg", CAREFUL, containers) as careful,
            by_hand("a bare haproxy.cfg", BARE, containers) as bare,
            by_hand("HAProxy to docker-proxy", CAREFUL, published, also=proxies) as both,
        ):
            rivals = [(careful, 0.97, 0.97), (bare, None, None), (both, None, 2.0)]
            rivals.append((docker, None, None))
            figures = list(compared(ours, rivals, rounds, options.seconds))
    return report(figures, options)


def compared(
    ours: Way, rivals: list[tuple[Way, float | None, float | None]], rounds: int, seconds: int
) -> Iterator[Figure]:
    """Keep-alive and a connection for each request, against each of the rivals."""
    for rival, aim_kept, aim_new in rivals:
        for kind, aim, headers in (
            ("keep-alive", aim_kept, []),
            ("a connection each", aim_new, ["-H", "Connection: close"]),
        ):
            mine, theirs = in_turns(
                lambda words=headers: sample(ours, seconds, words),
                lambda way=rival, words=headers: sample(way, seconds, words),
                rounds,
            )
            yield against(
                f"requests/s, {kind}",
                [one.per_s for one in mine],
                [one.per_s for one in theirs],
                rival=rival.name,
                aim=aim,
                tell=lambda per_s: f"{per_s:,.0f}",
                more_is_better=True,
            )
            yield against(
                f"processor time of a request, {kind}",
                [one.cpu_us for one in mine],
                [one.cpu_us for one in theirs],
                rival=rival.name,
                aim=None,
                tell=lambda cpu_us: f"{cpu_us:.1f} us",
            )


def sample(way: Way, seconds: int, words: list[str]) -> Sample:
    """One run of wrk; RuntimeError where any request failed."""
    before_s = cpu_s(way.process_ids)
    requests, per_s = rate(way.service_port, seconds, words)
    return Sample(per_s=per_s, cpu_us=(cpu_s(way.process_ids) - before_s) / requests * 1e6)


def cpu_s(process_ids: tuple[int, ...]) -> float:
    """What all threads of the processes have had of the processors."""
    threads = [t for pid in process_ids for t in Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((t / "schedstat").read_text().split()[0]) for t in threads) / 1e9


def workers(home: Path) -> tuple[int, ...]:
    """The HAProxy processes that run in this home."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if (
                path.readlink() == home / "haproxy"
                and path.parent.joinpath("comm").read_text() == "haproxy\n"
            ):
                found.append(int(path.parent.name))
    return tuple(found)


def docker_proxy(host_port: int) -> int:
    """The process that Docker forwards this port of 127.0.0.1 with."""
    words = f"\0-host-port\0{host_port}\0".encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if words in path.read_bytes():
                return int(path.parent.name)
    raise RuntimeError(
        f"no docker-proxy holds port {host_port}: Docker runs with userland-proxy=false"
    )


def rate(number: int, seconds: int, words: list[str]) -> tuple[int, float]:
    """Requests, and requests a second, as wrk counts them; RuntimeError where any failed."""
    said = run("wrk", "-t1", "-c32", f"-d{seconds}s", *words, f"http://127.0.0.1:{number}/")
    if "Non-2xx" in said or "Socket errors: connect" in said:
        raise RuntimeError(said)
    found = re.search(r"(\d+) requests in [\s\S]*Requests/sec:\s+([\d.]+)", said)
    assert found, said
    return int(found[1]), float(found[2])


@contextmanager
def by_hand(
    name: str, config: str, servers: list[str], *, also: tuple[int, ...] = ()
) -> Iterator[Way]:
    """A HAProxy of its own before the servers; `also`: the processes behind it that count too."""
    listener, (one, two) = free_port(), servers
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "haproxy.cfg"
        path.write_text(config.format(listener=listener, one=one, two=two))
        process = subprocess.Popen(["haproxy", "-f", str(path), "-db"])
        try:
            answered("127.0.0.1", listener)
            yield Way(name=name, service_port=listener, process_ids=(process.pid, *also))
        finally:
            process.terminate()
            process.wait()


@contextmanager
def fast_image() -> Iterator[None]:
    """An image of HAProxy and the libraries it needs, copied from this machine."""
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    needed = sorted(set(re.findall(r"(/\S+) \(0x", run("ldd", program))))
    with tempfile.TemporaryDirectory() as context:
        root = Path(context) / "root"
        for path in (program, *needed):
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        (root / "haproxy.cfg").write_text(FAST)
        dockerfile = f'FROM scratch\nCOPY root /\nCMD ["{program}", "-f", "/haproxy.cfg", "-db"]\n'
        (Path(context) / "Dockerfile").write_text(dockerfile)
        run("docker", "build", "-q", "-t", IMAGE, context)
    try:
        yield
    finally:
        subprocess.run(["docker", "rmi", "-f", IMAGE], check=False, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
