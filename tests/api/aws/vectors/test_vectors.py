"""Every vector about ECS and Elastic Load Balancing: asked of a portway in memory, or named with the reason why it cannot be."""

from __future__ import annotations

import importlib

import pytest

from tests.api.aws.vectors.cases import (
    CASES,
    CLOUD_ONLY,
    COPY,
    ROOT,
    SCENARIOS,
    SHARED,
    Ground,
)
from tests.api.aws.vectors.served import SERVED

VIRTUAL_TIME = True
DOCUMENT = ROOT / "docs" / "reference" / "aws-vectors.md"

for _name in ("agent", "classic", "ecs", "elb", "scheduler", "wire"):
    importlib.import_module(f"tests.api.aws.vectors.{_name}_scenarios")


@pytest.mark.parametrize("name", [name for name in CASES if name in SCENARIOS])
async def test_a_vector_passes(ground: Ground, name: str) -> None:
    await SCENARIOS[name](CASES[name], ground)


def test_every_vector_is_asked_or_has_a_reason() -> None:
    asked = {*SCENARIOS, *SERVED}
    assert asked | CLOUD_ONLY.keys() == CASES.keys()
    assert not asked & CLOUD_ONLY.keys()
    assert not SCENARIOS.keys() & SERVED


def test_the_docs_name_what_is_left_out_with_the_same_reason() -> None:
    rows = [line.split("|") for line in DOCUMENT.read_text().splitlines() if line.startswith("| `ecs-")]  # fmt: skip
    assert {row[1].strip(" `"): row[-2].strip() for row in rows} == CLOUD_ONLY


def test_the_copy_is_what_was_agreed_on() -> None:
    if not SHARED.exists():
        pytest.skip("There is only the copy here.")
    assert COPY.read_text() == SHARED.read_text()
