"""What each error means for an exit code, an HTTP answer and a reader."""

from __future__ import annotations

import pytest

from portway.core.errors import (
    BalancerError,
    EngineError,
    EngineErrorKind,
    ImageMissingError,
    ManifestError,
    PortwayError,
    Problem,
    RequestError,
    StoreError,
    WorldError,
)


@pytest.mark.parametrize(
    ("error", "exit_code", "http_status"),
    [
        (ManifestError([Problem(message="wrong")]), 2, 422),
        (RequestError("no"), 2, 422),
        (RequestError("no", http_status=409), 2, 409),
        (ImageMissingError("no", image="web"), 2, 422),
        (WorldError("no"), 1, 503),
        (EngineError("no"), 1, 503),
        (BalancerError("no"), 1, 503),
        (StoreError("no"), 1, 503),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_users_mistakes_end_with_2_the_worlds_with_1(
    error: PortwayError, exit_code: int, http_status: int
):
    assert (error.exit_code, error.http_status) == (exit_code, http_status)


def test_an_error_says_what_to_do_on_a_line_of_its_own():
    assert str(RequestError("There is no app web.", hint="Name one.")) == (
        "There is no app web.\n  Name one."
    )
    assert str(RequestError("There is no app web.")) == "There is no app web."


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (Problem(message="wrong"), "wrong"),
        (Problem(message="wrong", file="f.yml"), "f.yml: wrong"),
        (Problem(message="wrong", file="f.yml", line=3, column=7), "f.yml:3:7: wrong"),
        (
            Problem(
                message="wrong", path="a.b[0]", hint="Mend it.", file="f.yml", line=3, column=7
            ),
            "f.yml:3:7: a.b[0]: wrong\n  Mend it.",
        ),
    ],
)
def test_a_problem_says_where_it_is_as_far_as_that_is_known(problem: Problem, said: str):
    assert str(problem) == said


def test_a_manifest_error_tells_every_problem_in_order():
    error = ManifestError([Problem(message="one"), Problem(message="two")])
    assert str(error) == "one\ntwo"
    assert [problem.message for problem in error.problems] == ["one", "two"]


def test_what_the_world_refuses_may_be_tried_again_unless_it_says_otherwise():
    assert EngineError("no").retryable
    assert EngineError("no").kind == EngineErrorKind.OTHER
    assert not EngineError("no", retryable=False, kind=EngineErrorKind.BAD_COMMAND).retryable
