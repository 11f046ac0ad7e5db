"""ServedRequest: one request (or TCP connection) as the balancer saw it end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRequest:
    """What became of one request. `ending` is the balancer's own code for it.

    `failure`: why it failed, as a phrase; "" when it did not. `aborted`: its client gave it up.
    A time is None where there is none: plain TCP has no answer, a refused request no connection.
    """

    owner: str
    at_ms: int  # when it ended
    instance_id: str = ""  # "" = none was reached
    is_http: bool = True
    client: str = ""
    request_id: str = ""
    method: str = ""
    path: str = ""  # without its query, which may hold secrets
    status: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    queue_ms: int | None = None
    connect_ms: int | None = None
    response_ms: float | None = None  # until the head of the answer
    total_ms: float = 0.0
    retries: int = 0
    ending: str = "--"
    failure: str = ""
    aborted: bool = False

    @property
    def is_timed(self) -> bool:
        """Whether its time says how fast the App is: a whole HTTP exchange, not a tunnel."""
        return self.is_http and self.status != 101 and not self.aborted
