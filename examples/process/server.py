"""A small web server. It listens on $PORT, which portway chose, and ends when told to, requests under way first."""

import contextlib
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GREETING = os.environ.get("GREETING", "It works!")
SLOT = os.environ.get("PORTWAY_SLOT", "?")
RELEASE = os.environ.get("RELEASE", "?")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        with contextlib.suppress(
            ConnectionError
        ):  # the balancer drops connections it keeps no longer
            super().handle()

    def do_GET(self) -> None:
        if self.path == "/health":
            body = b"ok\n"
        else:
            body = f"{GREETING} (web.{SLOT} of release {RELEASE}, process {os.getpid()})\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        if self.path != "/health":
            print(format % args, flush=True)


class Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close() waits for the requests under way
    request_queue_size = 128


def main() -> None:
    address = ("127.0.0.1", int(os.environ["PORT"]))
    with Server(address, Handler) as server:
        stop = threading.Thread(target=server.shutdown)
        signal.signal(signal.SIGTERM, lambda *_: stop.start())
        print(f"listening on {address[0]}:{address[1]}", flush=True)
        server.serve_forever(poll_interval=0.1)
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
