"""Which language a manifest is in, and its Apps whichever it is. A further language is one more Language in LANGUAGES."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from portway.core.errors import ManifestError
from portway.manifests.base import Manifest, References
from portway.manifests.compose import compose_references, parse_compose
from portway.manifests.ecs import is_ecs, parse_ecs
from portway.manifests.ecs_app import secret_names
from portway.manifests.json_reader import read_json
from portway.manifests.marathon.files import is_marathon, parse_marathon


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A manifest and what is known around it.

    `files` are those it needs by path as written: env_files of a compose file; of an ECS file the other files deployed
    with it. `secrets`: what each secret it names holds; None where nobody knows yet.
    """

    text: str
    file: str
    stack: str
    directory: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    profiles: tuple[str, ...] = ()
    secrets: Mapping[str, str] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One language of manifests. `title`: whose it is, for people. `takes_files`: several files may be one manifest."""

    name: str
    title: str
    is_meant: Callable[[str], bool]
    parse: Callable[[Source], Manifest]
    references: Callable[[str, str, Mapping[str, str]], References]  # text, file, variables
    secrets: Callable[[Source], tuple[str, ...]] = lambda _: ()
    takes_files: bool = False


def language_of(text: str) -> Language:
    """The language a text is in; compose unless another one recognises it."""
    return next((language for language in LANGUAGES if language.is_meant(text)), COMPOSE)


def parse_manifest(source: Source) -> Manifest:
    """The Apps of a manifest in any language; ManifestError with every problem in it."""
    return language_of(source.text).parse(source)


def named_secrets(source: Source) -> tuple[str, ...]:
    """The secrets a manifest names, to be looked up before it is parsed; none of one that cannot be read."""
    return language_of(source.text).secrets(source)


def _compose(source: Source) -> Manifest:
    return parse_compose(
        source.text,
        stack=source.stack,
        file=source.file,
        variables=source.variables,
        files=source.files,
        directory=source.directory,
        profiles=source.profiles,
    )


def _compose_references(text: str, file: str, variables: Mapping[str, str]) -> References:
    return compose_references(text, file=file, variables=variables)


def _ecs(source: Source) -> Manifest:
    return parse_ecs(_documents(source), stack=source.stack, secrets=source.secrets)


def _ecs_secrets(source: Source) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for file, text in _documents(source).items():
        try:
            value = read_json(text, file=file).value
            inner = value.get("taskDefinition", value) if isinstance(value, dict) else {}
            names |= dict.fromkeys(secret_names(inner))
        except (ManifestError, AttributeError, TypeError, KeyError):
            continue  # said when it is parsed
    return tuple(names)


def _marathon(source: Source) -> Manifest:
    return parse_marathon(source.text, file=source.file, stack=source.stack)


def _documents(source: Source) -> dict[str, str]:
    return {source.file: source.text, **source.files}


COMPOSE = Language(
    name="compose",
    title="compose",
    is_meant=lambda _: False,
    parse=_compose,
    references=_compose_references,
)
ECS = Language(
    name="ecs",
    title="ECS",
    is_meant=is_ecs,
    parse=_ecs,
    references=lambda text, file, variables: References(variables=(), files=()),
    secrets=_ecs_secrets,
    takes_files=True,
)
MARATHON = Language(
    name="marathon",
    title="Marathon",
    is_meant=is_marathon,
    parse=_marathon,
    references=lambda text, file, variables: References(variables=(), files=()),
)
LANGUAGES = (MARATHON, ECS, COMPOSE)
