"""Adopter: whoever changes an App by other means than /v2 changes its definition too, so that both say the same.

A release that is promoted brings back the definition of its version, a count that is set becomes `instances`, and an App that
is removed takes its definition along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import structlog

from portway.controller.marathon.catalogue import APP, Catalogue, Deployment, Entry
from portway.controller.marathon.documents import MarathonDocuments
from portway.controller.marathon.sight import version_put
from portway.controller.marathon.updates import Wanted, with_count
from portway.controller.world import World
from portway.core.errors import PortwayError

log = structlog.get_logger()

AGAIN_S = 1.0  # how soon what a running deployment keeps from being adopted is looked at again


class Desk(Protocol):
    """What of the desk it needs."""

    catalogue: Catalogue
    documents: MarathonDocuments

    async def update(
        self, change: Callable[[Catalogue], Wanted], *, force: bool = False
    ) -> Deployment:
        """Change definitions."""
        ...


class Adopter:
    """`note` from anywhere, `run` beside the controller."""

    def __init__(self, desk: Desk, world: World) -> None:
        self._desk, self._world = desk, world
        self._pending: set[str] = set()
        self._signal = asyncio.Event()
        self._aimed: dict[str, str] = {}  # by App: the version it was last seen to be put in
        self._turned: set[str] = set()  # Apps that somebody else aimed elsewhere, or removed
        self._refused: dict[str, object] = {}  # by App: what was tried in vain

    def note(self, app_ids: Iterable[str]) -> None:
        """Something about these Apps may have changed."""
        self._pending.update(app_ids)
        self._signal.set()

    def called_off(self, app_id: str) -> None:
        """Somebody ended the App's own deployment, so it returns to what ran before."""
        self._turned.add(app_id)
        self.note([app_id])

    def resume(self) -> None:
        """Take what is there as it should be, but for what is just being removed."""
        known = self._desk.catalogue.by_app_id
        self._turned.clear()
        self._aimed = {
            app_id: version_put(state)
            for app_id, state in self._world.apps.items()
            if app_id in known
        }
        self.note([app_id for app_id in self._aimed if self._aim(app_id) is None])

    async def run(self) -> None:
        """Adopt for ever what there is to adopt."""
        while True:
            try:
                async with asyncio.timeout(AGAIN_S if self._turned else None):
                    await self._signal.wait()
            except TimeoutError:
                self._pending |= self._turned
            self._signal.clear()
            pending, self._pending = self._pending, set()
            for app_id in sorted(pending):
                try:
                    await self.look(app_id)
                except Exception:  # ours to mend; the others are adopted all the same
                    self._turned.discard(app_id)
                    log.exception("marathon_adopter_broke", app=app_id)

    async def look(self, app_id: str) -> None:
        """Have the definition say what the App is, unless a deployment is about to change the App."""
        catalogue = self._desk.catalogue
        entry = catalogue.entries.get(catalogue.by_app_id.get(app_id, ""))
        if entry is None:
            self._forget(app_id)
            return
        aim = self._note_aim(entry)
        if entry.path in catalogue.locked:
            return
        if app_id in self._turned or (aim == entry.config_version and self._is_scaled(entry)):
            await self._try(entry, aim)

    async def _try(self, entry: Entry, aim: str | None) -> None:
        state = self._world.apps.get(entry.app_id)
        what = (entry.version, aim, state.count if state is not None else 0)
        if self._refused.get(entry.app_id) == what:
            return
        try:
            await self._adopt(entry, aim)
            self._refused.pop(entry.app_id, None)
        except PortwayError as error:
            self._turned.discard(entry.app_id)
            self._refused[entry.app_id] = what
            log.warning("marathon_change_not_adopted", path=entry.path, error=str(error))

    def _forget(self, app_id: str) -> None:
        self._aimed.pop(app_id, None)
        self._turned.discard(app_id)
        self._refused.pop(app_id, None)

    def _aim(self, app_id: str) -> str | None:
        """The version the App is put in; None where it is gone or going."""
        state = self._world.apps.get(app_id)
        return version_put(state) if state is not None and state.target is not None else None

    def _note_aim(self, entry: Entry) -> str | None:
        """Find out who turned it: a deployment of /v2 puts nothing but what its definition says."""
        aim, was = self._aim(entry.app_id), self._aimed.get(entry.app_id)
        if aim == entry.config_version:
            self._turned.discard(entry.app_id)
        elif was is not None and aim != was:
            self._turned.add(entry.app_id)
        if aim is not None:
            self._aimed[entry.app_id] = aim
        return aim

    def _is_scaled(self, entry: Entry) -> bool:
        state = self._world.apps.get(entry.app_id)
        return state is not None and state.count != entry.count

    async def _adopt(self, entry: Entry, aim: str | None) -> None:
        definition = await self._desk.documents.version_of(entry, aim) if aim else None

        def change(catalogue: Catalogue) -> Wanted:
            is_same = catalogue.entries.get(entry.path) is entry
            if not is_same or entry.path in catalogue.locked or self._aim(entry.app_id) != aim:
                return Wanted()
            state = self._world.apps.get(entry.app_id)
            return adopted(entry, aim, definition, state.count if state is not None else 0)

        if aim is not None and aim != entry.config_version and definition is None:
            self._turned.discard(entry.app_id)
            log.warning("marathon_version_unknown", path=entry.path, version=aim)
            return
        await self._desk.update(change)


def adopted(
    entry: Entry, aim: str | None, definition: Mapping[str, Any] | None, count: int
) -> Wanted:
    """What has the entry say what its App is: gone without an aim, else the definition of that version, and so many."""
    if aim is None:
        said: Mapping[str, Mapping[str, Any] | None] = {entry.path: None}
    else:
        is_other = aim != entry.config_version
        of = entry.saying(definition) if is_other and definition is not None else entry
        said = with_count(of, count)
    return Wanted(
        apps=said if entry.kind == APP else {},
        pods=said if entry.kind != APP else {},
        config_versions={entry.path: aim} if aim is not None else {},
        policies={entry.path: entry.within_policy},
    )
