"""docs/reference/marathon-fields.md is what the program says."""

from __future__ import annotations

from pathlib import Path

from portway.manifests.marathon.reference import render_reference

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "marathon-fields.md"


def test_the_written_reference_is_what_the_program_says() -> None:
    told = "run: .venv/bin/python -m portway.manifests.marathon.reference > docs/reference/marathon-fields.md"
    assert PAGE.read_text() == render_reference(), told
