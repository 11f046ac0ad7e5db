"""`portway convert`: a manifest in another language, and every field that one cannot say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from portway.cli import session
from portway.cli.options import stack_option
from portway.core.app import App
from portway.core.errors import RequestError

if TYPE_CHECKING:
    from portway.cli.project import Project
    from portway.manifests.losses import Loss


@click.command("convert")
@click.argument("sources", nargs=-1, metavar="[DIR|FILE...]")
@click.option(
    "--to",
    "language",
    required=True,
    type=click.Choice(["ecs", "compose", "marathon"]),
    help="The language to write.",
)
@click.option("-o", "--output", metavar="FILE", help="Where to write it; the terminal otherwise.")
@click.option("--strict", is_flag=True, help="Write nothing when something cannot be said.")
@stack_option
@click.option("--profile", "profiles", multiple=True, help="Also the services of this profile.")
@click.option(
    "-e",
    "--env-file",
    "env_files",
    multiple=True,
    metavar="FILE",
    help="Variables for ${...}, instead of .env.",
)
def command(
    sources: tuple[str, ...],
    language: str,
    output: str | None,
    strict: bool,
    stack: str | None,
    profiles: tuple[str, ...],
    env_files: tuple[str, ...],
) -> None:
    """Write the manifest in DIR (or FILE) in another language. Variables are filled in, secrets are not.

    What that language cannot say is told on standard error, field by field: the text is read back and compared.
    For ecs it is one file with every task definition and service, for marathon one app, pod or group; `portway deploy`
    takes either as it is.
    """
    from portway.cli.project import read_project

    project = read_project(
        *(sources or (".",)), stack=stack, profiles=profiles, env_files=env_files
    )
    for warning in project.manifest.warnings:
        session.warn(str(warning))
    text, losses = _written(project.manifest.apps, language, project.directory)
    lost = _in_own_words(losses, project)
    for loss in lost:
        session.warn(loss)
    if strict and lost:
        many = "" if len(lost) == 1 else "s"
        raise RequestError(
            f"{len(lost)} field{many} cannot be said in {language}, so nothing is written.",
            hint="Without --strict it is written all the same.",
        )
    if output is None:
        click.echo(text, nl=False)
        return
    _write(Path(output), text)


def _in_own_words(losses: Sequence[Loss], project: Project) -> list[str]:
    """Each once, by the fields of the language that the manifest is in."""
    from portway.manifests.language import language_of
    from portway.manifests.own_words import in_words_of

    language = language_of(project.text).name
    apps = {app.name: app for app in project.manifest.apps}
    told = (
        replace(loss, path=in_words_of(language, loss.path, apps.get(loss.app))) for loss in losses
    )
    return list(dict.fromkeys(map(str, told)))


def _written(apps: Sequence[App], language: str, directory: Path) -> tuple[str, tuple[Loss, ...]]:
    from portway.manifests.compose_write import write_compose
    from portway.manifests.ecs_write import write_ecs
    from portway.manifests.marathon.write import write_marathon

    if language == "compose":
        compose = write_compose(apps, directory=str(directory))
        return compose.text, compose.losses
    written = write_ecs(apps) if language == "ecs" else write_marathon(apps)
    text = json.dumps(written.document, indent=2, ensure_ascii=False) + "\n"
    return text, written.losses


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise RequestError(f"{path} is there already.", hint="Choose another name, or remove it.") from None  # fmt: skip
    except OSError as error:
        raise RequestError(f"{path} cannot be written: {error.strerror}.") from error
