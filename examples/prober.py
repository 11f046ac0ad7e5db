"""Ask a URL for ever, at a steady rate, and count what goes wrong. Standard library only.

    python examples/prober.py http://127.0.0.1:8000/ --rate 200 --seconds 10

Half of the clients keep their connection, as browsers do; half open one for each request.
"""

from __future__ import annotations

import argparse
import http.client
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CLIENTS = 8


@dataclass
class Result:
    """What the probing saw; `failures` are sentences, `latencies_ms` one figure a request."""

    latencies_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    bodies: dict[bytes, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return len(self.latencies_ms)

    def percentile_ms(self, percent: float) -> float:
        """The latency that so many percent of the requests did not exceed."""
        ordered = sorted(self.latencies_ms) or [0.0]
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    def __str__(self) -> str:
        return (
            f"{len(self.failures)} of {self.total} requests failed, "
            f"p50 {self.percentile_ms(50):.1f} ms, p99 {self.percentile_ms(99):.1f} ms, "
            f"worst {self.percentile_ms(100):.1f} ms"
        )


class Prober:
    """Probes in the background between start() and stop()."""

    def __init__(self, url: str, *, rate_per_s: float = 200.0, timeout_s: float = 10.0) -> None:
        self._url = urlsplit(url)
        self._pause_s = CLIENTS / rate_per_s
        self._timeout_s = timeout_s
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.result = Result()

    def start(self) -> Prober:
        """Begin."""
        for nth in range(CLIENTS):
            thread = threading.Thread(target=self._probe, args=(nth,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self) -> Result:
        """End, once every request under way has been answered."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        return self.result

    def __enter__(self) -> Prober:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _probe(self, nth: int) -> None:
        keeps = nth % 2 == 0
        connection: http.client.HTTPConnection | None = None
        next_at = time.monotonic() + self._pause_s * nth / CLIENTS
        while not self._stopping.wait(max(0.0, next_at - time.monotonic())):
            next_at += self._pause_s
            connection = connection if keeps and connection else self._connect()
            if not self._ask(connection):
                connection.close()
                connection = None
            elif not keeps:
                connection.close()
        if connection is not None:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, number = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return http.client.HTTPSConnection(
                host, number, timeout=self._timeout_s, context=context
            )
        return http.client.HTTPConnection(host, number, timeout=self._timeout_s)

    def _ask(self, connection: http.client.HTTPConnection) -> bool:
        """One request; whether the connection may serve another."""
        began = time.monotonic()
        failure, body, usable = "", b"", True
        try:
            connection.request("GET", self._url.path or "/")
            answer = connection.getresponse()
            body = answer.read()
            usable = not answer.will_close
            if answer.status >= 400:
                failure = f"HTTP {answer.status}"
        except (OSError, http.client.HTTPException) as error:
            failure, usable = f"{type(error).__name__}: {error}", False
        self._note((time.monotonic() - began) * 1000, failure, body)
        return usable

    def _note(self, latency_ms: float, failure: str, body: bytes) -> None:
        with self._lock:
            self.result.latencies_ms.append(latency_ms)
            if failure:
                self.result.failures.append(f"{time.strftime('%H:%M:%S')} {failure}")
            else:
                self.result.bodies[body] = self.result.bodies.get(body, 0) + 1


def main() -> int:
    """Probe for a while and print the count; exit 1 when anything failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    with Prober(arguments.url, rate_per_s=arguments.rate) as prober:
        time.sleep(arguments.seconds)
    print(prober.result)
    for failure in prober.result.failures[:10]:
        print(f"  {failure}")
    return 1 if prober.result.failures else 0


if __name__ == "__main__":
    sys.exit(main())
