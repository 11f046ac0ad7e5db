"""ForeignApps: Apps that were not made over this API, shown as definitions all the same. Read only."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from portway.controller.marathon.catalogue import APP, Catalogue, Entry
from portway.controller.marathon.making import definition_of
from portway.controller.world import World
from portway.core.ecs.labels import origin_of
from portway.core.marathon.names import path_of, time_text
from portway.core.routing import is_routed, route_keys
from portway.core.state import AppState


class ForeignApps:
    """What runs and is in no definition, by the path it would have."""

    def __init__(self, world: World, catalogue: Callable[[], Catalogue]) -> None:
        self._world, self._catalogue = world, catalogue
        self._known: dict[
            str, tuple[object, Entry]
        ] = {}  # by App: of what it was made, and the entry

    def of(self, app_id: str) -> Entry | None:
        """The entry of an App; None for one that is none of these."""
        state = self._world.apps.get(app_id)
        if state is None or state.target is None or app_id in self._catalogue().by_app_id:
            self._known.pop(app_id, None)
            return None
        made_of = (state.target.id, state.target.app, state.count, state.service_ports)
        known = self._known.get(app_id)
        if known is None or known[0] != made_of:
            known = self._known[app_id] = (made_of, _entry(state))
        return known[1]

    def at(self, path: str) -> Entry | None:
        """The entry of a path."""
        return next((entry for entry in self if entry.path == path), None)

    def __iter__(self) -> Iterator[Entry]:
        """All of them, by App."""
        ours = self._catalogue().by_app_id
        for app_id in sorted(self._world.apps.keys() - ours.keys()):
            entry = self.of(app_id)
            if entry is not None and entry.path not in self._catalogue().entries:
                yield entry

    def is_of_ecs(self, app_id: str) -> bool:
        """Whether an App was made over the AWS face."""
        state = self._world.apps.get(app_id)
        return bool(state and state.target and origin_of(state.target.app))

    def listeners(self) -> set[int]:
        """The service ports they have."""
        ours = self._catalogue().by_app_id
        return {
            key.service_port
            for app_id in self._world.apps.keys() - ours.keys()
            if (state := self._world.apps[app_id]).target is not None
            for spec in state.target.app.ports
            if is_routed(spec)
            for key, _ in route_keys(spec, state.service_ports)
        }


def _entry(state: AppState) -> Entry:
    assert state.target is not None
    made_at_ms = state.target.made_at_ms
    since_ms = state.deployment.started_at_ms if state.deployment is not None else 0
    made, version = time_text(made_at_ms), time_text(max(made_at_ms, since_ms))
    path = path_of(state.app_id)
    info = {"lastScalingAt": version, "lastConfigChangeAt": made}
    definition = {**definition_of(state), "id": path, "version": version, "versionInfo": info}
    return Entry(
        path=path,
        kind=APP,
        definition=definition,
        app_id=state.app_id,
        config_version=made,
        scaled_version=version,
        is_foreign=True,
    )
