"""IAM instance profiles: a name that holds one role."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.iam.common import check_tags, exists, iam_arn, listing, new_id, no_entity
from portway.api.aws.iam.roles import find_role, shown_role
from portway.api.aws.objects import Body, changed, merged_tags
from portway.api.aws.operation import Request, operation
from portway.store.base import Document, DocumentChangedError

KIND = "aws/iam/instance-profile"
_NOUN = "instance profile"


@operation("iam", "CreateInstanceProfile")
async def create_instance_profile(face: Face, request: Request) -> dict[str, Any]:
    """Keep a profile without a role."""
    name, path = request["InstanceProfileName"], request.get("Path", "/")
    tags = merged_tags([], request.get("Tags", []))
    check_tags(tags)
    body = {
        "Path": path,
        "InstanceProfileName": name,
        "InstanceProfileId": new_id(face, "AIPA"),
        "Arn": iam_arn(face, "instance-profile", path, name),
        "CreateDate": face.now_ms(),
        "Roles": [],
        "Tags": tags,
    }
    try:
        made = await face.documents.put(KIND, name, body, 0)
    except DocumentChangedError:
        raise exists("Instance Profile", name) from None
    return {"InstanceProfile": await _shown(face, made.body)}


@operation("iam", "GetInstanceProfile")
async def get_instance_profile(face: Face, request: Request) -> dict[str, Any]:
    """One profile with its role."""
    return {"InstanceProfile": await _shown(face, (await _find(face, request)).body)}


@operation("iam", "DeleteInstanceProfile")
async def delete_instance_profile(face: Face, request: Request) -> dict[str, Any]:
    """Forget a profile without a role."""
    found = await _find(face, request)
    if found.body["Roles"]:
        told = "Cannot delete entity, must remove roles from instance profile first."
        raise AwsError("DeleteConflict", told, 409)
    await face.documents.delete(KIND, found.key)
    return {}


@operation("iam", "AddRoleToInstanceProfile")
async def add_role_to_instance_profile(face: Face, request: Request) -> dict[str, Any]:
    """Put a role into a profile that has none."""
    role = (await find_role(face, request["RoleName"])).key

    def change(body: Body) -> Body:
        if body["Roles"]:
            told = "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"
            raise AwsError("LimitExceeded", told, 409)
        return {**body, "Roles": [role]}

    await _change(face, request, change)
    return {}


@operation("iam", "RemoveRoleFromInstanceProfile")
async def remove_role_from_instance_profile(face: Face, request: Request) -> dict[str, Any]:
    """Take a role out of a profile."""
    role = request["RoleName"]

    def change(body: Body) -> Body:
        if role not in body["Roles"]:
            raise no_entity("role", role)
        return {**body, "Roles": [name for name in body["Roles"] if name != role]}

    await _change(face, request, change)
    return {}


@operation("iam", "ListInstanceProfiles")
async def list_instance_profiles(face: Face, request: Request) -> dict[str, Any]:
    """Profiles under a path."""
    prefix = request.get("PathPrefix", "/")
    found = [d.body for d in await face.documents.list(KIND) if d.body["Path"].startswith(prefix)]
    return await _listed(face, request, found)


@operation("iam", "ListInstanceProfilesForRole")
async def list_instance_profiles_for_role(face: Face, request: Request) -> dict[str, Any]:
    """The profiles that hold a role."""
    role = (await find_role(face, request["RoleName"])).key
    found = [d.body for d in await face.documents.list(KIND) if role in d.body["Roles"]]
    return await _listed(face, request, found)


async def _listed(
    face: Face, request: Request, bodies: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    shown = [await _shown(face, body) for body in bodies]
    return listing(request, "InstanceProfiles", shown, lambda body: body["InstanceProfileName"], dict)  # fmt: skip


async def _find(face: Face, request: Request) -> Document:
    name = request["InstanceProfileName"]
    found = await face.documents.get(KIND, name)
    if found is None:
        raise no_entity(_NOUN, name)
    return found


async def _change(face: Face, request: Request, change: Callable[[Body], Body]) -> None:
    name = request["InstanceProfileName"]
    if await changed(face.documents, KIND, name, change) is None:
        raise no_entity(_NOUN, name)


async def _shown(face: Face, body: Mapping[str, Any]) -> dict[str, Any]:
    roles = [shown_role((await find_role(face, name)).body) for name in body["Roles"]]
    return {**body, "Roles": roles, "Tags": body["Tags"] or None}
