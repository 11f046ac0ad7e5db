"""Values that the fake operations answer with."""

from __future__ import annotations

from portway.controller.views import AccessLine, PortView

PORT = PortView(name="http", container_port=80, host_port=31004, service_port=8000)


ACCESS_LINE = AccessLine(
    time="2026-01-01T00:00:00.000Z",
    stack="httpd",
    app="web",
    instance="web.1.7",
    protocol="http",
    request_id="id-1",
    client="10.1.2.3",
    method="GET",
    path="/",
    status=200,
    bytes_in=100,
    bytes_out=200,
    queue_ms=0,
    connect_ms=1,
    response_ms=2.5,
    total_ms=3.5,
    retries=0,
    ending="--",
)
