"""A worker: it has no port, and asks the web app through the balancer every few seconds."""

import os
import signal
import threading
import urllib.request


def main() -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    while not stop.is_set():
        with urllib.request.urlopen(os.environ["WEB_URL"], timeout=5) as answer:  # noqa: S310  (our own manifest says it)
            print(answer.read().decode().strip(), flush=True)
        stop.wait(3)


if __name__ == "__main__":
    main()
