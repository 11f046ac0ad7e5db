"""Stack and Release: a named set of Apps deployed together, and one immutable version of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from portway.core.app import App
from portway.core.receipt import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One immutable version of a stack. `environment` is the stack's variables; secret, shown only by `env`."""

    id: str
    stack: str
    created_at_ms: int
    manifest: str  # the text as the user wrote it
    manifest_name: str
    apps: tuple[App, ...]  # build replaced by the built image
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    description: str = ""
    build_ms: int = 0  # what making it took before it was sent: building, then pulling, its images
    pull_ms: int = 0
    within_policy: bool = False  # made by a caller whom the policy binds
    partial: bool = (
        False  # of a loose stack: `apps` are those it changes, the others stay as they are
    )
    receipts: tuple[Receipt, ...] = ()  # of the deployments of it, oldest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A named set of Apps. `active_release` is the last one that came up whole, None before that."""

    name: str
    created_at_ms: int
    directory: str = ""  # where it was deployed from: relative paths of processes start here
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    active_release: str | None = None
    promoting: str | None = (
        None  # the release being deployed; becomes active only once all of it runs
    )
    history: tuple[str, ...] = ()  # releases that were active, oldest first
    scales: Mapping[str, int] = field(default_factory=dict)  # App name -> count set by `scale`
    deleting: bool = False  # everything of it is being stopped; then it is forgotten
    loose: bool = (
        False  # its Apps change one at a time, beside each other; no release is of all of it
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate bound to a listener: `target` is "stack/app:service_port". `pem` is chain then key; secret."""

    name: str
    target: str
    pem: str = field(repr=False)
    domains: tuple[str, ...]
    expires_at_ms: int
    fingerprint: str
    self_signed: bool = False


def release_id(random_letters: str) -> str:
    """ "R" and ten upper-case letters, as in RUAENUMAQBS (seed 000)."""
    assert len(random_letters) == 10, random_letters
    assert random_letters.isascii()
    assert random_letters.isupper()
    return "R" + random_letters
