"""The part of the table of operations that looks at the server's machine."""

from __future__ import annotations

from portway.api.native import handlers
from portway.api.native.endpoint import Endpoint
from portway.api.roles import Role
from portway.controller.machine.base import Finding

MACHINE = (
    Endpoint(
        method="GET",
        path="/v1/doctor",
        name="doctor",
        role=Role.ADMIN,
        tag="Server",
        summary="What of the server's machine would get in the way, each finding with its fix",
        description="What `portway doctor` prints, seen with the server's eyes. It takes up to some seconds. "
        "For admins alone: it tells versions, known holes and firewall rules.",
        response=tuple[Finding, ...],
        ask=handlers.doctor,
    ),
)
