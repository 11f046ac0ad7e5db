"""ImpatientProtocol: HTTP/1.1 that gives up on clients which hold a connection without sending (slowloris).

uvicorn waits for ever for the head of a request and for the rest of a body nobody reads any more; this does not.
Nor does it turn a newcomer away while others hold connections on which nothing happens: the one that has
asked nothing for longest makes room.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from portway.api.native.answers import refusal
from portway.core.errors import RequestError

HEAD_TIMEOUT_S = 10.0
ABORT = "portway.abort"  # an ASGI extension: ends the connection of who does not read, however much is unsent
CONNECTIONS_MAX = (
    500  # below the file descriptors a service has by default, and below uvicorn's own limit
)


class ImpatientProtocol(H11Protocol):
    """A request's head, and a body after its answer, must arrive within `patience_s`."""

    patience_s = HEAD_TIMEOUT_S
    connections_max = CONNECTIONS_MAX
    _deadline: asyncio.TimerHandle | None = None
    _rests_since: tuple[bool, float] = (
        False,
        0.0,
    )  # whether it was ever answered, and when it was last heard of

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._rests_since = (False, self.loop.time())
        self._arm()
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle:
            scope: Any = self.cycle.scope
            scope.setdefault("extensions", {})[ABORT] = self.transport.abort
        self._judge()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._rests_since = (True, self.loop.time())
        self._judge()

    def send_400_response(self, msg: str) -> None:
        response = refusal(
            RequestError(
                "This is not an HTTP/1.1 request.",
                hint="Speak plain HTTP here, not TLS or anything else.",
                http_status=400,
            )
        )
        headers = [*response.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _make_room(self) -> None:
        if len(self.connections) <= self.connections_max:
            return
        resting = [
            other
            for other in self.connections
            if isinstance(other, ImpatientProtocol) and other is not self and other.is_resting
        ]
        if resting:
            oldest = min(resting, key=lambda other: other._rests_since)
            # Whoever was answered may ask again on another connection; nothing of theirs is lost.
            self.connections.discard(oldest)
            oldest.transport.abort()

    @property
    def is_resting(self) -> bool:
        """Whether no request of it is being answered."""
        return not (self.cycle and not self.cycle.response_complete)

    def _judge(self) -> None:
        theirs, head_begun = self.conn.their_state, bool(self.conn.trailing_data[0])
        answered = self.conn.our_state in (h11.DONE, h11.MUST_CLOSE)
        waiting_for_head = theirs is h11.IDLE and head_begun
        if waiting_for_head or (theirs is h11.SEND_BODY and answered):
            self._arm()
        else:
            self._disarm()

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.patience_s, self.transport.abort)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
