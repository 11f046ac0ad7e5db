"""Helpers: parse a compose text, and the problems it gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import dedent

import pytest

from portway.core.app import App
from portway.core.errors import ManifestError, Problem
from portway.manifests.base import Manifest
from portway.manifests.compose import parse_compose


def parse(
    text: str,
    *,
    variables: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    profiles: Sequence[str] = (),
    directory: str = "/project",
) -> Manifest:
    return parse_compose(
        dedent(text),
        stack="shop",
        variables=variables,
        files=files,
        profiles=profiles,
        directory=directory,
    )


def app_of(text: str, **given: object) -> App:
    """The one App of a file."""
    (app,) = parse(text, **given).apps  # type: ignore[arg-type]
    return app


def service(*lines: str, image: str = "x", **given: object) -> App:
    """The App of a service `web` with these keys; further indentation as written."""
    return app_of(service_text(*lines, image=image), **given)


def service_text(*lines: str, image: str = "x") -> str:
    body = [f"image: {image}", *lines]
    return "services:\n  web:\n" + "".join(f"    {line}\n" for line in body)


def problems_of(text: str, **given: object) -> tuple[Problem, ...]:
    """Every error of a file that cannot be used."""
    with pytest.raises(ManifestError) as caught:
        parse(text, **given)  # type: ignore[arg-type]
    return caught.value.problems


def problem_of(text: str, **given: object) -> Problem:
    """The one error of a file."""
    (problem,) = problems_of(text, **given)
    return problem


def service_problem(*lines: str, **given: object) -> Problem:
    return problem_of(service_text(*lines), **given)


def warnings_of(text: str, **given: object) -> tuple[Problem, ...]:
    return parse(text, **given).warnings  # type: ignore[arg-type]


def warning_of(text: str, **given: object) -> Problem:
    (warning,) = warnings_of(text, **given)
    return warning
