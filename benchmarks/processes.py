"""500 instances of one app on the process engine, from the promote until every one is healthy and routed.

    .venv/bin/python benchmarks/processes.py [--quick]

Marathon's published figure for 500 instances of one app is 14.2 s, on other hardware and 189 machines.
"""

from __future__ import annotations

import statistics
import sys
import time

from measure import Figure, arguments, report, seconds
from rig import Client, client, deleted, free_port, portway, release, settled

MANIFEST = """services:
  web:
    command: busybox httpd -f -p 127.0.0.1:$$PORT
    ports: ["{listener}:80"]
    deploy: {{replicas: {count}}}
"""


def main() -> int:
    """Run it and print the table."""
    options = arguments(__doc__, count=500)
    first = free_port()
    variables = {
        "PORTWAY_HOST_PORTS": f"{first + 11}-{first + 10 + 2 * options.count}",
        "PORTWAY_SERVICE_PORTS": f"{first + 1}-{first + 10}",
        "PORTWAY_HOLD_DOWN_S": "0",
    }
    with portway("process", **variables) as machine:
        api = client(machine)
        took = [
            deployed(api, f"run{nth}", first, options.count)
            for nth in range(1 if options.quick else 3)
        ]
    median_s = statistics.median(took)
    name = f"{options.count} processes healthy and routed"
    rival = "Marathon, published: 14.2 s" if options.count == 500 else ""
    figure = Figure(name=name, ours=seconds(median_s), value=median_s, rival=rival, aim=8.0, unit="s")  # fmt: skip
    return report([figure], options)


def deployed(api: Client, stack: str, listener: int, count: int) -> float:
    """Seconds of one first deployment."""
    wanted = release(api, stack, MANIFEST.format(listener=listener, count=count))
    began = time.perf_counter()
    api.ask("POST", f"/stacks/{stack}/releases/{wanted}/promote", body={})
    settled(api, stack)
    took = time.perf_counter() - began
    deleted(api, stack)
    return took


if __name__ == "__main__":
    sys.exit(main())
