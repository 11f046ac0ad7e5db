"""What the guide for Marathon's users and the examples say is so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portway.manifests.ecs_fields import Use
from portway.manifests.marathon.fields import app_fields
from portway.manifests.marathon.files import parse_marathon

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("marathon-*/*.json"))
GUIDE = ROOT / "docs" / "tutorials" / "coming-from-marathon.md"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_example_is_a_file_that_is_read_without_a_warning(path: Path) -> None:
    parsed = parse_marathon(path.read_text(), file=path.name, stack="shop")
    assert len(parsed.apps) == 1
    assert parsed.warnings == ()


def test_there_are_three_examples():
    assert [path.name for path in EXAMPLES] == ["app.json", "app.json", "pod.json"]


@pytest.mark.parametrize("name", ["fetch", "secrets", "gpus", "container.volumes[].persistent"])
def test_what_the_guide_calls_refused_is(name: str) -> None:
    assert app_fields()[name].use is Use.REFUSED


@pytest.mark.parametrize("name", ["disk", "executor", "role", "acceptedResourceRoles"])
def test_what_the_guide_calls_without_effect_is_taken(name: str) -> None:
    value = {"disk": 1, "executor": "//cmd", "role": "*", "acceptedResourceRoles": ["*"]}[name]
    text = json.dumps({"id": "/a", "cmd": "sleep 1", name: value})
    assert parse_marathon(text, file="app.json", stack="shop").apps
    assert f"`{name}`" in GUIDE.read_text() or name == "role"
