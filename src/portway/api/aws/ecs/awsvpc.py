"""networkConfiguration: whether its subnets and security groups are there and fit each other, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from portway.api.aws.ecs.common import Body, invalid
from portway.api.aws.ecs.service_checks import check_network
from portway.api.aws.face import Face
from portway.controller.network.reading import ensure_network
from portway.core.ecs.labels import Origin
from portway.core.network.defaults import GROUP, SUBNET, default_group_id

SUBNETS_MAX, GROUPS_MAX = 16, 5
_KEY = "awsvpcConfiguration"


async def checked_network(
    face: Face, definition: Body, asked: Body
) -> dict[str, dict[str, Any]] | None:
    """The configuration with its defaults, as ECS gives it back; None for what is in no network of its own.

    `asked`: what has it, with launchType and capacityProviderStrategy. InvalidParameterException for one that cannot be.
    """
    given = asked.get("networkConfiguration")
    check_network(definition, given)
    if not given:
        return None
    shown = shown_network(given)
    own = shown[_KEY]
    subnets, groups = own["subnets"], own["securityGroups"]
    if not subnets:
        raise invalid("subnets can not be empty.")
    for member, items, most in (("subnets", subnets, SUBNETS_MAX), ("security groups", groups, GROUPS_MAX)):  # fmt: skip
        if len(items) > most:
            raise invalid(f"{member} can have at most {most} items.")
    await _check_there(face, subnets, groups)
    if own["assignPublicIp"] == "ENABLED" and not _is_fargate(asked):
        raise invalid("Assign public IP is not supported for this launch type.")
    return shown


def shown_network(given: Body) -> dict[str, dict[str, Any]]:
    """With its defaults."""
    own = given.get(_KEY) or {}
    return {
        _KEY: {
            "subnets": list(dict.fromkeys(own.get("subnets") or ())),
            "securityGroups": list(dict.fromkeys(own.get("securityGroups") or ())),
            "assignPublicIp": own.get("assignPublicIp") or "DISABLED",
        }
    }


def _is_fargate(asked: Body) -> bool:
    providers = [each.get("capacityProvider") or "" for each in asked.get("capacityProviderStrategy") or ()]  # fmt: skip
    return asked.get("launchType") == "FARGATE" or any(p.startswith("FARGATE") for p in providers)


async def _check_there(face: Face, subnets: Sequence[str], groups: Sequence[str]) -> None:
    await ensure_network(face.documents, home_id=face.home_id, region=face.region)
    found = [await face.documents.get(SUBNET, subnet) for subnet in subnets]
    for subnet, document in zip(subnets, found, strict=True):
        if document is None:
            raise invalid(
                f"Error retrieving subnet information for [{', '.join(subnets)}]: "
                f"The subnet ID '{subnet}' does not exist (ErrorCode: InvalidSubnetID.NotFound)"
            )
    vpcs = {document.body["VpcId"] for document in found if document}
    if len(vpcs) > 1:
        raise invalid("All subnets must belong to the same VPC.")
    for group in groups:
        document = await face.documents.get(GROUP, group)
        if document is None:
            raise invalid(
                f"Error retrieving security group information for [{', '.join(groups)}]: "
                f"The security group '{group}' does not exist (ErrorCode: InvalidGroup.NotFound)"
            )
        if document.body["VpcId"] not in vpcs:
            raise invalid(f"Security group {group} does not appear to belong to the same VPC as the input subnets.")  # fmt: skip


async def in_network(face: Face, origin: Origin, network: Mapping[str, Any] | None) -> Origin:
    """The origin of tasks in that network: the first subnet is theirs, and without a group they are in its VPC's own."""
    if not network:
        return origin
    own = network[_KEY]
    subnet = own["subnets"][0]
    groups = tuple(own["securityGroups"])
    if not groups:
        found = await face.documents.get(SUBNET, subnet)
        groups = (default_group_id(found.body["VpcId"]),) if found else ()
    return replace(origin, subnet=subnet, security_groups=groups)
