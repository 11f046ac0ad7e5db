"""The table of faults names tests that exist, and leaves none of the list out."""

from __future__ import annotations

import re

from tests.e2e.machine import ROOT

PAGE = (ROOT / "docs/how-it-works/faults.md").read_text()
IDS = [
    *(f"T{n}" for n in range(1, 17)),
    *(f"C{n}" for n in range(1, 12)),
    *(f"B{n}" for n in range(2, 6)),
]


def test_every_fault_of_the_list_has_its_row():
    assert re.findall(r"^\| ([TCB]\d+) ", PAGE, re.MULTILINE) == IDS


def test_every_test_the_table_names_is_there():
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    written = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert {name for name in named if f"def {name}(" not in written} == set()


def test_every_file_the_table_names_is_there():
    for name in re.findall(r"`((?:tests/[\w/]+/)?test_\w+\.py)`", PAGE):
        assert list((ROOT / "tests").rglob(name.rpartition("/")[2])), name
