"""MemoryStore: the store that forgets when the process ends, with faults on demand. For tests and tries.

It keeps the contract of the real ones, refusals included. What would be the disk is a MemoryDisk:
a second MemoryStore on the same disk is a restarted server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from portway.core.errors import StoreError
from portway.core.events import Event
from portway.core.ownership import Change, Mark, Past
from portway.core.stack import Certificate, Release, Stack
from portway.core.state import AppState
from portway.store.base import Batch, CoolingLease, Snapshot
from portway.store.documents import MemoryDocuments
from portway.store.refusals import changed_elsewhere, not_open

EVENTS_KEPT = 200_000
KEPT_DAYS = 30
_DAY_MS = 24 * 3600 * 1000


@dataclass(slots=True, kw_only=True)
class MemoryDisk:
    """What outlives a MemoryStore: everything saved, and who has it open."""

    home_id: str = "memory"
    stacks: dict[str, Stack] = field(default_factory=dict)
    apps: dict[str, AppState] = field(default_factory=dict)
    releases: dict[tuple[str, str], Release] = field(default_factory=dict)  # oldest first
    certificates: dict[str, Certificate] = field(default_factory=dict)
    cooling: tuple[CoolingLease, ...] = ()
    events: list[Event] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    documents: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    last_change: int = 0
    last_sequence: int = 0
    holder: object | None = None


class MemoryStore:
    """A Store in memory. `fail_saves` and `fail_reads` make the next calls fail; `heal` ends that."""

    def __init__(
        self,
        disk: MemoryDisk | None = None,
        *,
        events_kept: int = EVENTS_KEPT,
        kept_days: int = KEPT_DAYS,
    ) -> None:
        self.disk = disk or MemoryDisk()
        self.batches: list[Batch] = []  # every batch saved, in order
        self._events_kept = events_kept
        self._kept_ms = kept_days * _DAY_MS
        self._save_faults = _Faults()
        self._read_faults = _Faults()
        self.documents = MemoryDocuments(
            lambda: self.disk.documents, read=self._reading, write=self._writing
        )

    def fail_saves(self, error: StoreError, *, times: int | None = None) -> None:
        """Every save (or the next `times`) raises `error` and saves nothing."""
        self._save_faults = _Faults(error=error, times=times)

    def fail_reads(self, error: StoreError, *, times: int | None = None) -> None:
        """Every read (or the next `times`) raises `error`."""
        self._read_faults = _Faults(error=error, times=times)

    def heal(self) -> None:
        """End every fault."""
        self._save_faults = _Faults()
        self._read_faults = _Faults()

    def crash(self) -> None:
        """Let go of the disk at once, as a killed server does."""
        if self.disk.holder is self:
            self.disk.holder = None

    async def open(self) -> None:
        """Take the disk; StoreError when another store has it open."""
        if self.disk.holder is not None:
            raise StoreError(
                "Another portway server (this process) already runs with this memory store.",
                hint="Close that store first.",
                retryable=False,
            )
        self.disk.holder = self

    async def close(self) -> None:
        """Let go of the disk; what was saved stays on it."""
        self.crash()

    async def load(self) -> Snapshot:
        """Everything but releases and events."""
        disk = self._reading()
        return Snapshot(
            home_id=disk.home_id,
            stacks=tuple(disk.stacks[name] for name in sorted(disk.stacks)),
            apps=tuple(disk.apps[app_id] for app_id in sorted(disk.apps)),
            certificates=tuple(disk.certificates[name] for name in sorted(disk.certificates)),
            cooling=disk.cooling,
        )

    async def save(self, batch: Batch) -> tuple[Event, ...]:
        """Save the batch whole, or raise and save nothing of it."""
        disk = self._opened()
        self._save_faults.strike()
        apps = _changed_apps(disk, batch)
        self.batches.append(batch)
        _delete(disk, batch)
        disk.apps.update(apps)
        disk.stacks.update({stack.name: stack for stack in batch.stacks})
        disk.releases.update({(release.stack, release.id): release for release in batch.releases})
        disk.certificates.update(
            {certificate.name: certificate for certificate in batch.certificates}
        )
        if batch.cooling is not None:
            disk.cooling = batch.cooling
        events = _append(disk, batch.events, kept=self._events_kept)
        _append_changes(disk, batch)
        if batch.mark is not None:
            before_ms = batch.mark.at_ms - self._kept_ms
            _prune_changes(disk, before_ms=before_ms, kept=self._events_kept)
        return events

    async def release(self, stack: str, release_id: str) -> Release | None:
        """One release of a stack."""
        return self._reading().releases.get((stack, release_id))

    async def releases(self, stack: str, *, limit: int = 20) -> tuple[Release, ...]:
        """Newest first."""
        found = [release for release in self._reading().releases.values() if release.stack == stack]
        return tuple(found[::-1][:limit])

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
        """Oldest first, those with sequence > after; after=-1: the newest `limit`."""
        found = [
            event
            for event in self._reading().events
            if event.sequence > after
            and (up_to is None or event.sequence <= up_to)
            and stack in ("", event.stack)
            and app_id in ("", event.app_id)
            and instance_id in ("", event.instance_id)
            and deployment in ("", event.deployment)
        ]
        return tuple(found[:limit] if after >= 0 else found[max(0, len(found) - limit) :])

    async def sequence_at(self, at_ms: int) -> int:
        """The sequence of the newest event up to a moment."""
        found = (event.sequence for event in self._reading().events if event.at_ms <= at_ms)
        return max(found, default=0)

    async def past(self, *, at_ms: int) -> Past:
        """What was held at a moment."""
        disk = self._reading()
        whole = (
            disk.changes[:1] if disk.changes and disk.changes[0].sequence == 1 else disk.marks[:1]
        )
        mark = next((m for m in reversed(disk.marks) if m.at_ms <= at_ms), None)
        after = mark.sequence if mark else 0
        end = next((m.sequence for m in disk.marks if m.sequence > after), disk.last_change)
        return Past(
            begins_at_ms=whole[0].at_ms if whole else None,
            mark=mark,
            changes=tuple(
                c for c in disk.changes if after < c.sequence <= end and c.at_ms <= at_ms
            ),
        )

    async def changes(self, *, number: int, up_to_ms: int, limit: int = 1000) -> tuple[Change, ...]:
        """The newest changes of one port number up to a moment, oldest first."""
        found = [
            change
            for change in self._reading().changes
            if change.holding.number == number and change.at_ms <= up_to_ms
        ]
        return tuple(found[max(0, len(found) - limit) :])

    def _opened(self) -> MemoryDisk:
        if self.disk.holder is not self:
            raise not_open("in memory")
        return self.disk

    def _reading(self) -> MemoryDisk:
        disk = self._opened()
        self._read_faults.strike()
        return disk

    def _writing(self) -> None:
        self._opened()
        self._save_faults.strike()


@dataclass(slots=True, kw_only=True)
class _Faults:
    """An error to raise, for so many calls (None: until healed)."""

    error: StoreError | None = None
    times: int | None = None

    def strike(self) -> None:
        if self.error is None or self.times == 0:
            return
        if self.times is not None:
            self.times -= 1
        raise self.error


def _changed_apps(disk: MemoryDisk, batch: Batch) -> dict[str, AppState]:
    changed: dict[str, AppState] = {}
    for app in batch.apps:
        known = changed.get(app.app_id) or (
            None if app.app_id in batch.deleted_apps else disk.apps.get(app.app_id)
        )
        stored = known.version if known else 0
        if stored != app.version:
            raise changed_elsewhere(app.app_id, stored=stored, given=app.version)
        changed[app.app_id] = replace(app, version=stored + 1)
    return changed


def _delete(disk: MemoryDisk, batch: Batch) -> None:
    for name in batch.deleted_stacks:
        disk.stacks.pop(name, None)
    for key in [key for key in disk.releases if key[0] in batch.deleted_stacks]:
        del disk.releases[key]
    for app_id in batch.deleted_apps:
        disk.apps.pop(app_id, None)
    for name in batch.deleted_certificates:
        disk.certificates.pop(name, None)


def _append(disk: MemoryDisk, events: Sequence[Event], *, kept: int) -> tuple[Event, ...]:
    numbered = tuple(
        replace(event, sequence=sequence)
        for sequence, event in enumerate(events, start=disk.last_sequence + 1)
    )
    disk.last_sequence += len(numbered)
    disk.events.extend(numbered)
    if len(disk.events) > kept:
        del disk.events[:-kept]
    return numbered


def _append_changes(disk: MemoryDisk, batch: Batch) -> None:
    for change in batch.ownership:
        disk.last_change += 1
        disk.changes.append(replace(change, sequence=disk.last_change))
    if batch.mark is not None:
        disk.marks.append(replace(batch.mark, sequence=disk.last_change))


def _prune_changes(disk: MemoryDisk, *, before_ms: int, kept: int) -> None:
    """Forget what is older; the newest mark that is old enough stays, for moments are rebuilt from it."""
    old = [m for m in disk.marks if m.at_ms <= before_ms or m.sequence <= disk.last_change - kept]
    if old:
        disk.marks = [m for m in disk.marks if m.sequence >= old[-1].sequence]
        disk.changes = [c for c in disk.changes if c.sequence > old[-1].sequence]
        disk.events = [e for e in disk.events[:-1] if e.at_ms >= before_ms] + disk.events[-1:]
