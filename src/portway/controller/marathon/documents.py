"""The catalogue as documents: one for each app, pod, old version, group, deployment and failure. Knows no rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from portway.controller.marathon.catalogue import (
    APP,
    Catalogue,
    Deployment,
    Entry,
    Group,
    Status,
    TaskFailure,
)
from portway.store.base import Documents
from portway.store.codec import to_body

APPS = "marathon.app"
PODS = "marathon.pod"
VERSIONS = "marathon.version"
GROUPS = "marathon.group"
DEPLOYMENTS = "marathon.deployment"
FAILURES = "marathon.failure"
VERSIONS_KEPT = 50
ENDED_KEPT = 50  # deployments that have ended, by which groups go back


class MarathonDocuments:
    """Saves and loads what the catalogue knows."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def load(self) -> Catalogue:
        """Everything that was saved. What a deployment had not yet written down is as it says."""
        catalogue = Catalogue()
        for kind in (APPS, PODS):
            for document in await self._documents.list(kind):
                catalogue.put(msgspec.convert(document.body, Entry))
        for document in await self._documents.list(GROUPS):
            catalogue.put_group(msgspec.convert(document.body, Group))
        for document in await self._documents.list(FAILURES):
            if document.key in catalogue.entries:
                catalogue.failures[document.key] = msgspec.convert(document.body, TaskFailure)
        found = [
            msgspec.convert(document.body, Deployment)
            for document in await self._documents.list(DEPLOYMENTS)
        ]
        for deployment in sorted(found, key=lambda d: d.version):
            if deployment.status is Status.RUNNING:
                await self.write_changes(catalogue, deployment)
                catalogue.start(deployment)
            else:
                catalogue.note_version("/", deployment.version)
                catalogue.history.append(deployment)
        return catalogue

    async def write_changes(self, catalogue: Catalogue, deployment: Deployment) -> None:
        """Make the definitions what a deployment says, unless they are newer. Doing it again does no harm."""
        for change in deployment.changes:
            known = catalogue.entries.get(change.path)
            if known is not None and known.version > deployment.version:
                continue
            if change.after is None:
                await self.delete_entry(catalogue, change.path)
            elif known != change.after:
                await self.put_entry(catalogue, change.after)
        for said in deployment.groups:
            if said.after is not None:
                await self.put_group(said.after)
                catalogue.put_group(said.after)
            elif said.path in catalogue.groups:
                await self._documents.delete(GROUPS, said.path)
                del catalogue.groups[said.path]
        catalogue.note_version("/", deployment.version)

    async def put_entry(self, catalogue: Catalogue, entry: Entry) -> None:
        """Save a definition; the one it takes the place of is kept as a version."""
        known = catalogue.entries.get(entry.path)
        if known is not None and known.version != entry.version:
            await self._documents.put(VERSIONS, _version_key(known), known.definition)
            for version in known.versions[VERSIONS_KEPT - 1 :]:
                await self._documents.delete(VERSIONS, f"{entry.path}|{version}")
        await self._documents.put(_kind(entry), entry.path, to_body(entry))
        catalogue.put(entry)

    async def delete_entry(self, catalogue: Catalogue, path: str) -> None:
        """Forget a definition and all that is kept about it."""
        entry = catalogue.entries.get(path)
        if entry is None:
            return
        for version in entry.versions:
            await self._documents.delete(VERSIONS, f"{path}|{version}")
        await self._documents.delete(FAILURES, path)
        await self._documents.delete(_kind(entry), path)
        catalogue.remove(path)

    async def put_group(self, group: Group) -> None:
        """Save what is said of a group."""
        await self._documents.put(GROUPS, group.path, to_body(group))

    async def version_of(self, entry: Entry, version: str) -> Mapping[str, Any] | None:
        """The definition as it was in a version, the present one included."""
        if version == entry.version:
            return entry.definition
        found = await self._documents.get(VERSIONS, f"{entry.path}|{version}")
        return found.body if found is not None else None

    async def put_deployment(self, deployment: Deployment) -> None:
        """Save a deployment as it stands."""
        await self._documents.put(DEPLOYMENTS, deployment.id, to_body(deployment))

    async def delete_deployment(self, deployment: Deployment) -> None:
        """Forget one that ended long ago."""
        await self._documents.delete(DEPLOYMENTS, deployment.id)

    async def put_failure(self, failure: TaskFailure) -> None:
        """Save the last failure of an app."""
        await self._documents.put(FAILURES, failure.path, to_body(failure))


def _kind(entry: Entry) -> str:
    return APPS if entry.kind == APP else PODS


def _version_key(entry: Entry) -> str:
    return f"{entry.path}|{entry.version}"
