"""Which stack a command means: -a, PORTWAY_STACK, the manifest's `name:`, the directory's name, in this order."""

from __future__ import annotations

import os
import re
from pathlib import Path

from portway.core.errors import RequestError

MANIFEST_NAMES = ("docker-compose.yml", "docker-compose.yaml", "compose.yaml", "compose.yml", "taskdef.json", "marathon.json")  # fmt: skip
_COMPANIONS = {"taskdef.json": "service.json"}
_NAME_LINE = re.compile(r"""^name\s*:\s*(?P<quote>["']?)(?P<name>[^"'#\s$]+)(?P=quote)\s*(#.*)?$""")
_LENGTH_MAX = 63


def inferred_stack(given: str | None, *, directory: Path | None = None) -> str:
    """The stack a command is about; never empty."""
    return named_stack(given, directory=directory) or valid_name(
        (directory or Path.cwd()).resolve().name
    )


def named_stack(given: str | None, *, directory: Path | None = None) -> str:
    """The stack that was named by somebody, or that the directory's manifest is; "" when neither is."""
    if given := given or os.environ.get("PORTWAY_STACK"):
        return given
    manifest = find_manifest(directory or Path.cwd())
    if manifest is None:
        return ""
    return name_in(_text(manifest)) or valid_name(manifest.resolve().parent.name)


def find_manifest(directory: Path) -> Path | None:
    """The directory's manifest, None without one."""
    candidates = (directory / name for name in MANIFEST_NAMES)
    return next((path for path in candidates if path.is_file()), None)


def require_manifest(source: str) -> Path:
    """The manifest `source` (a directory or a file) means."""
    path = Path(source)
    if path.is_file():
        return path
    if not path.is_dir():
        raise RequestError(
            f"There is no file or directory {source}.", hint="Give the directory of the manifest."
        )
    if manifest := find_manifest(path):
        return manifest
    where = "this directory" if path.resolve() == Path.cwd() else str(path)
    raise RequestError(
        f"There is no manifest in {where}: it has none of {', '.join(MANIFEST_NAMES)}.",
        hint="Go to its directory, or name it: portway deploy path/to/docker-compose.yml",
    )


def companion_of(manifest: Path) -> Path | None:
    """The file that belongs to a manifest found in a directory, None without one."""
    companion = manifest.with_name(_COMPANIONS.get(manifest.name, manifest.name))
    return companion if companion != manifest and companion.is_file() else None


def name_in(text: str) -> str:
    """The top-level `name:` of a manifest, "" without one (or when it needs a variable)."""
    matches = (_NAME_LINE.match(line) for line in text.splitlines())
    return next((match["name"] for match in matches if match), "")


def valid_name(text: str) -> str:
    """A directory's name as a stack name: lower-case letters, digits and dashes, a letter or digit first."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:_LENGTH_MAX].strip("-")
    return name or "app"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
