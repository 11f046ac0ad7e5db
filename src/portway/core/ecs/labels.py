"""What an App made over the AWS face carries along, as labels: of which service or task it is, and from which task definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portway.core.app import App
from portway.core.aws_names import AwsNames
from portway.core.instance import InstanceRecord
from portway.core.state import AppState, Revision

SERVICE = "service"
TASK = "task"

_PREFIX = "portway.ecs."


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an App came from. Names are as their maker wrote them; `task_definition` is an ARN, of files "family:revision".

    `started_by`, `group` and `task_id` are a task's own; of a service's tasks they follow from the service.
    `is_of_files`: the service was deployed as files, so its stack is deployed as a whole.
    """

    kind: str
    cluster: str
    service: str = ""
    task_definition: str = ""
    started_by: str = ""
    group: str = ""
    launch_type: str = "EC2"
    task_id: str = ""
    is_of_files: bool = False
    subnet: str = ""  # of a task with an address of its own
    security_groups: tuple[str, ...] = ()

    def definition_arn(self, names: AwsNames) -> str:
        """The ARN of the task definition."""
        if not self.is_of_files:
            return self.task_definition
        return names.task_definition_arn(self.family, int(self.task_definition.rpartition(":")[2]))

    @property
    def family(self) -> str:
        """The task definition without its revision."""
        return self.task_definition.rpartition("/")[2].partition(":")[0]

    @property
    def task_group(self) -> str:
        """What ListTasks and DescribeTasks call the task's group."""
        if self.kind == SERVICE:
            return f"service:{self.service}"
        return self.group or f"family:{self.family}"


def labels_of(origin: Origin) -> dict[str, str]:
    """The labels that say so."""
    said = {
        "kind": origin.kind,
        "cluster": origin.cluster,
        "service": origin.service,
        "task-definition": origin.task_definition,
        "started-by": origin.started_by,
        "group": origin.group,
        "launch-type": origin.launch_type,
        "task-id": origin.task_id,
        "files": "yes" if origin.is_of_files else "",
        "subnet": origin.subnet,
        "security-groups": ",".join(origin.security_groups),
    }
    return {_PREFIX + name: value for name, value in said.items() if value}


def origin_of(app: App) -> Origin | None:
    """What its labels say; None for an App that was not made over the AWS face."""
    return _read(app.labels)


def origin_of_state(state: AppState) -> Origin | None:
    """Likewise for an App that may be on its way out: then what it ran last says it."""
    revisions = (
        *((state.target,) if state.target else ()),
        *reversed(tuple(state.revisions.values())),
    )
    return next((found for r in revisions if (found := origin_of(r.app)) is not None), None)


def revision_of(state: AppState, record: InstanceRecord) -> Revision | None:
    """What an instance runs, or ran."""
    wanted = record.identity.revision
    if state.target is not None and state.target.id == wanted:
        return state.target
    return state.revisions.get(wanted)


def _read(labels: Mapping[str, str]) -> Origin | None:
    kind = labels.get(f"{_PREFIX}kind")
    if kind not in (SERVICE, TASK):
        return None
    return Origin(
        kind=kind,
        cluster=labels.get(f"{_PREFIX}cluster", ""),
        service=labels.get(f"{_PREFIX}service", ""),
        task_definition=labels.get(f"{_PREFIX}task-definition", ""),
        started_by=labels.get(f"{_PREFIX}started-by", ""),
        group=labels.get(f"{_PREFIX}group", ""),
        launch_type=labels.get(f"{_PREFIX}launch-type", "EC2"),
        task_id=labels.get(f"{_PREFIX}task-id", ""),
        is_of_files=labels.get(f"{_PREFIX}files") == "yes",
        subnet=labels.get(f"{_PREFIX}subnet", ""),
        security_groups=tuple(filter(None, labels.get(f"{_PREFIX}security-groups", "").split(","))),
    )
