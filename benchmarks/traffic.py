"""What steady traffic costs the controller: the same hundred Apps at rest, without requests and with them.

    .venv/bin/python benchmarks/traffic.py [--quick]

A process engine and a real HAProxy; clients ask every App's listener in turn. What the balancer counts must wake nobody:
how often the controller looks at an App per minute is told beside the share of a core its process uses.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from measure import Figure, arguments, report
from rig import Machine, client, free_port, portway, release, settled

RATE_PER_S = 100.0
SETTLE_S = 12.0
STEPS = "portway_controller_step_seconds_count"


def main() -> int:
    """Run it and print the table."""
    options = arguments(__doc__, apps=100)
    for_s = 20.0 if options.quick else 60.0
    first = free_port()
    variables = {
        "PORTWAY_HOST_PORTS": f"{first + 200}-{first + 200 + 2 * options.apps}",
        "PORTWAY_HOLD_DOWN_S": "0",
    }
    with portway("process", **variables) as machine:
        api = client(machine)
        services = "".join(_service(nth, first + 1 + nth) for nth in range(options.apps))
        wanted = release(api, "busy", f"services:\n{services}")
        api.ask("POST", f"/stacks/busy/releases/{wanted}/promote", body={})
        settled(api, "busy")
        time.sleep(SETTLE_S)
        quiet_percent, quiet_looks = watched(machine, for_s)
        with traffic([first + 1 + nth for nth in range(options.apps)]) as answered:
            time.sleep(SETTLE_S)
            busy_percent, busy_looks = watched(machine, for_s)
    if not answered:
        raise RuntimeError("no request was answered")
    name = f"{options.apps} Apps, {RATE_PER_S:g} requests/s over all of them"
    return report(
        [
            Figure(name=f"{name}: the controller's share of a core", ours=f"{busy_percent:.1f} %", rival=f"without requests: {quiet_percent:.1f} %", value=busy_percent, unit="%"),
            Figure(name="Looks at an App, per minute", ours=f"{busy_looks:.0f}", rival=f"without requests: {quiet_looks:.0f}", value=busy_looks / max(1.0, quiet_looks), aim=1.5, unit="x"),
        ],
        options,
    )  # fmt: skip


def _service(nth: int, listener: int) -> str:
    command = "busybox httpd -f -p 127.0.0.1:$$PORT"
    return f"  a{nth}:\n    command: {command}\n    ports: ['{listener}:80']\n"


def watched(machine: Machine, for_s: float) -> tuple[float, float]:
    """The percent of a core the server uses, and how many looks at an App it takes in a minute."""
    api = client(machine)
    process_id = int(api.ask("GET", "/server")["pid"])
    cpu_s, looks = _cpu_s(process_id), _looks(machine)
    time.sleep(for_s)
    percent = (_cpu_s(process_id) - cpu_s) / for_s * 100
    return percent, (_looks(machine) - looks) / for_s * 60


def _looks(machine: Machine) -> float:
    connection = http.client.HTTPConnection("portway", timeout=30)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(machine.home / "portway.sock"))
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(STEPS)))


def _cpu_s(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def traffic(listeners: list[int]) -> Iterator[list[int]]:
    """Requests to every listener in turn until the block is left; the statuses of those that were answered."""
    enough, answered = threading.Event(), list[int]()

    def ask() -> None:
        nth = 0
        while not enough.wait(1 / RATE_PER_S):
            nth += 1
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(
                    "127.0.0.1", listeners[nth % len(listeners)], timeout=5
                )
                connection.request("GET", "/")
                answered.append(connection.getresponse().status)
                connection.close()

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield answered
    finally:
        enough.set()
        asking.join()


if __name__ == "__main__":
    sys.exit(main())
