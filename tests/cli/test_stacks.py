from __future__ import annotations

from pathlib import Path

import pytest

from portway.cli.stacks import inferred_stack, name_in, named_stack, valid_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("name: shop\nservices: {}\n", "shop"),
        ('name: "shop" # ours\n', "shop"),
        ("services:\n  web:\n    name: no\n", ""),
        ("name: ${STACK}\n", ""),
    ],
)
def test_the_name_is_the_top_level_one(text: str, name: str) -> None:
    assert name_in(text) == name


@pytest.mark.parametrize(
    ("directory", "name"),
    [("My App", "my-app"), ("web_2.0", "web-2-0"), ("---", "app"), ("ü", "app")],
)
def test_a_directorys_name_is_made_valid(directory: str, name: str) -> None:
    assert valid_name(directory) == name


def test_without_a_manifest_nobody_named_a_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORTWAY_STACK", raising=False)
    assert named_stack(None, directory=tmp_path) == ""
    assert inferred_stack(None, directory=tmp_path) == valid_name(tmp_path.name)
    (tmp_path / "compose.yml").write_text("name: shop\n")
    assert named_stack(None, directory=tmp_path) == "shop"
    assert named_stack("given", directory=tmp_path) == "given"
