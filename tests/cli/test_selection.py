from __future__ import annotations

from pathlib import Path

import pytest

from portway.cli.selection import split_source, with_dependencies
from portway.core.app import App, Dependency, Link
from portway.core.errors import RequestError

APPS = (
    App(id="s/web", links=(Link(name="api", alias="api"),)),
    App(id="s/api", depends_on=(Dependency(name="db"), Dependency(name="gone", required=False))),
    App(id="s/db"),
    App(id="s/mail"),
)


@pytest.fixture
def project(workdir: Path) -> Path:
    """A directory with a manifest, one below it with a manifest too, and one without."""
    for name in ("docker-compose.yml", "other/docker-compose.yml", "web/Dockerfile"):
        (workdir / name).parent.mkdir(exist_ok=True)
        (workdir / name).write_text("")
    return workdir


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), (".", ())),
        (("web",), (".", ("web",))),
        (("web", "api"), (".", ("web", "api"))),
        ((".", "web"), (".", ("web",))),
        (("other", "web"), ("other", ("web",))),
        (("docker-compose.yml", "web"), ("docker-compose.yml", ("web",))),
        (("/nowhere",), ("/nowhere", ())),
    ],
)
def test_the_first_word_is_a_path_only_when_it_leads_to_a_manifest_or_is_written_like_one(
    project: Path, words: tuple[str, ...], expected: tuple[str, tuple[str, ...]]
) -> None:
    assert split_source(words) == expected


def test_without_a_manifest_here_the_first_word_must_be_a_path(workdir: Path) -> None:
    assert split_source(("web",)) == ("web", ())


def test_a_service_brings_what_it_depends_on_and_links_to() -> None:
    assert with_dependencies(APPS, ("web",)) == {"web", "api", "db"}
    assert with_dependencies(APPS, ("mail", "db")) == {"mail", "db"}
    assert with_dependencies(APPS, ()) == {"web", "api", "db", "mail"}


def test_an_unknown_service_is_refused_with_what_may_have_been_meant() -> None:
    with pytest.raises(RequestError, match='no service "wbe".*Did you mean "web"'):
        with_dependencies(APPS, ("wbe",))
