"""IAM roles. What they trust and may is kept and given back; nothing is decided by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.iam.common import (
    check_policy,
    check_tags,
    exists,
    iam_arn,
    listing,
    new_id,
    no_entity,
)
from portway.api.aws.objects import Body, changed, merged_tags, without_tags
from portway.api.aws.operation import Request, operation
from portway.store.base import Document, DocumentChangedError

KIND = "aws/iam/role"
_LINKED = "AWSServiceRoleFor"
_LINKED_NAMES = {
    "ecs.amazonaws.com": "ECS",
    "elasticloadbalancing.amazonaws.com": "ElasticLoadBalancing",
    "ecs.application-autoscaling.amazonaws.com": "ApplicationAutoScaling_ECSService",
    "autoscaling.amazonaws.com": "AutoScaling",
}


@operation("iam", "CreateRole")
async def create_role(face: Face, request: Request) -> dict[str, Any]:
    """Keep a role."""
    check_policy(request["AssumeRolePolicyDocument"])
    name, path = request["RoleName"], request.get("Path", "/")
    return {"Role": shown_role(await _make(face, request, name, path))}


@operation("iam", "CreateServiceLinkedRole")
async def create_service_linked_role(face: Face, request: Request) -> dict[str, Any]:
    """The role a service of AWS makes for itself: tools ask for it before they use the service."""
    service = request["AWSServiceName"]
    suffix = f"_{request['CustomSuffix']}" if request.get("CustomSuffix") else ""
    known = _LINKED_NAMES.get(service, service.partition(".")[0].title().replace("-", ""))
    name = f"{_LINKED}{known}{suffix}"
    if await face.documents.get(KIND, name) is not None:
        told = f"Service role name {name} has been taken in this account, please try a different suffix."
        raise AwsError("InvalidInput", told, 400)
    trust = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["%s"]},'
        '"Action":["sts:AssumeRole"]}]}'
    )
    path = f"/aws-service-role/{service}/"
    made = await _make(face, request, name, path, trust=trust % service)
    return {"Role": shown_role(made)}


@operation("iam", "GetRole")
async def get_role(face: Face, request: Request) -> dict[str, Any]:
    """One role."""
    return {"Role": shown_role((await find_role(face, request["RoleName"])).body)}


@operation("iam", "ListRoles")
async def list_roles(face: Face, request: Request) -> dict[str, Any]:
    """Roles under a path; without tags and boundary, as AWS lists them."""
    prefix = request.get("PathPrefix", "/")
    roles = [d.body for d in await face.documents.list(KIND) if d.body["Path"].startswith(prefix)]

    def shown(body: Mapping[str, Any]) -> dict[str, Any]:
        left_out = ("Tags", "PermissionsBoundary")
        return {name: value for name, value in shown_role(body).items() if name not in left_out}

    return listing(request, "Roles", roles, lambda body: body["RoleName"], shown)


@operation("iam", "DeleteRole")
async def delete_role(face: Face, request: Request) -> dict[str, Any]:
    """Forget a role that has no policies and is in no instance profile."""
    name = request["RoleName"]
    body = (await find_role(face, name)).body
    profiles = await face.documents.list("aws/iam/instance-profile")
    if body["Attached"]:
        told = "Cannot delete entity, must detach all policies first."
    elif body["Inline"]:
        told = "Cannot delete entity, must delete policies first."
    elif any(name in profile.body["Roles"] for profile in profiles):
        told = "Cannot delete entity, must remove roles from instance profile first."
    else:
        await face.documents.delete(KIND, name)
        return {}
    raise AwsError("DeleteConflict", told, 409)


@operation("iam", "UpdateAssumeRolePolicy")
async def update_assume_role_policy(face: Face, request: Request) -> dict[str, Any]:
    """Replace whom a role trusts."""
    check_policy(request["PolicyDocument"])
    document = request["PolicyDocument"]
    await change_role(face, request, lambda body: {**body, "AssumeRolePolicyDocument": document})
    return {}


@operation("iam", "UpdateRole")
async def update_role(face: Face, request: Request) -> dict[str, Any]:
    """Replace the description or the longest session of a role."""
    given = {m: request[m] for m in ("Description", "MaxSessionDuration") if request.get(m) is not None}  # fmt: skip
    await change_role(face, request, lambda body: {**body, **given})
    return {}


@operation("iam", "TagRole")
async def tag_role(face: Face, request: Request) -> dict[str, Any]:
    """Add tags to a role."""

    def change(body: Body) -> Body:
        tags = merged_tags(body["Tags"], request["Tags"])
        check_tags(tags)
        return {**body, "Tags": tags}

    await change_role(face, request, change)
    return {}


@operation("iam", "UntagRole")
async def untag_role(face: Face, request: Request) -> dict[str, Any]:
    """Remove tags from a role."""
    await change_role(
        face,
        request,
        lambda body: {**body, "Tags": without_tags(body["Tags"], request["TagKeys"])},
    )
    return {}


@operation("iam", "ListRoleTags")
async def list_role_tags(face: Face, request: Request) -> dict[str, Any]:
    """The tags of a role."""
    tags = (await find_role(face, request["RoleName"])).body["Tags"]
    return listing(request, "Tags", tags, lambda tag: tag["Key"], dict)


async def find_role(face: Face, name: str) -> Document:
    """The role of a name; NoSuchEntity when there is none."""
    found = await face.documents.get(KIND, name)
    if found is None:
        raise no_entity("role", name)
    return found


async def change_role(face: Face, request: Request, change: Callable[[Body], Body]) -> None:
    """Change the role the request names; NoSuchEntity when there is none."""
    if await changed(face.documents, KIND, request["RoleName"], change) is None:
        raise no_entity("role", request["RoleName"])


def shown_role(body: Mapping[str, Any]) -> dict[str, Any]:
    """A role as an answer has it. Policies are URL-encoded there; clients decode them."""
    boundary = body.get("PermissionsBoundary")
    return {
        "Path": body["Path"],
        "RoleName": body["RoleName"],
        "RoleId": body["RoleId"],
        "Arn": body["Arn"],
        "CreateDate": body["CreateDate"],
        "AssumeRolePolicyDocument": quote(body["AssumeRolePolicyDocument"], safe=""),
        "Description": body.get("Description"),
        "MaxSessionDuration": body["MaxSessionDuration"],
        "PermissionsBoundary": boundary
        and {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": boundary},
        "Tags": body["Tags"] or None,
    }


async def _make(
    face: Face, request: Request, name: str, path: str, *, trust: str = ""
) -> Mapping[str, Any]:
    tags = merged_tags([], request.get("Tags", []))
    check_tags(tags)
    body = {
        "Path": path,
        "RoleName": name,
        "RoleId": new_id(face, "AROA"),
        "Arn": iam_arn(face, "role", path, name),
        "CreateDate": face.now_ms(),
        "AssumeRolePolicyDocument": trust or request["AssumeRolePolicyDocument"],
        "Description": request.get("Description"),
        "MaxSessionDuration": request.get("MaxSessionDuration", 3600),
        "PermissionsBoundary": request.get("PermissionsBoundary"),
        "Tags": tags,
        "Attached": {},
        "Inline": {},
    }
    try:
        return (await face.documents.put(KIND, name, body, 0)).body
    except DocumentChangedError:
        raise exists("Role", name) from None
