from __future__ import annotations

import pytest

from portway.cli.ignore import parse_ignore
from portway.core.errors import RequestError


@pytest.mark.parametrize(
    ("rules", "path", "ignored"),
    [
        ("*.log", "a.log", True),
        ("*.log", "sub/a.log", False),
        ("**/*.log", "sub/deep/a.log", True),
        ("**/*.log", "a.log", True),
        ("node_modules", "node_modules/x/y.js", True),
        ("/build/", "build/out", True),
        ("docs/**", "docs/a/b", True),
        ("docs/**", "docs", False),
        ("?.txt", "a.txt", True),
        ("?.txt", "ab.txt", False),
        ("[a-c].txt", "b.txt", True),
        ("[^a-c].txt", "b.txt", False),
        ("*\n!keep.me", "keep.me", False),
        ("!keep.me\n*", "keep.me", True),
        ("dir\n!dir/keep", "dir/keep", False),
        ("dir\n!dir/keep", "dir/other", True),
        ("# comment\n\n  spaced  ", "spaced", True),
        ("./here", "here", True),
        ("a.b", "axb", False),
        (".", "anything", False),
    ],
)
def test_a_path_stays_behind_as_docker_says(rules: str, path: str, ignored: bool) -> None:
    assert parse_ignore(rules).ignores(path) is ignored


def test_a_range_from_high_to_low_is_refused_and_named() -> None:
    with pytest.raises(RequestError, match=r'"\*\.\[z-a\]" in \.dockerignore is no pattern'):
        parse_ignore("*.log\n*.[z-a]\n")
