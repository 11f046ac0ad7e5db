"""Project: a manifest on this machine and everything a release of it needs: variables, env_files, what to build.

It reads files and parses; it asks no server.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from portway.cli.stacks import companion_of, inferred_stack, require_manifest
from portway.controller.views import ReleaseRequest
from portway.core.errors import RequestError
from portway.manifests.base import Manifest
from portway.manifests.interpolate import parse_dotenv
from portway.manifests.language import Source, language_of, parse_manifest
from portway.manifests.reader import decode_manifest

_SIZE_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A manifest, parsed here first so that mistakes show before anything is sent."""

    stack: str
    text: str
    file: str  # as a person here would name it
    directory: Path
    variables: Mapping[str, str]
    files: Mapping[str, str]
    profiles: tuple[str, ...]
    manifest: Manifest

    def release_request(
        self, images: Mapping[str, str] | None = None, *, description: str = ""
    ) -> ReleaseRequest:
        """What a plan or a release of it is made from."""
        return ReleaseRequest(
            manifest=self.text,
            manifest_name=self.file,
            directory=str(self.directory),
            variables=self.variables,
            files=self.files,
            images=images or {},
            profiles=self.profiles,
            description=description,
        )

    def body(self, images: Mapping[str, str] | None = None, *, description: str = "") -> Any:
        """The same as the body of a request."""
        return asdict(self.release_request(images, description=description))


def read_project(
    source: str,
    *others: str,
    stack: str | None,
    profiles: Sequence[str] = (),
    env_files: Sequence[str] = (),
    stored: Callable[[str], Mapping[str, str]] = lambda _: {},
) -> Project:
    """The project in a directory or of a file. ManifestError with every problem when it cannot be used.

    `others` are further files of it, in languages that take several.
    ${...} is filled from the process environment, then .env, then what is `stored` for the stack.
    """
    path = require_manifest(source)
    text, file = _read(path), _shown(path)
    directory = path.resolve().parent
    name = inferred_stack(stack, directory=directory)
    language = language_of(text)
    references = language.references(text, file, {})
    given = {**stored(name), **_dotenv(directory, env_files), **os.environ}
    variables = {name: given[name] for name in references.variables if name in given}
    # A second look, for the path of an env_file may itself hold a variable.
    references = language.references(text, file, variables)
    files = {
        name: content
        for name in references.files
        if (content := _env_file(directory, name)) is not None
    }
    if language.takes_files:
        beside = companion_of(path) if not others and path != Path(source) else None
        files |= _other_files(file, [*others, *([str(beside)] if beside else [])])
    elif others:
        raise RequestError(
            f"{file} is deployed alone: several files are one manifest only where they are task definitions and services of ECS.",
            hint=f"Leave out {others[0]}.",
        )
    project = Project(
        stack=name,
        text=text,
        file=file,
        directory=directory,
        variables=variables,
        files=files,
        profiles=tuple(profiles),
        manifest=Manifest(name="", apps=()),
    )
    return reread(project, text)


def reread(project: Project, text: str) -> Project:
    """The same project with another text, parsed."""
    source = Source(
        text=text,
        stack=project.stack,
        file=project.file,
        variables=project.variables,
        files=project.files,
        directory=str(project.directory),
        profiles=project.profiles,
    )
    manifest = parse_manifest(source)
    return replace(project, text=text, manifest=manifest)


def _dotenv(directory: Path, env_files: Sequence[str]) -> dict[str, str]:
    paths = [Path(name) for name in env_files] or [directory / ".env"]
    values: dict[str, str] = {}
    for path in paths:
        if env_files or path.is_file():
            values |= parse_dotenv(_read(path), _shown(path), os.environ)
    return values


def _other_files(first: str, names: Sequence[str]) -> dict[str, str]:
    """The further files by name, each given once."""
    files: dict[str, str] = {}
    for name in names:
        path = Path(name)
        if not path.is_file():
            raise RequestError(f"There is no file {name}.", hint="Give the files of one stack.")
        shown = _shown(path)
        if shown == first or shown in files:
            raise RequestError(f"{shown} is given twice.", hint="Give it once.")
        files[shown] = _read(path)
    return files


def _env_file(directory: Path, name: str) -> str | None:
    """Its text; None when it is not there, which the parser judges: it knows the line that names it."""
    path = directory / name
    return _read(path) if path.is_file() else None


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _SIZE_MAX_BYTES:
            raise RequestError(
                f"{_shown(path)} is too large: {path.stat().st_size} bytes, at most {_SIZE_MAX_BYTES} are read.",
                hint="Is this the right file?",
            )
        return decode_manifest(path.read_bytes(), file=_shown(path))
    except OSError as error:
        raise RequestError(f"{_shown(path)} cannot be read: {error.strerror}.") from error


def _shown(path: Path) -> str:
    absolute, here = path.resolve(), Path.cwd()
    return str(absolute.relative_to(here)) if absolute.is_relative_to(here) else str(path)
