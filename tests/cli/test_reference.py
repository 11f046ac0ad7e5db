from __future__ import annotations

from pathlib import Path

from portway.cli.reference import render_reference

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"


def test_the_written_reference_is_what_the_program_says() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == render_reference(), (
        "run: .venv/bin/python -m portway.cli.reference > docs/reference/cli.md"
    )
