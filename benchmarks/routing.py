"""From an instance that is ready to its first request, and from one that died to the last request sent to it.

    .venv/bin/python benchmarks/routing.py [--quick]

An instance (a process) writes down when it first answered a health check and when the first other request came.
Then it is killed; this program takes its host port over within a millisecond and writes down until when the
balancer still sends requests there. One client asks all the while. Measured with one app and beside many others.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from measure import Figure, arguments, percentile, report, seconds
from rig import Client, client, free_port, portway, release, settled

APP = """
import os, socket, sys, time
out = sys.argv[1] + "/" + str(os.getpid())
server = socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=128)
seen = {}
while True:
    connection, _ = server.accept()
    now = time.monotonic()
    kind = "ready" if b"/healthz" in connection.recv(4096) else "asked"
    connection.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    connection.close()
    if kind not in seen:
        seen[kind] = now
        if len(seen) == 2:
            with open(out + ".new", "w") as file:
                print(os.environ["PORT"], seen["ready"], seen["asked"], file=file)
            os.rename(out + ".new", out)
"""
MEASURED = """services:
  web:
    command: ["{python}", "-S", "-E", "{app}", "{out}"]
    ports: ["{listener}:80"]
    labels: ["portway.health.path=/healthz", "portway.health.interval=60", "portway.health.threshold.healthy=1"]
    deploy: {{replicas: 1}}
"""
OTHER = """  other{nth}:
    command: busybox httpd -f -p 127.0.0.1:$$PORT
    ports: ["{listener}:80"]
"""
QUIET_S = 0.5


def main() -> int:
    """Run it and print the table."""
    options = arguments(__doc__, others=499, trials=50)
    if options.quick:
        options.others, options.trials = 99, 15
    figures: list[Figure] = []
    for others in (0, options.others):
        figures += measured(others, options.trials)
    return report(figures, options)


def measured(others: int, trials: int) -> list[Figure]:
    """The two distributions beside so many other apps."""
    first = free_port()
    variables = {
        "PORTWAY_HOST_PORTS": f"{first + 1}-{first + 1400}",
        "PORTWAY_SERVICE_PORTS": f"{first + 1401}-{first + 1410}",
    }
    with tempfile.TemporaryDirectory() as directory, portway("process", **variables) as machine:
        out, app = Path(directory) / "out", Path(directory) / "app.py"
        out.mkdir()
        app.write_text(APP)
        api = client(machine)
        beside(api, others, listener=first + 1500)
        promoted(api, "bench", MEASURED.format(python=sys.executable, app=app, out=out, listener=first))  # fmt: skip
        with asking(first):
            ready, dead = trial_all(api, out, trials)
        for stack in ("bench", *(["others"] if others else [])):
            api.ask("DELETE", f"/stacks/{stack}", query={"drain": "0"})
    beside_text = f"{others + 1} apps" if others else "1 app"
    return [
        *figures(f"ready to first request, {beside_text}", ready),
        *figures(f"dead to last request, {beside_text}", dead),
    ]


def figures(name: str, took_s: list[float]) -> Iterator[Figure]:
    """p50 and p99 with their aims."""
    for percent, aim in ((50, 0.010), (99, 0.100)):
        value = percentile(took_s, percent)
        yield Figure(
            name=f"{name}, p{percent}", ours=seconds(value), value=value, aim=aim, unit="s"
        )


def promoted(api: Client, stack: str, manifest: str) -> None:
    wanted = release(api, stack, manifest)
    api.ask("POST", f"/stacks/{stack}/releases/{wanted}/promote", body={})
    settled(api, stack)


def beside(api: Client, others: int, *, listener: int) -> None:
    """So many other apps with a process and a listener each."""
    if others:
        services = [OTHER.format(nth=n, listener=listener + n) for n in range(others)]
        promoted(api, "others", "services:\n" + "".join(services))


def trial_all(api: Client, out: Path, trials: int) -> tuple[list[float], list[float]]:
    """One instance more, killed once it serves, and one less again, so that no failure is left to back off from."""
    ready: list[float] = []
    dead: list[float] = []
    known = waited(out, set(), 1)
    for _ in range(trials):
        scaled(api, 2)
        (born,) = waited(out, known, 1)
        known.add(born)
        answered, asked = times(out, born)
        ready.append(asked - answered)
        dead.append(outlived(out, born))
        scaled(api, 1)
    return ready, dead


def scaled(api: Client, count: int) -> None:
    api.ask("POST", "/stacks/bench/scale", body={"counts": {"web": count}})
    settled(api, "bench")


def waited(out: Path, known: set[int], count: int) -> set[int]:
    """The processes of instances that have been asked and were not known."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = {int(p.name) for p in out.iterdir() if p.name.isdigit()} - known
        if len(found) >= count:
            return found
        time.sleep(0.005)
    raise RuntimeError("no new instance was asked anything for two minutes")


def times(out: Path, pid: int) -> tuple[float, float]:
    _, answered, asked = (out / str(pid)).read_text().split()
    return float(answered), float(asked)


def outlived(out: Path, pid: int) -> float:
    """Kill the instance and take its port; seconds until the last request that still came."""
    host_port = int((out / str(pid)).read_text().split()[0])
    heir = socket.socket()
    heir.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    os.kill(pid, signal.SIGKILL)
    began = last = time.monotonic()
    while True:
        with suppress(OSError):
            heir.bind(("127.0.0.1", host_port))
            break
    heir.listen(128)
    heir.settimeout(QUIET_S)
    with heir, suppress(TimeoutError):
        while True:
            connection, _ = heir.accept()
            # The balancer may have let go of it meanwhile; it asked all the same.
            with connection, suppress(OSError):
                if b"/healthz" not in connection.recv(4096):
                    last = time.monotonic()
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    return last - began


@contextmanager
def asking(listener: int) -> Iterator[None]:
    """A client that asks without a pause, a connection for each request."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.0005):
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", listener, timeout=5)
                connection.request("GET", "/")
                connection.getresponse().read()
                connection.close()

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
