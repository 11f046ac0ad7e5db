"""Entries -> the Apps they mean, and Apps made otherwise -> definitions to be shown. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from portway.controller.marathon.catalogue import APP, Entry
from portway.core.app import App
from portway.core.redaction import shown_details
from portway.core.state import AppState
from portway.manifests.marathon.apps import to_app
from portway.manifests.marathon.pods import to_pod_app
from portway.manifests.marathon.scheduling import Making
from portway.manifests.marathon.write import from_app


def app_of_entry(
    entry: Entry, *, enforces_role: bool = False, groups: tuple[str, ...] = ("*",)
) -> App:
    """The App of an app or pod. `groups`: those of marathon-lb's labels whose ports are served."""
    making = Making(
        app_id=entry.app_id,
        version=entry.config_version,
        enforces_role=enforces_role,
        groups=groups,
    )
    make = to_app if entry.kind == APP else to_pod_app
    return make(entry.definition, making)


def definition_of(state: AppState) -> dict[str, Any]:
    """An App that was not made over this API as a definition; its id and version are not part of it.

    Its variables are left out, and their values wherever they are repeated: they may be secret, and whoever wrote them did
    not know of this API.
    """
    assert state.target is not None
    app, variables = state.target.app, state.target.environment
    bare = replace(app, environment={})
    found = from_app(bare, count=state.count, service_ports=state.service_ports)
    return {key: _shown(value, app, variables) for key, value in found.items()}


def _shown(value: Any, app: App, variables: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return shown_details({"": value}, app, variables)[""]
    if isinstance(value, list):
        return [_shown(each, app, variables) for each in value]
    if isinstance(value, dict):
        return {key: _shown(inner, app, variables) for key, inner in value.items()}
    return value
