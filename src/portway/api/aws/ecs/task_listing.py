"""ListTasks: a page of the tasks of a cluster, from what is known of them in order; what is not on the page is not put together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from portway.api.aws.ecs.common import find_cluster, names_of, scope_of, within
from portway.api.aws.ecs.service_finding import find_service
from portway.api.aws.ecs.task_store import Task
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.api.aws.paging import token_key, token_of
from portway.controller.ecs.histories import TASK_KIND, stopped_tasks
from portway.controller.ecs.task_index import TaskIndex, TaskKey
from portway.core.aws_names import last_part, service_app_id

TASKS_LISTED_MAX = 100


@operation("ecs", "ListTasks", refuses={"daemonName": "there are no managed daemons here"})
async def list_tasks(face: Face, request: Request) -> dict[str, Any]:
    """The ARNs of tasks that should run, or of those that were stopped, by what they belong to."""
    cluster = await find_cluster(face, request.get("cluster"))
    service = request.get("serviceName")
    if service is not None:
        found = await find_service(face, cluster, service)
        if found is None:
            raise AwsError("ServiceNotFoundException", "Service not found.", 400)
        service = found.name
    status = request.get("desiredStatus") or "RUNNING"
    if status == "PENDING":
        return {"taskArns": []}  # as on AWS: no task is ever wanted to be pending
    node = request.get("containerInstance")
    wanted = within(face, node, cluster, "container-instance") if node else ""
    known = {names_of(face).container_instance_id(n.name): n.name for n in await face.operations.nodes()}  # fmt: skip
    shelf = _Shelf(
        face=face,
        request=request,
        cluster=cluster,
        service=service,
        node=known.get(wanted, "") if node else None,
    )
    find = shelf.running if status == "RUNNING" else shelf.stopped
    return await page_of(request, find)


async def page_of(
    request: Request, find: Callable[[str, int], Awaitable[list[str]]]
) -> dict[str, Any]:
    """A page of ARNs. `find` gives so many that follow one, in their order."""
    size = min(request.get("maxResults") or TASKS_LISTED_MAX, TASKS_LISTED_MAX)
    scope = scope_of(request)
    after = token_key(request.get("nextToken"), scope=scope)
    found = await find(after, size + 1)
    more = len(found) > size
    return {
        "taskArns": found[:size],
        "nextToken": token_of(found[size - 1], scope=scope) if more else None,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shelf:
    """What a listing is of: the tasks of a cluster, or of one service there, that match."""

    face: Face
    request: Request
    cluster: str
    service: str | None
    node: str | None  # by its name here; "" is one that there is not

    async def running(self, after: str, count: int) -> list[str]:
        """Those that should run. Those that were only just asked for may have ended without a beginning."""
        found: list[str] = []
        index = await self.face.operations.tasks()
        waiting: set[str] = set()
        for key in self._keys(index, after, wanted=True):
            found.append(self._arn(key))
            if key.is_to_come:
                waiting.add(self._arn(key))
            if len(found) >= count:
                break
        ended = {arn for arn in waiting if await self.face.documents.get(TASK_KIND, arn)}
        if not ended:
            return found
        more = await self.running(found[-1], count) if len(found) >= count else []
        return [*(arn for arn in found if arn not in ended), *more][:count]

    async def stopped(self, after: str, count: int) -> list[str]:
        """Those that stop, and those that have stopped and are kept."""
        kept = await self._kept(after)
        index = await self.face.operations.tasks()
        leaving = (self._arn(key) for key in self._keys(index, after, wanted=False))
        return sorted({*kept[:count], *islice(leaving, count)})[:count]

    async def _kept(self, after: str) -> list[str]:
        documents, prefix = self.face.documents, names_of(self.face).task_arn(self.cluster, "")
        if self._takes_all:
            return [arn for arn in await documents.keys(TASK_KIND, prefix) if arn > after]
        tasks = filter(self._matches_kept, await stopped_tasks(documents, prefix))
        return [arn for task in tasks if (arn := task["taskArn"]) > after]

    @property
    def _takes_all(self) -> bool:
        filters = ("family", "startedBy", "launchType", "containerInstance", "serviceName")
        return not any(self.request.get(name) for name in filters)

    def _keys(self, index: TaskIndex, after: str, *, wanted: bool) -> Iterator[TaskKey]:
        last = last_part(after)
        if self.service is None:
            every = index.after(self.cluster, last, wanted=wanted)
        else:
            app_id = service_app_id(self.cluster, self.service)
            every = index.of_app(app_id, last, wanted=wanted)
        return (key for key in every if self._matches(key))

    def _matches(self, key: TaskKey) -> bool:
        asked = self.request
        return (
            key.cluster == self.cluster
            and asked.get("family") in (None, key.family)
            and asked.get("startedBy") in (None, key.started_by)
            and asked.get("launchType") in (None, key.launch_type)
            and self.node in (None, key.record.identity.node)
        )

    def _matches_kept(self, task: Task) -> bool:
        asked, node = self.request, self.request.get("containerInstance")
        family = last_part(task["taskDefinitionArn"]).partition(":")[0]
        return (
            (self.service is None or task["group"] == f"service:{self.service}")
            and asked.get("family") in (None, family)
            and asked.get("startedBy") in (None, task.get("startedBy"))
            and asked.get("launchType") in (None, task["launchType"])
            and (
                node is None
                or last_part(task["containerInstanceArn"])
                == within(self.face, node, self.cluster, "container-instance")
            )
        )

    def _arn(self, key: TaskKey) -> str:
        return names_of(self.face).task_arn(self.cluster, key.task_id)
