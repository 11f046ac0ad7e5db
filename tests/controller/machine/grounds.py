"""A machine made of values: what programs say, what Docker answers, what the disks have left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from portway.config import Config
from portway.controller.machine.base import NOT_THERE, Finding, Ground, Room, Said, Severity

GB = 2**30
PLENTY = Room(free_bytes=100 * GB, total_bytes=200 * GB, free_inodes=10**6, total_inodes=2 * 10**6)
NOW_S = 1_800_000_000.0


def programs(outputs: Mapping[str, str | Said]) -> Any:
    """A runner that knows these programs and no others."""

    def run(words: Sequence[str]) -> Said:
        said = outputs.get(words[0], Said(code=NOT_THERE))
        return said if isinstance(said, Said) else Said(code=0, output=said)

    return run


def docker(**answers: Any) -> Any:
    """A daemon that answers these paths."""
    return lambda path: answers.get(path.strip("/"), "it does not answer within 3 s")


def ground(home: Path, **changes: Any) -> Ground:
    """A machine where nothing is wrong, but for the changes."""
    settings = {"home": home, "engine": "docker", "listen": "", **changes.pop("settings", {})}
    fields: dict[str, Any] = {
        "config": Config(**settings),
        "proc": home / "proc",
        "cgroups": home / "cgroup",
        "etc": home / "etc",
        "run": programs({}),
        "room": lambda _path: PLENTY,
        "now_s": lambda: NOW_S,
        "file_limit": 65536,
    }
    return Ground(**{**fields, **changes})


def put(home: Path, **files: str) -> None:
    """Write files under the home; "proc__meminfo" is proc/meminfo."""
    for name, text in files.items():
        path = home / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def said(findings: Iterable[Finding], severity: Severity) -> list[str]:
    """The sentences of that severity."""
    return [one.text for one in findings if one.severity is severity]


def only(findings: Iterable[Finding]) -> Finding:
    """The one finding there is."""
    found = list(findings)
    assert len(found) == 1, found
    return found[0]
