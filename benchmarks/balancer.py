"""Requests a second through portway's balancer, a hand-written haproxy.cfg, and Docker's own published port.

    .venv/bin/python benchmarks/balancer.py [--quick]

All three lead to the same two containers, whose server is a HAProxy that answers every request itself. `wrk`
keeps 32 connections busy on the machine that everything else runs on, so the ratios mean more than the figures.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
BY_HAND = """global
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
    server web1 {one}:80
    server web2 {two}:80
"""


def main() -> int:
    """Run it and print the table."""
    options = arguments(__doc__, seconds=4)
    rounds = 3 if options.quick else 7
    with fast_image(), portway() as machine:
        api, listener = client(machine), free_port()
        wanted = release(api, "fast", MANIFEST.format(image=IMAGE, listener=listener))
        api.ask("POST", f"/stacks/fast/releases/{wanted}/promote", body={})
        settled(api, "fast")
        endpoints = api.ask("GET", "/map", query={"stack": "fast"})[0]["endpoints"]
        addresses = [endpoint["target_address"] for endpoint in endpoints]
        published = endpoints[0]["host_port"]
        time.sleep(REPORTED_S)
        with by_hand(*addresses) as own:
            figures = list(compared(listener, own, published, rounds, options.seconds))
    return report(figures, options)


def compared(
    listener: int, by_hand: int, published: int, rounds: int, seconds: int
) -> Iterator[Figure]:
    """Keep-alive and a connection for each request, against each of the rivals."""
    rivals = [
        ("a haproxy.cfg by hand", by_hand, 0.97, 0.97),
        ("docker-proxy", published, None, 2.0),
    ]
    for name, number, aim_kept, aim_new in rivals:
        for kind, aim, headers in (
            ("keep-alive", aim_kept, []),
            ("a connection each", aim_new, ["-H", "Connection: close"]),
        ):
            mine, theirs = in_turns(
                lambda words=headers: rate(listener, seconds, words),
                lambda number=number, words=headers: rate(number, seconds, words),
                rounds,
            )
            yield against(
                f"requests/s, {kind}",
                mine,
                theirs,
                rival=name,
                aim=aim,
                tell=lambda per_s: f"{per_s:,.0f}",
                more_is_better=True,
            )


def rate(number: int, seconds: int, words: list[str]) -> float:
    """Requests a second as wrk counts them; RuntimeError where any failed."""
    said = run("wrk", "-t1", "-c32", f"-d{seconds}s", *words, f"http://127.0.0.1:{number}/")
    if "Non-2xx" in said or "Socket errors: connect" in said:
        raise RuntimeError(said)
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found, said
    return float(found[1])


@contextmanager
def by_hand(one: str, two: str) -> Iterator[int]:
    """A HAProxy with a configuration as anybody would write it; its port."""
    listener = free_port()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "haproxy.cfg"
        path.write_text(BY_HAND.format(listener=listener, one=one, two=two))
        process = subprocess.Popen(["haproxy", "-f", str(path), "-db"])
        try:
            answered("127.0.0.1", listener)
            yield listener
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
