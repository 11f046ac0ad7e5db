"""JSON with places: what is wrong is told where it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.core.errors import ManifestError
from portway.manifests.json_reader import path_text, read_json
from tests.features import examples

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=examples(200), deadline=None)
@given(value=VALUES, indent=st.sampled_from([None, 2, "\t"]))
def test_what_json_writes_is_read_back(value: object, indent: int | str | None) -> None:
    text = json.dumps(value, indent=indent)
    placed = read_json(text, file="f.json")
    assert placed.value == value
    assert all(line > 0 and column > 0 for line, column in placed.places.values())


def test_every_value_has_its_place() -> None:
    placed = read_json('{\n  "a": [1,\n\t{"b": "x"}]}', file="f.json")
    assert placed.places[("a", 1, "b")] == (3, 8)
    problem = placed.problem(("a", 1, "b", "missing"), "no", "do")
    assert str(problem) == "f.json:3:8: a[1].b.missing: no\n  do"


def test_a_key_that_is_no_word_is_quoted_in_a_path() -> None:
    assert path_text(("a", 0, "b c")) == 'a[0]["b c"]'


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "empty"),
        ('{"a": 1,}', 1, 9, "Remove the comma"),
        ("[1 2]", 1, 4, "',' or ']'"),
        ("{'a': 1}", 1, 2, "double quotes"),
        ('{"a": 1} x', 1, 10, "ends before"),
        ('{\n// hi\n"a": 1}', 2, 1, "no comments"),
        ('{"a": /* */ 1}', 1, 7, "no comments"),
        ('{"a": 1, "a": 2}', 1, 10, "given twice"),
        ('{"a" 1}', 1, 6, "':' is expected"),
        ('{"a": "x\n"}', 1, 7, "not closed"),
        ('{"a": "\\ud800"}', 1, 7, "surrogate"),
        ('{"a": nul}', 1, 7, "a value is expected"),
        ('{"a": 01}', 1, 7, "expected"),
        ('{"a": ', 1, 7, "file ends"),
        ('{"a": {', 1, 8, "file ends"),
        ('{"a": NaN}', 1, 7, "a value is expected"),
        ('{"a": ' + "9" * 40 + "}", 1, 7, "a value is expected"),
        ("[" * 100, 1, 66, "nested more than 64"),
        ("[" + "1," * 60_000 + "1]", 1, 100_000, "more than 50000 values"),
        (" " * (1024 * 1024 + 1), 1, 1, "too large"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_is(text: str, line: int, column: int, words: str) -> None:
    with pytest.raises(ManifestError) as error:
        read_json(text, file="f.json")
    (problem,) = error.value.problems
    assert words in f"{problem.message} {problem.hint}"
    assert (problem.line, problem.column) == (line, column)
