"""One release replaced by another under 200 requests a second: portway, docker-compose and a Swarm service update.

    .venv/bin/python benchmarks/swap.py [--quick]

Each tool is driven by its own command line and changes one environment variable of two instances (compose: of one,
since it cannot publish a port twice; Swarm: of two behind its routing mesh, of one where the kernel has no IPVS). The clock runs from the command to its end; every request meanwhile is counted.
The containers end at once on SIGTERM and answer 20 ms after their start. Rivals that are not installed are left out.
`portway deploy` ends when the new release alone serves, while Docker takes the old containers down; compose ends after
that, so its time is told too ("the old containers gone"). The next swap begins when nothing comes or goes any more.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from measure import Figure, arguments, report, seconds
from rig import IMAGE, Prober, Result, client, free_port, image, portway, run
from rig import wait_until_it_answers as answered
from tests.e2e.machine import PORTWAY

Swap = Callable[
    [int], Callable[[], None] | None
]  # what it gives back waits until nothing comes or goes
LEAVING = ("draining", "stopping")
PATIENCE_S = 60.0


class Taken(NamedTuple):
    """How long each swap took: until its command ended, and until nothing old was left."""

    ended_s: list[float]
    gone_s: list[float]


OURS = """services:
  web:
    image: {image}
    environment: {{NTH: "{nth}"}}
    ports: ["{listener}:80"]
    deploy: {{replicas: 2}}
"""
COMPOSE = """version: "3"
services:
  web:
    image: {image}
    environment: {{NTH: "{nth}"}}
    ports: ["{listener}:80"]
"""


def main() -> int:
    """Run it and print the table."""
    options = arguments(__doc__, rate=200.0)
    runs = 3 if options.quick else 10
    figures: list[Figure] = []
    with image():
        taken, result = swapped(portway_swaps, runs, options.rate)
        for name, rival in rivals():
            theirs, lost = swapped(rival, 2 if options.quick else 5, options.rate)
            figures.append(compared(name, taken.ended_s, theirs.ended_s, lost))
    median_s, gone_s = statistics.median(taken.ended_s), statistics.median(taken.gone_s)
    figures[:0] = [
        Figure(name="swap of a release", ours=seconds(median_s), value=median_s, aim=1.0, unit="s"),
        Figure(name="swap, the old containers gone", ours=seconds(gone_s), value=gone_s, unit="s"),
        Figure(
            name=f"requests failed in {runs} swaps",
            ours=f"{len(result.failures)} of {result.total}",
            value=len(result.failures),
            aim=0,
        ),
    ]
    return report(figures, options)


def compared(name: str, ours: list[float], theirs: list[float], lost: Result) -> Figure:
    """What a rival took and lost."""
    median_s = statistics.median(theirs)
    return Figure(
        name=f"swap, {name}",
        ours=seconds(statistics.median(ours)),
        value=statistics.median(ours) / median_s,
        rival=f"{name}: {seconds(median_s)}, {len(lost.failures)} of {lost.total} failed",
        unit="x",
    )


def rivals() -> Iterator[tuple[str, Callable[[int], object]]]:
    """Those that are installed."""
    if shutil.which("docker-compose"):
        yield "docker-compose", compose_swaps
    yield "Swarm" if has_routing_mesh() else "Swarm, mode=host", swarm_swaps


def swapped(rig: Callable[[int], object], runs: int, rate: float) -> tuple[Taken, Result]:
    """How long each swap took, and what the clients saw."""
    listener = free_port()
    taken = Taken([], [])
    with rig(listener) as swap:  # type: ignore[attr-defined]
        wait_until_rest = swap(0)
        answered("127.0.0.1", listener)
        with Prober(f"http://127.0.0.1:{listener}/", rate_per_s=rate, timeout_s=5) as prober:
            for nth in range(1, runs + 1):
                began = time.perf_counter()
                swap(nth)
                taken.ended_s.append(time.perf_counter() - began)
                if wait_until_rest is not None:
                    wait_until_rest()
                taken.gone_s.append(time.perf_counter() - began)
    return taken, prober.result


@contextmanager
def portway_swaps(listener: int) -> Iterator[Swap]:
    """`portway deploy`, the installed program as a user starts it."""
    with portway() as machine:
        api = client(machine)

        def rest() -> None:
            deadline = time.monotonic() + PATIENCE_S
            while any(one["phase"] in LEAVING for one in api.ask("GET", "/instances")):
                if time.monotonic() > deadline:
                    raise RuntimeError("the old instances do not end")
                time.sleep(0.005)

        def swap(nth: int) -> Callable[[], None]:
            machine.manifest(OURS.format(image=IMAGE, listener=listener, nth=nth))
            run(str(PORTWAY), "deploy", cwd=machine.directory, env=machine.environment())
            return rest

        yield swap


@contextmanager
def compose_swaps(listener: int) -> Iterator[Swap]:
    """`docker-compose up -d`."""
    with tempfile.TemporaryDirectory(prefix="compose") as directory:
        path = Path(directory) / "docker-compose.yml"

        def swap(nth: int) -> None:
            path.write_text(COMPOSE.format(image=IMAGE, listener=listener, nth=nth))
            run("docker-compose", "-f", str(path), "up", "-d")

        yield swap
        run("docker-compose", "-f", str(path), "down", "-t", "1")


@contextmanager
def swarm_swaps(listener: int) -> Iterator[Swap]:
    """`docker service update`, the new task started first."""
    name = f"bench{os.getpid()}"
    with ExitStack() as undo:
        undo.callback(subprocess.run, ["docker", "network", "rm", "docker_gwbridge"], check=False, capture_output=True)  # fmt: skip
        run("docker", "swarm", "init", "--advertise-addr", "127.0.0.1")
        undo.callback(run, "docker", "swarm", "leave", "--force")

        def swap(nth: int) -> None:
            if nth == 0:
                run("docker", "service", "create", "--name", name, "--no-resolve-image",
                    "--update-monitor", "100ms", *swarm_publishes(listener), IMAGE)  # fmt: skip
            else:
                run("docker", "service", "update", "--env-add", f"NTH={nth}", "--no-resolve-image", name)  # fmt: skip

        yield swap
        run("docker", "service", "rm", name)


def has_routing_mesh() -> bool:
    """Whether Swarm's own balancer can work: it is the kernel's IPVS."""
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "ip_vs"], check=False, capture_output=True)
    return Path("/proc/net/ip_vs").exists()


def swarm_publishes(listener: int) -> list[str]:
    """Two instances behind the mesh, the new one started first; without IPVS one, on the node's own port."""
    if has_routing_mesh():
        return ["--replicas", "2", "--publish", f"{listener}:80", "--update-order", "start-first"]
    return ["--publish", f"mode=host,target=80,published={listener}"]


if __name__ == "__main__":
    sys.exit(main())
