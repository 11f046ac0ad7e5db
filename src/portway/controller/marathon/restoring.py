"""Definitions whose App is not there although nobody removed it -> the deployment that starts it again. Pure."""

from __future__ import annotations

from collections.abc import Container

from portway.controller.marathon.catalogue import (
    APP,
    Action,
    Catalogue,
    Deployment,
    Entry,
    EntryChange,
)


def lost_entries(catalogue: Catalogue, app_ids: Container[str]) -> list[Entry]:
    """Those without an App that no deployment is about. `app_ids`: the Apps there are, those that are going too."""
    return [
        entry
        for path, entry in sorted(catalogue.entries.items())
        if entry.app_id not in app_ids and path not in catalogue.locked
    ]


def restoring(entries: list[Entry], *, deployment_id: str, version: str, now_ms: int) -> Deployment:
    """The deployment that brings their Apps back; the definitions stay as they are."""
    actions = tuple(
        Action(
            action="ScaleApplication" if entry.kind == APP else "ScalePod",
            path=entry.path,
            kind=entry.kind,
        )
        for entry in entries
    )
    return Deployment(
        id=deployment_id,
        version=version,
        started_at_ms=now_ms,
        changes=tuple(
            EntryChange(path=entry.path, kind=entry.kind, before=entry, after=entry)
            for entry in entries
        ),
        steps=(actions,),
    )
