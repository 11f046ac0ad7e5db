"""Manifest: what every parser returns, whatever language it read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from portway.core.app import App
from portway.core.ecs.labels import Origin
from portway.core.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The Apps of one file. `name` is the stack name the file itself gives, "" when it gives none.

    `warnings` are odd but harmless (unknown keys, things that mean nothing here), in file order.
    `origins`: of Apps by name that are services of ECS, which.
    """

    name: str
    apps: tuple[App, ...]
    warnings: tuple[Problem, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What a manifest needs from the machine it lies on, found without using any of it.

    `variables`: names interpolated. `files`: env_file paths as written (relative to the manifest);
    `optional_files` those that may be absent.
    """

    variables: tuple[str, ...]
    files: tuple[str, ...]
    optional_files: tuple[str, ...] = ()
