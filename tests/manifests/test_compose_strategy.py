"""The labels portway.deploy.*: the rules."""

from __future__ import annotations

import pytest

from portway.core.app import Strategy, StrategyKind
from tests.manifests.compose_files import service, service_problem, warning_of


def strategy(**labels: str) -> Strategy:
    listed = ", ".join(f"portway.deploy.{key}: '{value}'" for key, value in labels.items())
    return service(f"labels: {{{listed}}}").rollout.strategy


def test_without_a_label_a_service_is_deployed_rolling() -> None:
    assert service("user: a").rollout.strategy == Strategy()


def test_a_canary_has_its_steps_and_its_time() -> None:
    assert strategy(strategy="canary", canary="5%,25%", bake_s="90") == Strategy(
        kind=StrategyKind.CANARY, canary_percents=(5, 25), bake_s=90
    )


def test_canary_alone_means_the_strategy() -> None:
    assert strategy(canary="20%").kind is StrategyKind.CANARY


def test_a_time_may_have_a_unit() -> None:
    assert strategy(strategy="blue-green", bake_s="5m").bake_s == 300


def test_a_step_may_wait_for_somebody() -> None:
    assert strategy(strategy="blue-green", hold="true").hold


def test_how_many_requests_may_fail_and_how_many_are_needed_to_tell() -> None:
    found = strategy(canary="20%", max_failed="0.5%", min_requests="100")
    assert (found.max_failed_percent, found.min_requests) == (0.5, 100)
    assert (Strategy().max_failed_percent, Strategy().min_requests) == (5, 20)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("max_failed", "many", "must be 0% to 100%"),
        ("max_failed", "101%", "must be 0% to 100%"),
        ("min_requests", "0", "must be a number between 1 and"),
        ("min_requests", "1.5", "must be a whole number"),
        ("strategy", "blue-gren", "no strategy"),
        ("canary", "100%", "no steps of a canary"),
        ("canary", "50%,10%", "no steps of a canary"),
        ("bake_s", "-1", "must be seconds between 0 and 86400"),
        ("bake_s", "soon", "must be seconds between 0 and 86400"),
        ("hold", "perhaps", "must be true or false"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(key: str, value: str, said: str) -> None:
    problem = service_problem(f"labels: {{portway.deploy.{key}: '{value}'}}")
    assert said in problem.message
    assert f"portway.deploy.{key}" in problem.message


def test_the_strategy_that_was_meant_is_suggested() -> None:
    problem = service_problem("labels: {portway.deploy.strategy: blue-gren}")
    assert "blue-green" in problem.hint


def test_canary_steps_of_another_strategy_are_ignored_and_it_is_said() -> None:
    line = "labels: {portway.deploy.strategy: blue-green, portway.deploy.canary: 10%}"
    assert (
        "is ignored: the strategy is blue-green"
        in warning_of(f"services:\n  web:\n    image: a\n    {line}\n").message
    )
