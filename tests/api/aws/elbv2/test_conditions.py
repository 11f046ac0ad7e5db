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
        [{"Field": "path-pattern", "RegexValues": ["a{9999999999}"]}],
        [{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "a"}]}}],
    ],
    ids=str,
)
def test_what_is_no_condition_is_refused(given: list[dict[str, Any]]):
    with pytest.raises(AwsError):
        read_conditions(given)


def values(field: str, *texts: str) -> list[dict[str, Any]]:
    return [{"Field": field, "Values": [*texts]}]


def header(name: str, value: str = "a") -> list[dict[str, Any]]:
    config = {"HttpHeaderName": name, "Values": [value]}
    return [{"Field": "http-header", "HttpHeaderConfig": config}]


def query(key: str, value: str) -> list[dict[str, Any]]:
    config = {"Values": [{"Key": key, "Value": value}]}
    return [{"Field": "query-string", "QueryStringConfig": config}]


@pytest.mark.parametrize(
    "given",
    [
        *(values("path-pattern", f"/a{c}b") for c in "\n\r\0\t }{<>^|`[]#é\U0001f600"),
        *(values("host-header", f"a{c}b") for c in "\n }_/:é"),
        *(header("X-A", f"a{c}b") for c in "\n\r\0é"),
        *(query("a", f"a{c}b") for c in "\n }{<>é"),
        *(query(f"a{c}b", "a") for c in "\n }{<>é"),
        *(header(name) for name in ("X A", "X\n", "X*", "X?", "X:", "é", "x" * 41)),
        values("path-pattern", ""),
        values("path-pattern", "/" + "a" * 128),
        values("host-header", "a" * 129),
        header("X-A", "a" * 129),
        query("a", "a" * 129),
        query("a" * 129, "a"),
        values("http-request-method", "A" * 41),
        values("source-ip", "fe80::1%eth0/64"),
        values("source-ip", "10.0.0.0/33"),
        [{"Field": "path-pattern", "RegexValues": ["^/a\n$"]}],
        [{"Field": "path-pattern", "RegexValues": ["\\Qa\\E"]}],
        [{"Field": "source-ip", "RegexValues": [".*"]}],
    ],
    ids=ascii,
)
def test_characters_and_lengths_that_alb_refuses_are_a_validation_error(
    given: list[dict[str, Any]],
):
    with pytest.raises(AwsError) as caught:
        read_conditions(given)
    assert caught.value.code == "ValidationError"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        values("path-pattern", "/aZ0_-.$/~\"'@:+&*?"),
        values("path-pattern", "/" + "a" * 127),
        values("host-header", "*.EXAMPLE-1.com"),
        values("http-request-method", "A" * 40),
        values("source-ip", "10.0.0.1", "2001:db8::/32"),
        header("x" * 40, "curl/8 (linux; } x)"),
        query("", "a(b)!,;=%20"),
    ],
    ids=str,
)
def test_what_alb_takes_is_taken(given: list[dict[str, Any]]):
    assert len(read_conditions(given)) == 1


def test_values_are_counted_over_the_whole_rule():
    four = values("path-pattern", "/a", "/b", "/c", "/d")
    assert read_conditions([*four, *values("host-header", "a.com")])
    with pytest.raises(AwsError, match="more than '5' condition values"):
        read_conditions([*four, *query("a", "b"), *values("host-header", "a.com")])


def test_wildcards_are_counted_over_the_whole_rule_and_an_escaped_one_is_none():
    three = values("path-pattern", "/*/*/?")
    assert read_conditions([*three, *query("*", "?")])
    assert read_conditions([*three, *query("*", r"?\*\?\\")])
    with pytest.raises(AwsError, match="more than '5' wildcards"):
        read_conditions([*three, *query("*", "**")])


def test_a_rule_has_one_condition_of_each_kind_but_headers_and_queries():
    assert read_conditions([*header("a"), *header("b"), *query("a", "b"), *query("c", "d")])
    with pytest.raises(AwsError) as caught:
        read_conditions([*values("host-header", "a"), *values("host-header", "b")])
    assert caught.value.code == "InvalidConfigurationRequest"
