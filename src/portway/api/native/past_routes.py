"""The part of the table of operations that asks the journal of ports and events."""

from __future__ import annotations

from portway.api.native import handlers
from portway.api.native.endpoint import Endpoint
from portway.api.native.requests import AroundQuery, HistoryQuery
from portway.api.roles import Role
from portway.controller.views import PortHistory
from portway.core.events import Event

PAST = (
    Endpoint(
        method="GET",
        path="/v1/events/around",
        name="events_around",
        role=Role.READ,
        tag="Server",
        summary="What happened around a time",
        description="404 for a time before the journal begins.",
        response=tuple[Event, ...],
        query=AroundQuery,
        ask=handlers.events_around,
        example_query="at=1700000000000",
    ),
    Endpoint(
        method="GET",
        path="/v1/ports",
        name="port_history",
        role=Role.READ,
        tag="Server",
        summary="Who had a port number, and when",
        response=PortHistory,
        query=HistoryQuery,
        ask=handlers.port_history,
        example_query="number=31004",
    ),
)
