"""Conditions of rules are read, checked, and told as they were given."""

from __future__ import annotations

from typing import Any

import pytest

from portway.api.aws.elbv2.conditions import read_conditions, shown_condition
from portway.api.aws.errors import AwsError
from portway.core.rules import Condition, Part


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"Field": "path-pattern", "Values": ["/a*"]}, Condition(part=Part.PATH, values=("/a*",))),
        (
            {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.com"]}},
            Condition(part=Part.HOST, values=("*.example.com",)),
        ),
        (
            {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["b"]}},
            Condition(part=Part.HEADER, name="X-A", values=("b",)),
        ),
        (
            {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1"}, {"Value": "x*"}]}},
            Condition(part=Part.QUERY, pairs=(("v", "1"), ("", "x*"))),
        ),
        (
            {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}},
            Condition(part=Part.SOURCE, values=("10.0.0.0/8",)),
        ),
        (
            {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/v[0-9]+$"]}},
            Condition(part=Part.PATH, values=("^/v[0-9]+$",), is_regex=True),
        ),
    ],
    ids=lambda value: value["Field"] if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_condition_is_read_and_told(given: dict[str, Any], expected: Condition):
    assert read_conditions([given]) == (expected,)
    assert read_conditions([shown_condition(expected)]) == (expected,)


@pytest.mark.parametrize(
    "given",
    [
        [],
        [{"Field": "nonsense", "Values": ["a"]}],
        [{"Field": "path-pattern", "Values": []}],
        [{"Field": "path-pattern", "Values": ["/a"]}, {"Field": "path-pattern", "Values": ["/b"]}],
        [{"Field": "path-pattern", "Values": [f"/{n}" for n in range(6)]}],
        [{"Field": "path-pattern", "Values": ["/******"]}],
        [{"Field": "http-header", "HttpHeaderConfig": {"Values": ["a"]}}],
        [{"Field": "source-ip", "SourceIpConfig": {"Values": ["somewhere"]}}],
        [{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}}],
        [{"Field": "host-header", "Values": ["a b"]}],
        [{"Field": "path-pattern", "RegexValues": ["("]}],
        [{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "a"}]}}],
    ],
    ids=str,
)
def test_what_is_no_condition_is_refused(given: list[dict[str, Any]]):
    with pytest.raises(AwsError):
        read_conditions(given)
