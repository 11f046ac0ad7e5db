"""ECS operations that are known and refused, each with what to do instead."""

from __future__ import annotations

from typing import Any, NoReturn

from portway.api.aws.ecs.common import find_cluster, refused
from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation


@operation("ecs", "ExecuteCommand")
async def execute_command(face: Face, request: Request) -> dict[str, Any]:
    """There is no agent that a session manager could reach."""
    cluster = await find_cluster(face, request.get("cluster"))
    container = request.get("container")
    inside = f"{request['task']} {request['command']}" + (f" in {container}" if container else "")
    interactive = " -t" if request["interactive"] else ""
    raise refused(
        f"ExecuteCommand needs the session manager of AWS, which is not here ({inside}). "
        f"Use `portway exec{interactive} -a {cluster} APP COMMAND`, or `docker exec`."
    )


@operation("ecs", "ListServicesByNamespace")
async def list_services_by_namespace(face: Face, request: Request) -> dict[str, Any]:
    """There is no Cloud Map."""
    told = f"The namespace {request['namespace']} is not there: portway has no Cloud Map."
    raise AwsError("NamespaceNotFoundException", told, 400)


@operation("ecs", "DiscoverPollEndpoint", ignores=("cluster", "containerInstance"))
async def discover_poll_endpoint(face: Face, request: Request) -> dict[str, Any]:
    """No agent connects: portway runs what is asked for itself."""
    _refuse_agents()


@operation("ecs", "RegisterContainerInstance", ignores=(
    "cluster", "instanceIdentityDocument", "instanceIdentityDocumentSignature", "totalResources", "versionInfo",
    "containerInstanceArn", "attributes", "platformDevices", "tags",
))  # fmt: skip
async def register_container_instance(face: Face, request: Request) -> dict[str, Any]:
    """The machines that portway runs on are container instances by themselves."""
    _refuse_agents()


def _refuse_agents() -> NoReturn:
    raise refused(
        "portway runs tasks itself and takes no ECS agent. "
        "Its machines are container instances of every cluster already: ListContainerInstances."
    )
