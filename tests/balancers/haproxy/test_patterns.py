"""Conditions as HAProxy's ACLs: the same meaning, and no character of a user's that means anything else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.balancers.haproxy.patterns import acl, literal
from portway.core.rules import Condition, Part, Request, matches

PART = {Part.HOST: "host", Part.PATH: "path", Part.METHOD: "method"}
SAFE = r"[A-Za-z0-9]|\\x[0-9a-f]{2}"


def pattern(line: str) -> str:
    found = re.search(r"-- '([^']*)'$", line)
    assert found
    return found.group(1)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_literal_is_one_word_of_letters_digits_and_escapes(text: str) -> None:
    written = literal(text)
    assert re.fullmatch(f"(?:{SAFE})*", written)
    said = re.sub(r"\\x(..)", lambda found: chr(int(found[1], 16)), written)
    assert said.encode("latin-1").decode() == text.replace("%", "%%")


@given(
    part=st.sampled_from(sorted(PART)),
    values=st.lists(st.text("aA*?.\\%'\" #", min_size=1), min_size=1, max_size=3),
    text=st.text("aA*?.\\%'\" #", max_size=5),
)
def test_what_is_written_means_what_was_asked(part: Part, values: list[str], text: str) -> None:
    condition = Condition(part=part, values=tuple(values))
    line = acl("x", condition)
    flags = re.IGNORECASE if " -i " in line else re.NOFLAG
    request = Request(source="127.0.0.1", **{PART[part]: text})
    assert bool(re.search(pattern(line), text, flags)) == matches(condition, request)


@given(
    pairs=st.lists(st.tuples(st.text("aA*?=&\\"), st.text("aA*?=&\\")), min_size=1, max_size=2),
    query=st.text("aA=&*", max_size=6),
)
def test_a_pair_is_found_where_the_query_has_it(pairs: list[tuple[str, str]], query: str) -> None:
    condition = Condition(part=Part.QUERY, pairs=tuple(pairs))
    found = re.search(pattern(acl("x", condition)), query, re.IGNORECASE)
    assert bool(found) == matches(condition, Request(source="127.0.0.1", query=query))


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ("^/v[0-9]+$", "(?:^/v[0-9]+$)"),
        ("it's", r"(?:it\x27s)"),
        (r"it\'s", r"(?:it\x27s)"),
        (r"it\\'s", r"(?:it\\\x27s)"),
        ("a\nb", r"(?:a\x0ab)"),
        ("é", r"(?:\xc3\xa9)"),
    ],
)
def test_a_users_expression_keeps_its_meaning_within_quotes(asked: str, written: str) -> None:
    condition = Condition(part=Part.PATH, values=(asked,), is_regex=True)
    assert pattern(acl("x", condition)) == written


def test_case_matters_for_paths_and_methods_alone() -> None:
    minds = {part for part in PART if " -i " not in acl("x", Condition(part=part, values=("a",)))}
    assert minds == {Part.PATH, Part.METHOD}


def test_headers_are_asked_by_name_and_sources_by_range() -> None:
    header = Condition(part=Part.HEADER, name="X-Kind!", values=("a",))
    assert acl("x", header) == "acl x 'req.fhdr(X-Kind!)' -m reg -i -- '^(?:a)$'"
    source = Condition(part=Part.SOURCE, values=("10.0.0.0/8", "::1/128"))
    assert acl("x", source) == "acl x src -m ip -- 10.0.0.0/8 ::1/128"
