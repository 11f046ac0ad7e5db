"""Progress: which events may be the last of a deployment."""

from __future__ import annotations

import pytest

from portway.cli.progress import is_end
from portway.core.events import Event


@pytest.mark.parametrize(
    "kind",
    ["deployment.done", "deployment.failed", "release.active", "release.failed", "release.cancelled"],
)  # fmt: skip
def test_the_end_of_a_deployment_or_release_may_be_the_last(kind: str) -> None:
    assert is_end(Event(at_ms=1, kind=kind, message=""))


@pytest.mark.parametrize("kind", ["instance.failed", "deployment.baking", "release.promoted", "x"])
def test_what_happens_on_the_way_is_not(kind: str) -> None:
    assert not is_end(Event(at_ms=1, kind=kind, message=""))
