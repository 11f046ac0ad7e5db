"""The policies of roles, attached and inline. They are kept and given back; nothing is decided by them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from portway.api.aws.errors import AwsError
from portway.api.aws.face import Face
from portway.api.aws.iam.common import check_policy, listing, no_entity
from portway.api.aws.iam.roles import change_role, find_role
from portway.api.aws.objects import Body
from portway.api.aws.operation import Request, operation

_POLICY_ARN = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/(.+/)?([\w+=,.@-]+)")


@operation("iam", "AttachRolePolicy")
async def attach_role_policy(face: Face, request: Request) -> dict[str, Any]:
    """Attach a policy by its ARN. Any is taken: portway keeps no list of AWS's own."""
    arn = request["PolicyArn"]
    found = _POLICY_ARN.fullmatch(arn)
    if found is None:
        raise AwsError("InvalidInput", f"ARN {arn} is not valid.", 400)
    name = found[3]
    await change_role(
        face, request, lambda body: {**body, "Attached": {**body["Attached"], arn: name}}
    )
    return {}


@operation("iam", "DetachRolePolicy")
async def detach_role_policy(face: Face, request: Request) -> dict[str, Any]:
    """Detach a policy that is attached."""
    arn = request["PolicyArn"]

    def change(body: Body) -> Body:
        if arn not in body["Attached"]:
            raise AwsError("NoSuchEntity", f"Policy {arn} was not found.", 404)
        return {**body, "Attached": {a: name for a, name in body["Attached"].items() if a != arn}}

    await change_role(face, request, change)
    return {}


@operation("iam", "ListAttachedRolePolicies")
async def list_attached_role_policies(face: Face, request: Request) -> dict[str, Any]:
    """The attached policies of a role."""
    attached = (await find_role(face, request["RoleName"])).body["Attached"]
    prefix = request.get("PathPrefix", "/")
    chosen = [
        (name, arn)
        for arn, name in attached.items()
        if f"/{arn.partition(':policy/')[2]}".startswith(prefix)
    ]
    return listing(
        request,
        "AttachedPolicies",
        chosen,
        lambda pair: "\0".join(pair),
        lambda pair: {"PolicyName": pair[0], "PolicyArn": pair[1]},
    )


@operation("iam", "PutRolePolicy")
async def put_role_policy(face: Face, request: Request) -> dict[str, Any]:
    """Keep an inline policy of a role."""
    check_policy(request["PolicyDocument"])
    given = {request["PolicyName"]: request["PolicyDocument"]}
    await change_role(face, request, lambda body: {**body, "Inline": {**body["Inline"], **given}})
    return {}


@operation("iam", "GetRolePolicy")
async def get_role_policy(face: Face, request: Request) -> dict[str, Any]:
    """One inline policy of a role."""
    name = request["PolicyName"]
    inline = (await find_role(face, request["RoleName"])).body["Inline"]
    if name not in inline:
        raise no_entity("role policy", name)
    return {
        "RoleName": request["RoleName"],
        "PolicyName": name,
        "PolicyDocument": quote(inline[name], safe=""),
    }


@operation("iam", "DeleteRolePolicy")
async def delete_role_policy(face: Face, request: Request) -> dict[str, Any]:
    """Forget an inline policy of a role."""
    name = request["PolicyName"]

    def change(body: Body) -> Body:
        if name not in body["Inline"]:
            raise no_entity("role policy", name)
        return {**body, "Inline": {n: text for n, text in body["Inline"].items() if n != name}}

    await change_role(face, request, change)
    return {}


@operation("iam", "ListRolePolicies")
async def list_role_policies(face: Face, request: Request) -> dict[str, Any]:
    """The names of a role's inline policies."""
    inline = (await find_role(face, request["RoleName"])).body["Inline"]
    return listing(request, "PolicyNames", list(inline), str, str)
