"""Store: what must survive a restart, behind one protocol. A batch is saved whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from portway.core.errors import StoreError
from portway.core.events import Event
from portway.core.ownership import Change, Mark, Past
from portway.core.ports import Lease
from portway.core.stack import Certificate, Release, Stack
from portway.core.state import AppState


@dataclass(frozen=True, slots=True, kw_only=True)
class CoolingLease:
    """A host port that was given back and is not given out again before `free_at_ms` and a bind test."""

    lease: Lease
    free_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything a controller needs to go on where another stopped."""

    home_id: str  # names this installation in every label; made once
    stacks: tuple[Stack, ...]
    apps: tuple[AppState, ...]
    certificates: tuple[Certificate, ...]
    cooling: tuple[CoolingLease, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Changes saved in one transaction. An AppState whose `version` is not the stored one is refused.

    `cooling`: None leaves the stored set as it is, else replaces it.
    """

    stacks: tuple[Stack, ...] = ()
    apps: tuple[AppState, ...] = ()
    releases: tuple[Release, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    events: tuple[Event, ...] = ()
    ownership: tuple[Change, ...] = ()
    mark: Mark | None = None  # everything held once `ownership` is so
    cooling: tuple[CoolingLease, ...] | None = None
    deleted_stacks: tuple[str, ...] = ()  # with their releases
    deleted_apps: tuple[str, ...] = ()
    deleted_certificates: tuple[str, ...] = ()  # names


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One object of a face, as JSON gives it back: `body` holds only texts, numbers, lists and the like."""

    kind: str  # "aws/iam/role"
    key: str  # unique within its kind
    version: int  # 1 when made, one more with every change
    body: Mapping[str, Any]


class DocumentChangedError(StoreError):
    """A document is not the one its change was made from. Read it again and decide anew."""

    http_status = 409


class Documents(Protocol):
    """Objects of any kind by key, each saved whole and at once. Every failure is a StoreError."""

    async def put(
        self,
        kind: str,
        key: str,
        document: Mapping[str, Any],
        expected_version: int | None = None,
    ) -> Document:
        """Make or replace one. `expected_version` 0: only make it; n: only replace that version; None: either.

        DocumentChangedError when it is not so.
        """
        ...

    async def get(self, kind: str, key: str) -> Document | None: ...

    async def list(self, kind: str, prefix: str = "") -> tuple[Document, ...]:
        """Those whose key begins with `prefix`, in the order of their keys."""
        ...

    async def keys(self, kind: str, prefix: str = "") -> tuple[str, ...]:
        """Likewise, without what they hold."""
        ...

    async def delete(self, kind: str, key: str) -> bool:
        """Whether there was one."""
        ...


class Store(Protocol):
    """What must survive a restart. Every failure is a StoreError."""

    @property
    def documents(self) -> Documents: ...

    async def open(self) -> None:
        """Create or migrate the schema; StoreError with what to do when that cannot be."""
        ...

    async def close(self) -> None: ...

    async def load(self) -> Snapshot:
        """All but releases and events."""
        ...

    async def save(self, batch: Batch) -> tuple[Event, ...]:
        """Save the batch in one transaction; the events come back with their sequence numbers.

        Saved AppStates have the given version + 1 in the store; the caller counts along.
        """
        ...

    async def release(self, stack: str, release_id: str) -> Release | None: ...

    async def releases(self, stack: str, *, limit: int = 20) -> tuple[Release, ...]:
        """Newest first."""
        ...

    async def events(
        self,
        *,
        after: int = 0,
        stack: str = "",
        app_id: str = "",
        instance_id: str = "",
        deployment: str = "",
        limit: int = 1000,
        up_to: int | None = None,
    ) -> Sequence[Event]:
        """Oldest first, those with sequence > after and <= up_to. after=-1: the newest `limit`, still oldest first."""
        ...

    async def sequence_at(self, at_ms: int) -> int:
        """The sequence of the newest event up to a moment, 0 when there is none so old."""
        ...

    async def past(self, *, at_ms: int) -> Past:
        """What was held at a moment, as the mark before it and the changes since; never the whole journal."""
        ...

    async def changes(self, *, number: int, up_to_ms: int, limit: int = 1000) -> tuple[Change, ...]:
        """The newest `limit` changes of one port number up to a moment, oldest first."""
        ...
