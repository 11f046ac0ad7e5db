"""What a Rollout says of itself."""

from __future__ import annotations

import math

import pytest

from portway.core import app
from portway.core.rollout_spec import Breaker, Rollout, Strategy, StrategyKind


@pytest.mark.parametrize(
    ("deadline_s", "patient"), [(300.0, False), (0.0, True), (-1.0, True), (math.inf, True)]
)
def test_without_a_deadline_a_deployment_may_take_for_ever(
    deadline_s: float, patient: bool
) -> None:
    assert Rollout(progress_deadline_s=deadline_s).is_patient is patient


def test_the_words_are_an_apps_own() -> None:
    assert (app.Rollout, app.Breaker) == (Rollout, Breaker)
    assert (app.Strategy, app.StrategyKind) == (Strategy, StrategyKind)
