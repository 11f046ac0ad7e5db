"""A service and its instances, made of a few words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from portway.core.app import App, TargetBinding
from portway.core.aws_names import AwsNames
from portway.core.ecs.labels import SERVICE, Origin, labels_of
from portway.core.instance import InstanceIdentity, InstanceRecord, Phase, instance_id
from portway.core.state import AppState, Deployment, DeploymentStatus, Revision

NAMES = AwsNames(region="us-east-1", account_id="000000000000", home_id="h")
GROUP = NAMES.arn("elasticloadbalancing", "targetgroup/tg/0123456789abcdef")
APP_ID = "c/web"


def origin(revision: int = 1) -> Origin:
    return Origin(
        kind=SERVICE,
        cluster="c",
        service="web",
        task_definition=NAMES.task_definition_arn("web", revision),
    )


def app(*groups: str, revision: int = 1, **fields: Any) -> App:
    targets = tuple(TargetBinding(group=g, container="web", container_port=80) for g in groups)
    labels = labels_of(origin(revision))
    return App(id=APP_ID, image="nginx", labels=labels, targets=targets, **fields)


def record(serial: int, phase: Phase, *, revision: str = "R1", **fields: Any) -> InstanceRecord:
    """One whose phases began at serial * 1000 and ten milliseconds after each other."""
    began = serial * 1000
    moments = ("planned_at_ms", "started_at_ms", "ready_at_ms", "draining_at_ms", "stopping_at_ms", "gone_at_ms")  # fmt: skip
    times = {name: began + 10 * nth for nth, name in enumerate(moments) if nth <= phase}
    identity = InstanceIdentity(
        id=instance_id(APP_ID, slot=1, serial=serial),
        app_id=APP_ID,
        slot=1,
        serial=serial,
        revision=revision,
        release=revision,
        node="local",
    )
    given: dict[str, Any] = {"identity": identity, "phase": phase, **times, **fields}
    return InstanceRecord(**given)


def state(
    *records: InstanceRecord, count: int = 1, of: App | None = None, **fields: Any
) -> AppState:
    """The App with these instances; R1 should run unless `target` says otherwise."""
    of = of or app()
    revisions = {r.identity.revision for r in records} | {"R1"}
    known = {name: revision(name, of) for name in sorted(revisions)}
    target = fields.pop("target", "R1")
    return AppState(
        app_id=APP_ID,
        target=known.setdefault(target, revision(target, of)) if target else None,
        revisions=known,
        count=count,
        instances=records,
        **fields,
    )


def revision(name: str, of: App) -> Revision:
    """Revision Rn of the service is from task definition web:n."""
    labelled = replace(of, labels=labels_of(origin(int(name[1:]))))
    return Revision(id=name, release=name, app=labelled)


def deployment(
    to: str, status: DeploymentStatus, *, start: str | None = None, **fields: Any
) -> Deployment:
    made: dict[str, Any] = {"id": f"D{to}", "started_at_ms": 500, "progressed_at_ms": 500}
    return Deployment(to_revision=to, from_revision=start, status=status, **{**made, **fields})
