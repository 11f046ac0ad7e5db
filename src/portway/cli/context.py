"""A build context as a tar stream: every file .dockerignore lets through, one at a time, never whole in memory."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from portway.cli.ignore import Ignore, parse_ignore
from portway.core.app import Build
from portway.core.errors import RequestError

_CHUNK_BYTES = 256 * 1024
_BLOCK_BYTES = 512
_OUTSIDE_DOCKERFILE = (
    ".portway-dockerfile"  # its name in the stream when it lies outside the context
)


def dockerfile_in_context(build: Build) -> str:
    """The Dockerfile's name inside the stream."""
    context, dockerfile = _paths(build)
    if dockerfile.is_relative_to(context):
        return dockerfile.relative_to(context).as_posix()
    return _OUTSIDE_DOCKERFILE


def check_context(build: Build, *, app: str) -> None:
    """RequestError that names the App when its context or Dockerfile is not there."""
    context, dockerfile = _paths(build)
    if not context.is_dir():
        raise RequestError(
            f"{app} is built from {build.context}, which is not a directory.",
            hint="Correct `build` (or its `context`) in the manifest.",
        )
    if not dockerfile.is_file():
        raise RequestError(
            f"{app} is built from {dockerfile}, which does not exist.",
            hint="Write that Dockerfile, or name another with `build.dockerfile`.",
        )


def context_stream(build: Build) -> Iterator[bytes]:
    """The tar stream of a build context, its Dockerfile always included."""
    context, dockerfile = _paths(build)
    needed = {dockerfile_in_context(build), ".dockerignore"}
    ignore = _ignore_rules(context, dockerfile)
    try:
        for path, name in _walk(context, "", ignore, needed):
            yield from _entry(path, name)
        if _OUTSIDE_DOCKERFILE in needed:
            yield from _entry(dockerfile, _OUTSIDE_DOCKERFILE)
    except OSError as error:
        raise RequestError(
            f"{error.filename or context} cannot be read for the build: {error.strerror}.",
            hint="Make it readable, or list it in .dockerignore.",
        ) from error
    yield b"\0" * (2 * _BLOCK_BYTES)


def _paths(build: Build) -> tuple[Path, Path]:
    context = Path(build.context)
    return context, Path(os.path.normpath(context / build.dockerfile))


def _ignore_rules(context: Path, dockerfile: Path) -> Ignore:
    for path in (Path(f"{dockerfile}.dockerignore"), context / ".dockerignore"):
        if path.is_file():
            return parse_ignore(path.read_text(encoding="utf-8", errors="replace"))
    return Ignore()


def _walk(
    directory: Path, prefix: str, ignore: Ignore, needed: set[str]
) -> Iterator[tuple[Path, str]]:
    for path in sorted(directory.iterdir()):
        name = f"{prefix}{path.name}"
        left_behind = ignore.ignores(name) and name not in needed
        is_directory = path.is_dir() and not path.is_symlink()
        if not left_behind:
            yield path, name
        if is_directory and (not left_behind or _may_hold(name, ignore, needed)):
            yield from _walk(path, f"{name}/", ignore, needed)


def _may_hold(name: str, ignore: Ignore, needed: set[str]) -> bool:
    return ignore.has_exceptions or any(one.startswith(f"{name}/") for one in needed)


def _entry(path: Path, name: str) -> Iterator[bytes]:
    status = path.lstat()
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
    if stat.S_ISREG(status.st_mode):
        entry.size = status.st_size
        yield entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        yield from _content(path, entry.size)
        return
    if stat.S_ISDIR(status.st_mode):
        entry.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        entry.type, entry.linkname = tarfile.SYMTYPE, str(path.readlink())
    else:
        return  # sockets, pipes and devices are no part of an image
    yield entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _content(path: Path, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes and the padding: the header has promised them, whatever happens to the file."""
    left = size
    with path.open("rb") as file:
        while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk
    yield b"\0" * (left + -size % _BLOCK_BYTES)
