"""Limits through control groups, version 1 or 2, where this user may make them. Elsewhere a warning, not a failure.

Every instance gets a group of its own where that is allowed, limits or not, so that what it leaves behind is found.
    version 1:  /sys/fs/cgroup/{memory,cpu,pids}/portway/HOME/INSTANCE
    version 2:  /sys/fs/cgroup/portway/HOME/INSTANCE
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from portway.core.app import Resources

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000  # the kernel's own, in both versions
CONTROLLERS = ("memory", "cpu", "pids")
TRACKING = "pids"  # version 1: the controller whose group every instance joins


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The groups made for one instance. `oom_file` counts the kills for want of memory."""

    directories: tuple[str, ...] = ()
    oom_file: str = ""
    warnings: tuple[str, ...] = ()


class Cgroups:
    """The control groups of one home."""

    def __init__(self, home_id: str, *, root: Path = ROOT) -> None:
        self._root = root
        self._home = quote(home_id, safe="")
        self._unified = (root / "cgroup.controllers").exists()
        self._tracks = True

    def place(self, name: str, resources: Resources) -> Placement:
        """Make the groups for one instance; a limit that cannot be had becomes a warning."""
        wanted = _settings_v2(resources) if self._unified else _settings_v1(resources)
        if self._unified:
            groups = {self._home_path(self._root) / name: wanted}
        else:
            groups = {
                self._home_path(self._root / controller) / name: {
                    key: value for key, value in wanted.items() if key.startswith(f"{controller}.")
                }
                for controller in CONTROLLERS
            }
        return self._make(groups)

    def members(self, directories: Sequence[str]) -> tuple[int, ...]:
        """The processes in those groups."""
        pids: set[int] = set()
        for directory in directories:
            with suppress(OSError):
                pids.update(
                    int(pid) for pid in (Path(directory) / "cgroup.procs").read_text().split()
                )
        return tuple(sorted(pids))

    def join(self, directories: Sequence[str], pid: int) -> None:
        """Put a process into those groups; one that has ended is not missed."""
        for directory in directories:
            with suppress(OSError):
                (Path(directory) / "cgroup.procs").write_text(str(pid))

    def remove(self, directories: Sequence[str]) -> bool:
        """Remove the groups, and those above them when they are empty then. False: one is still in use."""
        for directory in map(Path, directories):
            with suppress(OSError):
                directory.rmdir()
            with suppress(OSError):
                directory.parent.rmdir()
                directory.parent.parent.rmdir()
        return not any(Path(directory).exists() for directory in directories)

    def _make(self, groups: Mapping[Path, Mapping[str, str]]) -> Placement:
        directories: list[str] = []
        warnings: list[str] = []
        for directory, settings in groups.items():
            if not settings and not self._tracked(directory):
                continue
            try:
                self._create(directory)
            except OSError as error:
                warnings += [_warning(key, error) for key in settings if key not in OPTIONAL]
                self._tracks = self._tracks and bool(settings)
                continue
            directories.append(str(directory))
            warnings += _apply(directory, settings)
        return Placement(
            directories=tuple(directories),
            oom_file=self._oom_file(directories),
            warnings=tuple(warnings),
        )

    def _tracked(self, directory: Path) -> bool:
        return self._tracks and (self._unified or directory.is_relative_to(self._root / TRACKING))

    def _home_path(self, top: Path) -> Path:
        return top / "portway" / self._home

    def _create(self, directory: Path) -> None:
        """Make the directory and hand the controllers down to it (version 2)."""
        top = directory.parent.parent.parent
        if not top.is_dir():
            raise FileNotFoundError(f"{top} is not there")
        for level in (directory.parent.parent, directory.parent, directory):
            if self._unified and not level.exists():
                for controller in CONTROLLERS:
                    with suppress(OSError):  # the limit that needs it will say so
                        (level.parent / "cgroup.subtree_control").write_text(f"+{controller}")
            level.mkdir(exist_ok=True)

    def _oom_file(self, directories: Sequence[str]) -> str:
        name = "memory.events" if self._unified else "memory.oom_control"
        for directory in directories:
            if (Path(directory) / name).exists():
                return str(Path(directory) / name)
        return ""


def _apply(directory: Path, settings: Mapping[str, str]) -> list[str]:
    """Write the settings; a sentence for each that did not take."""
    warnings: list[str] = []
    for key, value in settings.items():
        path = directory / key
        if key in OPTIONAL and not path.exists():
            continue
        try:
            path.write_text(value)
        except OSError as error:
            if key not in OPTIONAL:
                warnings.append(_warning(key, error))
    return warnings


OPTIONAL = frozenset(
    {"memory.memsw.limit_in_bytes", "memory.swap.max"}
)  # kernels without swap accounting
WORDS = {
    "memory.limit_in_bytes": "memory limit",
    "memory.max": "memory limit",
    "memory.soft_limit_in_bytes": "memory reservation",
    "memory.low": "memory reservation",
    "cpu.cfs_quota_us": "CPU limit",
    "cpu.max": "CPU limit",
    "cpu.shares": "CPU share",
    "cpu.weight": "CPU share",
    "pids.max": "process limit",
}


def _warning(key: str, error: OSError) -> str:
    return f"The {WORDS.get(key, key)} is not enforced: {key} cannot be set ({error.strerror or error})."


def _settings_v1(resources: Resources) -> dict[str, str]:
    settings: dict[str, str] = {}
    if resources.memory_bytes is not None:
        settings["memory.limit_in_bytes"] = str(resources.memory_bytes)
        settings["memory.memsw.limit_in_bytes"] = str(resources.memory_bytes)
    if resources.memory_reservation_bytes is not None:
        settings["memory.soft_limit_in_bytes"] = str(resources.memory_reservation_bytes)
    if resources.cpus is not None:
        settings["cpu.cfs_quota_us"] = str(_quota_us(resources.cpus))
    if resources.cpu_shares is not None:
        settings["cpu.shares"] = str(resources.cpu_shares)
    if resources.pids is not None:
        settings["pids.max"] = str(resources.pids)
    return settings


def _settings_v2(resources: Resources) -> dict[str, str]:
    settings: dict[str, str] = {}
    if resources.memory_bytes is not None:
        settings["memory.max"] = str(resources.memory_bytes)
        settings["memory.swap.max"] = "0"
    if resources.memory_reservation_bytes is not None:
        settings["memory.low"] = str(resources.memory_reservation_bytes)
    if resources.cpus is not None:
        settings["cpu.max"] = f"{_quota_us(resources.cpus)} {PERIOD_US}"
    if resources.cpu_shares is not None:
        # the conversion systemd and runc use: shares 2..262144 onto weight 1..10000
        settings["cpu.weight"] = str(1 + (max(2, resources.cpu_shares) - 2) * 9999 // 262142)
    if resources.pids is not None:
        settings["pids.max"] = str(resources.pids)
    return settings


def _quota_us(cpus: float) -> int:
    return max(1000, round(cpus * PERIOD_US))  # the kernel refuses less than 1 ms
