"""How long from "run this" to the first answer, and how many starts at once, over what Docker's API itself takes.

    .venv/bin/python benchmarks/start.py [--quick]

create: a stack that does not exist yet is promoted; the clock stops at the first HTTP 200 through the balancer.
The floor makes a network, a container, starts it and asks it directly. parallel: one running instance becomes
25; the floor starts 24 containers with four workers, the fastest on this kind of machine.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

from measure import Figure, against, arguments, in_turns, report
from rig import IMAGE, Client, Docker, client, deleted, free_port, image, portway, release, settled
from rig import wait_until_it_answers as answered

MANIFEST = """services:
  web:
    image: {image}
    stop_signal: SIGKILL
    stop_grace_period: 0s
    ports: ["{listener}:80"]
"""
WORKERS = 4


def main() -> int:
    """Run it and print the table."""
    options = arguments(__doc__, starts=24)
    if options.quick:
        options.starts = 8
    with image(), portway() as machine:
        api, docker = client(machine), Docker()
        figures = [
            create(api, docker, 5 if options.quick else 15),
            parallel(api, docker, options.starts, 2 if options.quick else 5),
        ]
    return report(figures, options)


def create(api: Client, docker: Docker, runs: int) -> Figure:
    """First answer of something new, over the floor."""
    nth = count(1)
    mine, floor = in_turns(
        lambda: ours_created(api, f"bench{next(nth)}"), lambda: floor_created(docker), runs
    )
    return against("create to first answer", mine, floor, rival="Docker API", aim=1.3)


def ours_created(api: Client, stack: str) -> float:
    listener = free_port()
    wanted = release(api, stack, MANIFEST.format(image=IMAGE, listener=listener))
    began = time.perf_counter()
    api.ask("POST", f"/stacks/{stack}/releases/{wanted}/promote", body={})
    answered("127.0.0.1", listener)
    took = time.perf_counter() - began
    deleted(api, stack)
    return took


def floor_created(docker: Docker) -> float:
    began = time.perf_counter()
    with docker.network("bench-floor") as network:
        answered(docker.start("bench-floor", network=network, host_port=free_port()), 80)
        took = time.perf_counter() - began
        docker.remove("bench-floor")
    return took


def parallel(api: Client, docker: Docker, starts: int, runs: int) -> Figure:
    """Many at once: the ceiling's time over ours, so 1 is as fast as Docker can."""
    listener = free_port()
    with scaled(api, listener):
        mine, ceiling = in_turns(
            lambda: ours_scaled(api, starts), lambda: floor_scaled(docker, starts), runs
        )
    return against(
        f"{starts} starts at once, per second",
        [starts / s for s in mine],
        [starts / s for s in ceiling],
        rival="Docker API, 4 workers",
        aim=0.95,
        tell=lambda rate: f"{rate:.1f}/s",
        more_is_better=True,
    )


@contextmanager
def scaled(api: Client, listener: int) -> Iterator[None]:
    """A stack with one instance, to be scaled."""
    wanted = release(api, "many", MANIFEST.format(image=IMAGE, listener=listener))
    api.ask("POST", f"/stacks/many/releases/{wanted}/promote", body={})
    settled(api, "many")
    yield
    deleted(api, "many")


def ours_scaled(api: Client, starts: int) -> float:
    began = time.perf_counter()
    api.ask("POST", "/stacks/many/scale", body={"counts": {"web": starts + 1}})
    settled(api, "many")
    took = time.perf_counter() - began
    api.ask("POST", "/stacks/many/scale", body={"counts": {"web": 1}})
    settled(api, "many")
    return took


def floor_scaled(docker: Docker, starts: int) -> float:
    wanted = [(f"bench-floor-{nth}", free_port()) for nth in range(starts)]

    def start(name: str, host_port: int) -> None:
        answered(docker.start(name, network=network, host_port=host_port), 80)

    with docker.network("bench-floor") as network, ThreadPoolExecutor(WORKERS) as workers:
        began = time.perf_counter()
        list(workers.map(start, *zip(*wanted, strict=True)))
        took = time.perf_counter() - began
        list(workers.map(docker.remove, [name for name, _ in wanted]))
    return took


if __name__ == "__main__":
    sys.exit(main())
