"""Endpoint: one operation of the native API as a value. The routes and the OpenAPI document are made from a table of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from portway.api.roles import Role
from portway.controller.contract import Operations

B = TypeVar("B")
Q = TypeVar("Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoQuery:
    """An endpoint without query parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[B, Q]):
    """One request, already read and checked. `upload` is the body of an endpoint that takes a stream, `role` the caller's."""

    path: Mapping[str, str]
    query: Q
    body: B
    upload: AsyncIterator[bytes]
    role: Role = Role.READ


Ask = Callable[[Operations, Call[Any, Any]], Awaitable[object]]
Stream = Callable[[Operations, Call[Any, Any]], AsyncIterator[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One operation: where it is, what it takes, what it answers, and what carries it out.

    Exactly one of `ask` (one JSON answer), `stream` (NDJSON lines of type `response`) or `socket`
    (WebSocket) is set. `request` None: no body. `upload`: the body is a stream of this content type.
    `example` is a body that is accepted as it stands. `role`: who may call it, nobody less than an admin
    unless the table says so.
    """

    method: str
    path: str
    name: str
    tag: str
    summary: str
    response: Any
    description: str = ""
    query: type[Any] = NoQuery
    request: type[Any] | None = None
    role: Role = Role.ADMIN
    status: int = 200
    ask: Ask | None = None
    stream: Stream | None = None
    socket: bool = False
    upload: str = ""
    example: Mapping[str, object] = field(default_factory=dict)
    example_query: str = ""
