"""Conditions of rules: from what is asked to core.rules, and back as they are told. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Any

from portway.api.aws.elbv2.common import invalid, refused
from portway.core.rules import Condition, Part, wildcards

VALUES_MAX = 5
WILDCARDS_MAX = 5
_LENGTH_MAX = 128

# By field: the member that holds its values.
CONFIGS = {
    Part.HOST: "HostHeaderConfig",
    Part.PATH: "PathPatternConfig",
    Part.HEADER: "HttpHeaderConfig",
    Part.METHOD: "HttpRequestMethodConfig",
    Part.QUERY: "QueryStringConfig",
    Part.SOURCE: "SourceIpConfig",
}
_HAS_REGEX = (Part.HOST, Part.PATH, Part.HEADER)
_METHOD = re.compile(r"[A-Z_-]{1,40}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'+.^_`|~-]{1,40}")
# What a value may be made of (ALB guide, "Rule condition types"), and how it is told.
_ALLOWED = {
    Part.HOST: (re.compile(r"[A-Za-z0-9.*?-]+"), "letters, digits and . - * ?"),
    Part.PATH: (re.compile(r"[A-Za-z0-9_.$/~\"'@:+&*?-]+"), "letters, digits and _ - . $ / ~ \" ' @ : + & * ?"),
    Part.QUERY: (re.compile(r"[A-Za-z0-9_.$/~\"'@:+&()!,;=%*?\\-]+"), "letters, digits and _ - . $ / ~ \" ' @ : + & ( ) ! , ; = % * ?"),
    Part.HEADER: (re.compile(r"[ -~]+"), "printable ASCII characters"),
}  # fmt: skip
_ASCII = re.compile(r"[ -~]+")


def read_conditions(given: Sequence[Mapping[str, Any]]) -> tuple[Condition, ...]:
    """Those of a rule; ValidationError or InvalidConfigurationRequest saying what is wrong."""
    if not given:
        raise invalid("A condition must be specified")
    found = tuple(map(_read, given))
    parts = [condition.part for condition in found]
    for part in (Part.HOST, Part.PATH, Part.METHOD, Part.SOURCE):
        if parts.count(part) > 1:
            raise refused("InvalidConfigurationRequest", f"Rule cannot contain more than one '{part.value}' condition")  # fmt: skip
    texts = [text for c in found for text in (*c.values, *(f"{k}={v}" for k, v in c.pairs))]
    if len(texts) > VALUES_MAX:
        raise invalid(f"Rule cannot contain more than '{VALUES_MAX}' condition values")
    wild = sum(_wildcards(condition) for condition in found)
    if wild > WILDCARDS_MAX:
        raise invalid(f"Rule cannot contain more than '{WILDCARDS_MAX}' wildcards")
    return found


def _wildcards(condition: Condition) -> int:
    """How many there are in all its values; after a backslash a star is a star."""
    if condition.is_regex:
        return 0
    texts = (*condition.values, *(text for pair in condition.pairs for text in pair))
    return sum(piece in ("*", "?") for text in texts for piece in wildcards(text))


def _read(given: Mapping[str, Any]) -> Condition:
    field = given.get("Field") or ""
    part = next((part for part in Part if part.value == field), None)
    if part is None:
        allowed = ", ".join(part.value for part in Part)
        raise invalid(f"Condition field '{field}' must be one of '[{allowed}]'")
    config: Mapping[str, Any] = given.get(CONFIGS[part]) or {}
    regex = config.get("RegexValues") or given.get("RegexValues") or []
    values = config.get("Values") or given.get("Values") or []
    if regex and values:
        raise invalid("A condition has either Values or RegexValues")
    if not (regex or values):
        raise invalid(f"A '{field}' condition must have at least one value")
    if part is Part.QUERY:
        pairs = tuple((pair.get("Key") or "", pair.get("Value") or "") for pair in values)
        if any(not value for _, value in pairs):
            raise invalid("A query-string condition must have a Value")
        for text in (text for pair in pairs for text in pair if text):
            _check(part, text, is_regex=False)
        return Condition(part=part, pairs=pairs)
    name = config.get("HttpHeaderName") or ""
    if part is Part.HEADER and not name:
        raise invalid("An http-header condition must have an HttpHeaderName")
    if part is Part.HEADER and not _HEADER.fullmatch(name):
        raise invalid(
            f"The header name {name!r} must be 1 to 40 characters of a header's name, without wildcards"
        )
    for value in (*values, *regex):
        _check(part, value, is_regex=bool(regex))
    return Condition(part=part, values=tuple(regex or values), name=name, is_regex=bool(regex))


def _check(part: Part, value: str, *, is_regex: bool) -> None:
    problem = ""
    if not value or len(value) > _LENGTH_MAX:
        problem = f"must have 1 to {_LENGTH_MAX} characters"
    elif is_regex:
        problem = _regex_problem(part, value)
    elif part is Part.METHOD and not _METHOD.fullmatch(value):
        problem = "must be a method in capitals"
    elif part in _ALLOWED and not _ALLOWED[part][0].fullmatch(value):
        problem = f"can only contain {_ALLOWED[part][1]}"
    elif part is Part.SOURCE:
        try:
            ip_network(value, strict=False)
        except ValueError:
            problem = "must be in CIDR notation"
        if "%" in value:
            problem = "must be in CIDR notation, without a zone"
    if problem:
        raise invalid(f"The value {value!r} of a '{part.value}' condition {problem}")


def _regex_problem(part: Part, value: str) -> str:
    if part not in _HAS_REGEX:
        return "cannot be a regular expression"
    if not _ASCII.fullmatch(value):
        return "can only contain printable ASCII characters"
    if "\\Q" in value:
        return "cannot contain \\Q: write each character with a backslash instead"
    try:
        re.compile(value)
    except (re.error, OverflowError) as error:
        return f"is no regular expression: {error}"
    return ""


def shown_condition(condition: Condition) -> dict[str, Any]:
    """As it is told: in the old member and in the new one."""
    config: dict[str, Any]
    shown: dict[str, Any] = {"Field": condition.part.value}
    if condition.part is Part.QUERY:
        config = {"Values": [{"Key": k or None, "Value": v} for k, v in condition.pairs]}
    else:
        key = "RegexValues" if condition.is_regex else "Values"
        config = {key: list(condition.values)}
        if condition.part in (Part.HOST, Part.PATH):
            shown[key] = list(condition.values)
    if condition.part is Part.HEADER:
        config["HttpHeaderName"] = condition.name
    return {**shown, CONFIGS[condition.part]: config}
