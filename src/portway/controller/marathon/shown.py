"""Deployments as Marathon's clients see them. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portway.controller.marathon.catalogue import APP, Action, Deployment, Entry


def shown_steps(deployment: Deployment) -> list[dict[str, Any]]:
    """The steps of its plan."""
    return [{"actions": [action.shown for action in step]} for step in deployment.steps]


def shown_plan(deployment: Deployment) -> dict[str, Any]:
    """The light form of a plan, as events carry it."""
    return {
        "id": deployment.id,
        "steps": shown_steps(deployment),
        "version": deployment.version,
    }


def whole_plan(deployment: Deployment) -> dict[str, Any]:
    """The plan with the root group before and after it, as Marathon told it until 1.7: of what the deployment changes."""
    before = [c.before for c in deployment.changes if c.before is not None]
    after = [c.after for c in deployment.changes if c.after is not None]
    version = max((entry.version for entry in before), default=deployment.version)
    told = {"original": _root(before, version), "target": _root(after, deployment.version)}
    return {**shown_plan(deployment), **told}


def _root(entries: list[Entry], version: str) -> dict[str, Any]:
    groups: dict[str, dict[str, Any]] = {}

    def group(path: str) -> dict[str, Any]:
        if path not in groups:
            groups[path] = {
                "id": path,
                "apps": [],
                "groups": [],
                "pods": [],
                "dependencies": [],
                "version": version,
            }
            if path != "/":
                group(path.rpartition("/")[0] or "/")["groups"].append(groups[path])
        return groups[path]

    for entry in entries:
        parent = group(entry.path.rpartition("/")[0] or "/")
        parent["apps" if entry.kind == APP else "pods"].append(entry.definition)
    return group("/")


def shown_deployment(
    deployment: Deployment, readiness_of: Callable[[Action], list[dict[str, Any]]]
) -> dict[str, Any]:
    """A running deployment as GET /v2/deployments lists it."""
    kinds = {action.path: action.kind for step in deployment.steps for action in step}
    current = deployment.steps[deployment.step] if deployment.step < len(deployment.steps) else ()
    return {
        "id": deployment.id,
        "version": deployment.version,
        "affectedApps": sorted(path for path, kind in kinds.items() if kind == APP),
        "affectedPods": sorted(path for path, kind in kinds.items() if kind != APP),
        "steps": shown_steps(deployment),
        "currentActions": [
            {**action.shown, "readinessCheckResults": readiness_of(action)} for action in current
        ],
        "currentStep": min(deployment.step + 1, len(deployment.steps)),
        "totalSteps": len(deployment.steps),
    }


def deployment_result(deployment: Deployment) -> dict[str, str]:
    """What a call that deploys answers with."""
    return {"version": deployment.version, "deploymentId": deployment.id}
