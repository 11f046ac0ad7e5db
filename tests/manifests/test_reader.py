"""reader: the rules."""

from __future__ import annotations

import pytest

from portway.core.errors import ManifestError, Problem
from portway.manifests.reader import (
    DEPTH_MAX,
    SIZE_MAX_BYTES,
    decode_manifest,
    read_tree,
)
from portway.manifests.tree import Fields, Items, Node, Problems, Scalar, text_of


def tree(text: str) -> Node:
    problems = Problems("f.yml")
    node = read_tree(text, problems=problems)
    problems.raise_errors()
    return node


def fields(text: str) -> Fields:
    node = tree(text)
    assert isinstance(node, Fields)
    return node


def refusal(text: str) -> Problem:
    with pytest.raises(ManifestError) as caught:
        tree(text)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    "text", ["22:22", "80:50", "0x50", "010", "1e3", "yes", "2001-01-01", "1_000"]
)
def test_a_scalar_is_read_as_the_text_that_is_written(text: str) -> None:
    assert text_of(fields(f"a: {text}").get("a")) == text


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_null_is_the_same_as_absent(text: str) -> None:
    assert fields(f"a: {text}\nb: 1").get("a") is None


def test_a_quoted_null_is_text() -> None:
    assert text_of(fields('a: ""\nb: "null"').get("a")) == ""
    assert text_of(fields('a: ""\nb: "null"').get("b")) == "null"


def test_every_value_knows_its_path_and_position() -> None:
    node = fields("services:\n  web:\n    ports:\n      - 80:80\n      -   443:80\n")
    ports = node.entries["services"].entries["web"].entries["ports"]  # type: ignore[attr-defined]
    assert isinstance(ports, Items)
    second = ports.items[1]
    assert (second.path, second.line, second.column) == ("services.web.ports[1]", 5, 11)


def test_a_key_with_dots_is_quoted_in_paths() -> None:
    assert fields("a.b: {c: 1}").entries["a.b"].entries["c"].path == '["a.b"].c'  # type: ignore[attr-defined]


def test_an_alias_is_its_anchor_with_a_path_of_its_own() -> None:
    node = fields("a: &x {k: v}\nb: *x\n")
    value = node.entries["b"].entries["k"]  # type: ignore[attr-defined]
    assert (value.value, value.path, value.line) == ("v", "b.k", 1)


def test_merge_keys_give_what_the_map_itself_does_not_say() -> None:
    node = fields("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: own\n")
    merged = node.entries["c"]
    assert isinstance(merged, Fields)
    assert {k: text_of(v) for k, v in merged.entries.items()} == {"x": "own", "y": "1", "z": "2"}


def test_a_quoted_merge_key_is_an_ordinary_key() -> None:
    assert list(fields('"<<": 1').entries) == ["<<"]


def test_a_key_given_twice_is_refused_with_both_places() -> None:
    problem = refusal("web: 1\nweb: 2\n")
    assert (problem.line, problem.column, problem.path) == (2, 1, "web")
    assert "line 1" in problem.message


REFUSALS = {
    "": "the file is empty",
    "# only a comment\n": "the file is empty",
    "a: 1\n---\nb: 2\n": "a second document",
    "a: *nobody\n": "the alias *nobody is not defined",
    "a: &x [*x]\n": "the alias *x contains itself",
    "a: !reset null\n": "the tag !reset is not understood",
    "a: !!binary aGk=\n": "the tag !!binary is not understood",
    "a: !!python/object:os.system {}\n": "is not understood",
    "<<: 1\n": "'<<' takes a map",
    "? [a, b]\n: 1\n": "a key must be a single word",
    "a: b: c\n": "a ':' is not expected here",
    "a:\n\t- 1\n": "a tab",
    "a: 'open\nb: 1\n": "never closed",
    'a: "\\q"': "a backslash in double quotes",
    "a: ]": "a value is expected here",
    "\ta: 1": "a tab",
    "a: [1, 2\n": "is not closed",
    "a:\n  b: 1\n c: 2\n": "indentation",
    "a: @b\n": "this character cannot begin a value",
    "- 1\nb: 2\n": "indentation",
    "a\nb: 1\n": "a ':' is not expected here",
    "a: |\n x\nb\n": "a key without its ':'",
    "a: 1\x00": "U+0000",
    "a: \x07": "U+0007",
    "a: \ud800": "U+D800",
}


@pytest.mark.parametrize("text", REFUSALS)
def test_what_is_not_one_yaml_document_is_refused_with_a_place_and_a_sentence(text: str) -> None:
    problem = refusal(text)
    assert REFUSALS[text] in problem.message
    assert problem.line > 0
    assert problem.column > 0
    assert problem.file == "f.yml"


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("a: 1\nb: 'open\nc: 1\n", 2, 4), ("a: 1\nb: [x,\nc: 1\n", 2, 4), ("a: |\n x\nb\n", 3, 1)],
)
def test_what_is_left_open_is_shown_where_it_begins(text: str, line: int, column: int) -> None:
    problem = refusal(text)
    assert (problem.line, problem.column) == (line, column)


def test_a_character_no_text_file_has_is_found_where_it_stands() -> None:
    problem = refusal("a: 1\nbc: \x00\n")
    assert (problem.line, problem.column) == (2, 5)


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert text_of(fields("\ufeffa: 1").get("a")) == "1"


def test_windows_line_ends_are_no_mistake() -> None:
    assert text_of(fields("a: 1\r\nb: 2\r\n").get("b")) == "2"


def test_a_file_that_is_too_large_is_refused_unread() -> None:
    assert "too large" in refusal("#" * (SIZE_MAX_BYTES + 1)).message
    assert "too large" in refusal("é" * (SIZE_MAX_BYTES - 1)).message


def test_values_nested_too_deep_are_refused() -> None:
    assert "deep" in refusal("[" * 5000).message
    assert "deep" in refusal("a: " + "{a: " * DEPTH_MAX + "1" + "}" * DEPTH_MAX).message


def test_depth_that_only_aliases_make_is_refused_too() -> None:
    half = DEPTH_MAX // 2 + 5
    inner = "[" * half + "]" * half
    outer = "[" * half + "*x" + "]" * half
    assert "deep" in refusal(f"a: &x {inner}\nb: {outer}\n").message


def test_a_yaml_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert "once aliases are filled in" in refusal("\n".join(lines)).message


def test_a_file_with_too_many_values_is_refused() -> None:
    assert "values" in refusal("[" + "a," * 60_000 + "]").message


def test_long_keys_nested_deep_do_not_cost_memory() -> None:
    key = "k" * 900
    text = "".join(f"{' ' * n}{key}:\n" for n in range(50)) + " " * 50 + "[" + "a," * 30_000 + "]"
    assert isinstance(tree(text), Fields)


def test_bytes_that_are_not_utf8_are_refused_with_their_place() -> None:
    with pytest.raises(ManifestError) as caught:
        decode_manifest(b"a: 1\nb: \xff\n", file="f.yml")
    (problem,) = caught.value.problems
    assert (problem.line, problem.column) == (2, 4)
    assert "UTF-8" in problem.message


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(ManifestError, match="too large"):
        decode_manifest(b"#" * (SIZE_MAX_BYTES + 1), file="f.yml")


def test_utf8_bytes_are_their_text_without_the_byte_order_mark() -> None:
    assert decode_manifest("\ufeffé".encode(), file="f.yml") == "é"


def test_problems_come_in_file_order_and_once() -> None:
    problems = Problems("f.yml")
    first = Scalar(where=tree("a").where, line=1, column=9, problems=problems, value="", plain=True)
    second = Scalar(where=first.where, line=2, column=1, problems=problems, value="", plain=True)
    second.error("later")
    first.error("sooner")
    first.error("sooner")
    with pytest.raises(ManifestError) as caught:
        problems.raise_errors()
    assert [p.message for p in caught.value.problems] == ["sooner", "later"]
