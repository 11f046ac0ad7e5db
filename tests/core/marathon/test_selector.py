"""Label selectors: what they choose, and where a text stops being one."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.core.marathon.selector import SelectorError, parse_selector

LABELS = {"env": "prod", "tier": "web-1", "a.b": "x,y", "in": "1"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("env", True),
        ("missing", False),
        ("env==prod", True),
        ("env == prod", True),
        ("env==test", False),
        ("env!=test", True),
        ("env!=prod", False),
        ("missing!=x", False),
        ("env in (test, prod)", True),
        ("env in(test)", False),
        ("env notin (test)", True),
        ("env notin (test,prod)", False),
        ("missing notin (x)", False),
        ("env==prod, tier==web-1", True),
        ("env==prod,tier==web-2", False),
        (r"a.b==x\,y", True),
        (r"e\nv", True),
        ("in", True),
        ("in in (1, 2)", True),
        ("  env  ", True),
    ],
)
def test_a_selector_chooses_by_labels(text: str, matches: bool) -> None:
    assert parse_selector(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the name of a label is expected at character 1 of the label selector, not the end"),
        ("env==", "a value is expected at character 6"),
        ("env=prod", 'a comma or the end is expected at character 4 of the label selector, not "=prod"'),
        ("env in", "( is expected"),
        ("env in ()", "a value is expected"),
        ("env in (a", "a comma or ) is expected"),
        ("env==prod,", "the name of a label is expected"),
        ("env prod", "a comma or the end"),
        ("{}", 'not "{}"'),
        ("a" * 5000, "at most 4096 characters"),
    ],
)  # fmt: skip
def test_what_is_no_selector_is_refused_with_the_place(text: str, said: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_selector(text)
    assert said in str(caught.value)


@settings(max_examples=60)
@given(st.text("ab=!,() \\innot", max_size=20))
def test_every_text_is_a_selector_or_refused(text: str) -> None:
    with suppress(SelectorError):
        parse_selector(text).matches(LABELS)
