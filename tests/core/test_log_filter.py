"""Filter patterns of CloudWatch Logs."""

from __future__ import annotations

import pytest

from portway.core.errors import RequestError
from portway.core.log_filter import log_filter


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("ERROR", "an ERROR here", True),
        ("ERROR", "an error here", False),
        ("ERROR disk", "disk ERROR", True),
        ("ERROR disk", "ERROR", False),
        ('"two words"', "these two words", True),
        ('"two words"', "two other words", False),
        (r'"say \"hi\""', 'say "hi"', True),
        ("?ERROR ?WARN", "a WARN", True),
        ("?ERROR ?WARN", "an INFO", False),
        ("ERROR -timeout", "ERROR x", True),
        ("ERROR -timeout", "ERROR timeout", False),
        ('-"a b"', "ab", True),
        ("{ $.a = 1 }", '{"a": 1}', True),
        ("{ $.a = 1 }", '{"a": "1"}', False),
        ("{ $.a = 1 }", "a = 1", False),
        ('{ $.a.b[1] = "x*" }', '{"a": {"b": [0, "xyz"]}}', True),
        ('{ $.a = "*ab*b*" }', '{"a": "xabab"}', True),
        ('{ $.a = "ab*b" }', '{"a": "ab"}', False),
        ('{ $.a = "a**b" }', '{"a": "a\\nb"}', True),
        pytest.param(
            '{ $.a = "' + "*a" * 100 + '*b" }', '{"a": "' + "a" * 5000 + '"}', False, id="for ever"
        ),
        ("{ $.a != 1 }", '{"a": 2}', True),
        ('{ $.a != "x" }', '{"b": 1}', False),
        ("{ ($.n >= 500 && $.n < 600) || $.bad IS TRUE }", '{"n": 503}', True),
        ("{ ($.n >= 500 && $.n < 600) || $.bad IS TRUE }", '{"n": 404, "bad": true}', True),
        ("{ ($.n >= 500 && $.n < 600) || $.bad IS TRUE }", '{"n": 404}', False),
        ("{ $.a IS NULL }", '{"a": null}', True),
        ("{ $.a NOT EXISTS }", '{"b": 1}', True),
        ("{ $.a NOT EXISTS }", '{"a": 1}', False),
        ("{ $.level = error }", '{"level": "error"}', True),
    ],
)
def test_a_pattern_says_which_messages(pattern: str, message: str, matches: bool):
    assert log_filter(pattern)(message) is matches


@pytest.mark.parametrize(
    "pattern",
    [
        '"open',
        "{ $.a = 1",
        "{ a = 1 }",
        "{ $.a ~ 1 }",
        "{ $.a = }",
        "{ $.a < text }",
        "{ $.a = 1 $.b }",
        "{ ($.a = 1 }",
        "{ $.a IS WARM }",
        pytest.param("{ $.a[" + "9" * 5000 + "] = 1 }", id="no index"),
        "{" + "(" * 30 + "$.a = 1" + ")" * 30 + "}",
        "[a, b]",
        "%x+%",
    ],
)
def test_a_pattern_that_cannot_be_read_is_refused(pattern: str):
    with pytest.raises(RequestError, match="Invalid filter pattern"):
        log_filter(pattern)
