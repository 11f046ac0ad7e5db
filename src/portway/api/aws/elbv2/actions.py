"""Actions of listeners and rules: from what is asked to core.rules, and back as they are told. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from portway.api.aws.elbv2.common import invalid, refused
from portway.core.rules import Action, Forward, Redirect, Respond

WEIGHT_MAX = 999
GROUPS_MAX = 5
CONTENT_TYPES = (
    "text/plain",
    "text/css",
    "text/html",
    "application/javascript",
    "application/json",
)
_STICKY_MAX_S = 604800
_PART_LENGTH_MAX = 128
_BODY_LENGTH_MAX = 1024
_PLACEHOLDERS = {"protocol", "host", "port", "path", "query"}
_STATUS = re.compile(r"[245][0-9][0-9]")


def read_action(given: Sequence[Mapping[str, Any]], protocol: str) -> Action:
    """The one action that a request ends with; a refusal saying what is wrong."""
    for each in given:
        if each["Type"].startswith(("authenticate-", "jwt-")):
            told = (
                f"portway does not do '{each['Type']}' actions: nobody here can say who a user is."
            )
            raise refused("InvalidLoadBalancerAction", told)
    if len(given) != 1:
        raise refused("InvalidLoadBalancerAction", "You must specify exactly one routing action")
    action = given[0]
    kind = action["Type"]
    if protocol not in ("HTTP", "HTTPS") and kind != "forward":
        raise refused("InvalidLoadBalancerAction", f"Action type '{kind}' is not valid with listener protocol '{protocol}'")  # fmt: skip
    match kind:
        case "forward":
            return _forward(action)
        case "redirect":
            return _redirect(action.get("RedirectConfig") or {}, protocol)
        case _:
            return _respond(action.get("FixedResponseConfig") or {})


def _forward(action: Mapping[str, Any]) -> Forward:
    config = action.get("ForwardConfig") or {}
    one = action.get("TargetGroupArn")
    groups = config.get("TargetGroups") or ([{"TargetGroupArn": one}] if one else [])
    if not groups:
        raise invalid("A target group ARN must be specified")
    arns = [group.get("TargetGroupArn") or "" for group in groups]
    if one and one not in arns:
        raise invalid("You must specify the same target group in both TargetGroupArn and ForwardConfig")  # fmt: skip
    if len(set(arns)) < len(arns):
        raise invalid("The target groups of a forward action must be unique")
    if len(groups) > GROUPS_MAX:
        raise refused("TooManyUniqueTargetGroupsPerLoadBalancer", f"An action can have at most '{GROUPS_MAX}' target groups")  # fmt: skip
    weights = [1 if group.get("Weight") is None else group["Weight"] for group in groups]
    if any(not 0 <= weight <= WEIGHT_MAX for weight in weights):
        raise invalid(f"Weights of target groups must be between '0' and '{WEIGHT_MAX}' inclusive")
    return Forward(pools=tuple(zip(arns, weights, strict=True)), sticky_s=_sticky_s(config))


def _sticky_s(config: Mapping[str, Any]) -> int | None:
    sticky = config.get("TargetGroupStickinessConfig") or {}
    if not sticky.get("Enabled"):
        return None
    duration_s = sticky.get("DurationSeconds")
    if duration_s is None or not 1 <= duration_s <= _STICKY_MAX_S:
        raise invalid(f"Target group stickiness duration must be between 1 and {_STICKY_MAX_S} seconds")  # fmt: skip
    return duration_s


def _redirect(config: Mapping[str, Any], protocol: str) -> Redirect:
    if not config:
        raise invalid("A redirect action must have a RedirectConfig")
    redirect = Redirect(
        status=int(config["StatusCode"].removeprefix("HTTP_")),
        protocol=config.get("Protocol", "#{protocol}"),
        host=config.get("Host", "#{host}"),
        port_text=config.get("Port", "#{port}"),
        path=config.get("Path", "/#{path}"),
        query=config.get("Query", "#{query}"),
    )
    for member, text in (
        ("host", redirect.host),
        ("path", redirect.path),
        ("query", redirect.query),
    ):
        _check_part(member, text)
    if not redirect.path.startswith("/"):
        raise invalid("The path of a redirect must begin with '/'")
    number = redirect.port_text
    if number != "#{port}" and not (number.isascii() and number.isdecimal() and 1 <= int(number[:6]) <= 65535):  # fmt: skip  # noqa: PLR2004
        raise invalid("The port of a redirect must be #{port} or a number from 1 to 65535")
    if protocol == "HTTPS" and redirect.protocol == "HTTP":
        raise refused("InvalidLoadBalancerAction", "A redirect cannot go from HTTPS to HTTP")
    same = (redirect.protocol in ("#{protocol}", protocol), redirect.host == "#{host}", number == "#{port}", redirect.path == "/#{path}")  # fmt: skip
    if all(same):
        raise refused("InvalidLoadBalancerAction", "A redirect must change the protocol, host, port or path")  # fmt: skip
    return redirect


def _check_part(member: str, text: str) -> None:
    """ValidationError unless it can be a part of a URL, with placeholders that there are."""
    if len(text) > _PART_LENGTH_MAX or (member != "query" and not text):
        raise invalid(f"The {member} of a redirect must have 1 to {_PART_LENGTH_MAX} characters")
    if not all("!" <= character <= "~" for character in text):
        raise invalid(f"The {member} of a redirect contains characters that are not allowed")
    for name in re.findall(r"#\{([^}]*)\}?", text):
        if name not in _PLACEHOLDERS:
            raise invalid(f"The {member} of a redirect has '#{{{name}}}', which must be one of [{', '.join(sorted(_PLACEHOLDERS))}]")  # fmt: skip


def _respond(config: Mapping[str, Any]) -> Respond:
    if not config:
        raise invalid("A fixed-response action must have a FixedResponseConfig")
    content_type = config.get("ContentType") or "text/plain"
    if content_type not in CONTENT_TYPES:
        raise invalid(f"The content type must be one of [{', '.join(CONTENT_TYPES)}]")
    status, body = config["StatusCode"], config.get("MessageBody") or ""
    if not _STATUS.fullmatch(status):
        raise invalid(f"The status code '{status}' of a fixed response must be 2XX, 4XX or 5XX")
    if len(body) > _BODY_LENGTH_MAX:
        raise invalid(f"The message body of a fixed response must have at most '{_BODY_LENGTH_MAX}' characters")  # fmt: skip
    if any(c == "\0" or "\ud800" <= c <= "\udfff" for c in body):
        raise invalid("The message body of a fixed response contains characters that are not allowed")  # fmt: skip
    return Respond(status=int(status), content_type=content_type, body=body)


def shown_action(action: Action) -> dict[str, Any]:
    """As it is told; a forward to one group names it in both members."""
    match action:
        case Forward():
            config: dict[str, Any] = {
                "TargetGroups": [{"TargetGroupArn": a, "Weight": w} for a, w in action.pools],
                "TargetGroupStickinessConfig": {"Enabled": action.sticky_s is not None},
            }
            if action.sticky_s is not None:
                config["TargetGroupStickinessConfig"]["DurationSeconds"] = action.sticky_s
            one = {"TargetGroupArn": action.pools[0][0]} if len(action.pools) == 1 else {}
            return {"Type": "forward", **one, "Order": 1, "ForwardConfig": config}
        case Redirect():
            shown = {
                "Protocol": action.protocol,
                "Host": action.host,
                "Port": action.port_text,
                "Path": action.path,
                "Query": action.query,
                "StatusCode": f"HTTP_{action.status}",
            }
            return {"Type": "redirect", "Order": 1, "RedirectConfig": shown}
        case Respond():
            told = {
                "StatusCode": str(action.status),
                "ContentType": action.content_type,
                "MessageBody": action.body or None,
            }
            return {"Type": "fixed-response", "Order": 1, "FixedResponseConfig": told}
