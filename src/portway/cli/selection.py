"""Which services of a manifest `portway start` was asked for: the words after it, and what those depend on. Pure but for looking at paths."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from portway.cli.stacks import find_manifest
from portway.core.app import App
from portway.core.errors import RequestError
from portway.core.suggest import did_you_mean


def split_source(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The manifest's directory or file, and the names of services.

    The first word is a path when it is a file, a directory with a manifest, or written like one.
    """
    if not words:
        return ".", ()
    if _is_source(words[0]) or find_manifest(Path()) is None:
        return words[0], tuple(words[1:])
    return ".", tuple(words)


def with_dependencies(apps: Collection[App], names: Sequence[str]) -> frozenset[str]:
    """The named Apps and all they depend on or link to; all Apps where none is named."""
    known = {app.name: app for app in apps}
    for name in names:
        if name not in known:
            raise RequestError(
                f'The manifest has no service "{name}".{did_you_mean(name, known)}',
                hint=f"It has: {', '.join(known)}.",
            )
    kept: set[str] = set()
    waiting = list(names or known)
    while waiting:
        name = waiting.pop()
        if name in known and name not in kept:
            kept.add(name)
            waiting += [one.name for one in (*known[name].depends_on, *known[name].links)]
    return frozenset(kept)


def _is_source(word: str) -> bool:
    path = Path(word)
    return "/" in word or word in (".", "..") or path.is_file() or bool(find_manifest(path))
