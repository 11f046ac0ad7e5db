"""The lock files: every package pinned, with hashes, and no address."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-uv.lock")
PINNED = re.compile(
    r"[a-z0-9][a-z0-9.-]*==[0-9][\w.+]*( ; [\w .'()=<>!]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+"
)


def requirements(name: str) -> list[str]:
    text = re.sub(r"(?m)^ *#.*\n", "", (ROOT / name).read_text())
    return re.split(r"\n(?! )", text.strip())


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_hashes_and_without_an_address(name: str):
    odd = [text for text in requirements(name) if not PINNED.fullmatch(text)]
    assert odd == []


@pytest.mark.parametrize("name", LOCKS)
def test_nothing_names_an_index_or_a_place_on_a_machine(name: str):
    text = (ROOT / name).read_text()
    assert re.findall(r"://|--(?!hash=)|(?<![\w.])/\w", text) == []


def test_everything_the_project_asks_for_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    locked = {text.partition("==")[0] for name in LOCKS for text in requirements(name)}
    assert {re.split(r"[\[<>=;]", name)[0] for name in wanted} <= locked
    assert "uv" in locked
