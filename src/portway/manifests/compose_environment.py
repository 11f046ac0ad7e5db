"""Compose `environment` and `env_file` -> the variables of an App. The contents of env_files are given, never opened."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from portway.core.app import Link
from portway.core.environment import is_known_at_start
from portway.core.errors import ManifestError
from portway.manifests.interpolate import how_to_set, parse_dotenv
from portway.manifests.tree import (
    Fields,
    Items,
    Node,
    Pair,
    Scalar,
    filled_text_of,
    pairs_of,
    shown,
    warn_unknown,
)

_NAME = re.compile(r"[^\s=\x00]+")
_LINK_SUFFIXES = ("URL", "SCHEME", "HOST", "PORT", "PATH", "USERNAME", "PASSWORD")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvFile:
    """One env_file a service names. `written` is its path before variables were filled in."""

    path: str
    written: str
    required: bool
    node: Node


def env_files_of(node: Node | None) -> tuple[EnvFile, ...]:
    """The env_files of a service: one path, a list of paths, or the long form."""
    if node is None:
        return ()
    entries = node.items if isinstance(node, Items) else (node,)
    return tuple(found for entry in entries if (found := _env_file(entry)))


def _env_file(entry: Node) -> EnvFile | None:
    required, path = True, entry
    if isinstance(entry, Fields):
        warn_unknown(entry, ("path", "required", "format"), of="env_file")
        required = entry.flag("required", default=True)
        path = entry.get("path")
        if path is None:
            entry.error("an env_file needs a path", "Add path: .env.")
            return None
        if entry.get("format") is not None:
            entry.keys["format"].warn(
                "format is ignored: quotes and variables are always understood"
            )
    text = filled_text_of(path)
    if text is None or not isinstance(path, Scalar):
        return None
    return EnvFile(path=text, written=path.raw or text, required=required, node=path)


class EnvFiles:
    """The env_files that were found, each parsed once however many services name it."""

    def __init__(self, files: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self._files = files
        self._variables = variables
        self._parsed: dict[str, Mapping[str, str]] = {}

    def contents(self, env_file: EnvFile) -> Mapping[str, str]:
        """The variables of one env_file; {} (and said) when it is missing or malformed."""
        path = env_file.path if env_file.path in self._files else env_file.written
        if path not in self._files:
            if env_file.required:
                env_file.node.error(
                    f"the env_file {shown(env_file.path)} is not there",
                    "Create it beside the manifest, or write it as path: ... with required: false.",
                )
            return {}
        if path not in self._parsed:
            self._parsed[path] = self._parse(path, env_file.node)
        return self._parsed[path]

    def _parse(self, path: str, node: Node) -> Mapping[str, str]:
        try:
            return parse_dotenv(self._files[path], path, self._variables)
        except ManifestError as error:
            for problem in error.problems:
                node.problems.error(problem)
            return {}


def environment_of(
    service: Fields,
    links: Iterable[Link],
    *,
    name: str,
    variables: Mapping[str, str],
    env_files: EnvFiles,
) -> dict[str, str]:
    """The service's variables: env_files in order, then `environment`, the later ones winning.

    A name without a value is required: it is taken from the variables, or given by a link or by
    portway itself; otherwise it is an error, so that nothing starts half configured.
    """
    environment: dict[str, str] = {}
    for env_file in env_files_of(service.get("env_file")):
        environment |= env_files.contents(env_file)
    given = frozenset(_given_by_links(links))
    for pair in pairs_of(service.get("environment")):
        if not _NAME.fullmatch(pair.key):
            _say_bad_name(pair)
        elif pair.value is not None:
            environment[pair.key] = pair.value
        elif pair.key in variables:
            environment[pair.key] = variables[pair.key]
        elif (
            pair.key not in environment
            and pair.key not in given
            and not is_known_at_start(pair.key)
        ):
            pair.node.error(
                f"{name} requires the variable {shown(pair.key)}, which is not set",
                f"{how_to_set(pair.key)}, or write {shown(pair.key)}=default.",
            )
    return environment


def _say_bad_name(pair: Pair) -> None:
    trimmed = re.sub(r"[\s=\x00]", "", pair.key)
    pair.node.error(
        f"'{shown(pair.key)}' cannot name a variable",
        f"Write {shown(trimmed)}=value, without spaces around the '='."
        if trimmed
        else "Write NAME=value.",
    )


def _given_by_links(links: Iterable[Link]) -> Iterator[str]:
    for link in links:
        prefix = re.sub(r"[^A-Za-z0-9]", "_", link.alias).upper()
        yield from (f"{prefix}_{suffix}" for suffix in _LINK_SUFFIXES)
