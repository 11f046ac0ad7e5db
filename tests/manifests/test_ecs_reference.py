"""docs/reference/ecs.md is what the program says."""

from __future__ import annotations

from pathlib import Path

from portway.manifests.ecs_reference import render_reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "ecs.md"


def test_the_written_reference_is_what_the_program_says() -> None:
    told = "run: .venv/bin/python -m portway.manifests.ecs_reference > docs/reference/ecs.md"
    assert PAGE.read_text() == render_reference(), told
