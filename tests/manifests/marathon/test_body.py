"""Bodies that are no JSON, and paths of ids."""

from __future__ import annotations

import pytest

from portway.manifests.marathon.body import parse_body
from portway.manifests.marathon.paths import (
    ancestors_of,
    canonical,
    is_in,
    is_written_well,
    parent_of,
    path_faults,
)
from portway.manifests.marathon.refusal import MarathonRefusal


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            '{"a": [1, 2',
            "Unexpected end-of-input: expected close marker for Array (start marker at",
        ),
        ('{"a"\n: {"b": "}"', "line: 2, column: 3])"),
        ("nonsense", "Unexpected character ('n' (code 110))"),
        ('{"a": tru}', "Unexpected character"),
        ("[1", "Array"),
        ('{"a": NaN}', "NaN"),
        ('{"a": "\\ud800"}', "lone surrogate"),
        ("1" * 5000, "too many digits"),
        ("[" * 100000, "nested too deep"),
        ("{" + " " * 600, "[truncated 101 chars]"),
    ],
)
def test_what_is_no_json_is_told_as_by_marathons_parser(text: str, told: str) -> None:
    with pytest.raises(MarathonRefusal) as caught:
        parse_body(text)
    assert caught.value.status == 400
    assert caught.value.body["message"] == "Invalid JSON"
    assert told in caught.value.body["details"]


def test_json_is_its_value_and_the_last_of_two_keys_counts() -> None:
    assert parse_body(' {"a": 1, "a": [true, null, "\\u00e9"]} ') == {"a": [True, None, "é"]}


def test_paths_are_absolute_and_without_dots_once_canonical() -> None:
    assert canonical("/trailing/") == "/trailing"
    assert canonical("a/./b/../c", "/x") == "/x/a/c"
    assert canonical("../../..", "/x") == "/"
    assert (parent_of("/a/b"), parent_of("/a")) == ("/a", "/")
    assert list(ancestors_of("/a/b/c")) == ["/a/b", "/a", "/"]
    assert (is_in("/a/b", "/a"), is_in("/ab", "/a"), is_in("/a", "/a"), is_in("/a", "/")) == (True, False, False, True)  # fmt: skip


def test_what_a_path_may_be_is_found_out_at_once_for_long_ones_too() -> None:
    assert not is_written_well("/" + "a" * 100_000 + "!")
    assert list(path_faults("/" + "a" * 100_000 + "-")) != []
    assert list(path_faults("/a.b/c-1")) == []
