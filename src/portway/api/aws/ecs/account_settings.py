"""ECS account settings: kept and given back. The long ARNs are always on: there are no others here."""

from __future__ import annotations

from typing import Any

from portway.api.aws.ecs.common import invalid
from portway.api.aws.face import Face
from portway.api.aws.operation import Request, operation
from portway.api.aws.paging import page

KIND = "ecs.account-setting"

_PAGE_SIZE = 10
_LONG = ("serviceLongArnFormat", "taskLongArnFormat", "containerInstanceLongArnFormat")
_DEFAULTS = {
    **dict.fromkeys(_LONG, "enabled"),
    "awsvpcTrunking": "disabled",
    "containerInsights": "disabled",
    "dualStackIPv6": "disabled",
    "fargateFIPSMode": "disabled",
    "fargateTaskRetirementWaitPeriod": "7",
    "guardDutyActivate": "off",
    "tagResourceAuthorization": "off",
    "defaultLogDriverMode": "non-blocking",
}


@operation("ecs", "ListAccountSettings", ignores=("principalArn",))
async def list_account_settings(face: Face, request: Request) -> dict[str, Any]:
    """What was set; with `effectiveSettings` the others as they are by default, too."""
    kept = {d.key: str(d.body["value"]) for d in await face.documents.list(KIND)}
    effective = {**_DEFAULTS, **kept} if request.get("effectiveSettings") else kept
    name, value = request.get("name"), request.get("value")
    found = [
        _shown(face, key, effective[key])
        for key in sorted(effective)
        if name in (None, key) and value in (None, effective[key])
    ]
    taken, token = page(
        found,
        key=lambda setting: setting["name"],
        size=request.get("maxResults") or _PAGE_SIZE,
        token=request.get("nextToken"),
        scope=f"ListAccountSettings {name} {value} {request.get('effectiveSettings')}",
    )
    return {"settings": taken, "nextToken": token}


@operation("ecs", "PutAccountSetting", ignores=("principalArn",))
async def put_account_setting(face: Face, request: Request) -> dict[str, Any]:
    """Keep one, for everybody: there is one account here."""
    name, value = request["name"], request["value"]
    if name in _LONG and value not in ("enabled", "on"):
        raise invalid(f"You cannot disable the setting {name}: there are no short ARNs any more.")
    await face.documents.put(KIND, name, {"value": value})
    return {"setting": _shown(face, name, value)}


@operation("ecs", "PutAccountSettingDefault")
async def put_account_setting_default(face: Face, request: Request) -> dict[str, Any]:
    """Likewise."""
    return dict(await put_account_setting(face, request))


@operation("ecs", "DeleteAccountSetting", ignores=("principalArn",))
async def delete_account_setting(face: Face, request: Request) -> dict[str, Any]:
    """Back to the default."""
    name = request["name"]
    await face.documents.delete(KIND, name)
    return {"setting": _shown(face, name, _DEFAULTS.get(name, ""))}


def _shown(face: Face, name: str, value: str) -> dict[str, Any]:
    root = f"arn:aws:iam::{face.account_id}:root"
    return {"name": name, "value": value, "principalArn": root, "type": "user"}
