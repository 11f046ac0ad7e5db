"""The checks of Docker: does it answer, how is it set up, what of it is known to be open."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portway.controller.machine.base import Finding, Ground, error, note, ok, warning
from portway.controller.machine.holes import DOCKER, RUNC, Hole, is_of_distribution, parse_version
from portway.controller.machine.home import disk_findings

API_LEAST = (1, 30)  # Docker 17.06
_SLOW_STORAGE = ("vfs", "devicemapper", "aufs")
_LIMITS = {"MemoryLimit": "memory", "CpuCfsQuota": "CPU", "PidsLimit": "process count"}


def check_docker(ground: Ground) -> Iterator[Finding]:
    """Everything about the daemon; where another engine is used, its absence is only a note."""
    wanted = ground.config.engine == "docker"
    version = ground.ask_docker("/version")
    if isinstance(version, str):
        text = f"Docker does not answer: {version}"
        fix = "install it (`apt-get install docker.io`) and start it, or set DOCKER_HOST"
        if "may not use" in version:
            fix = "run portway as root, or add this user to the group docker"
        unused = f"; the engine here is {ground.config.engine}, which does without"
        yield error("docker", text, fix) if wanted else note("docker", text + unused)
        return
    yield _version_finding(version)
    yield from _holes(ground, version)
    info = ground.ask_docker("/info")
    if isinstance(info, str):
        yield warning("docker", f"Docker says nothing about itself: {info}", "look at its log")
        return
    yield from _set_up(ground, info)
    yield from _limits(info)
    root = Path(str(info.get("DockerRootDir") or "/var/lib/docker"))
    yield from disk_findings(ground, "docker disk", "Docker's directory", root)


def _version_finding(version: dict[str, Any]) -> Finding:
    number, api = str(version.get("Version", "?")), str(version.get("ApiVersion", "0.0"))
    parsed = parse_version(api)
    if parsed is None or parsed[:2] < API_LEAST:
        least = ".".join(map(str, API_LEAST))
        text = f"Docker {number} speaks API {api}, and portway needs {least}"
        return error("docker", text, "upgrade Docker")
    return ok("docker", f"Docker {number} answers, API {api}")


def _holes(ground: Ground, version: dict[str, Any]) -> Iterator[Finding]:
    number = str(version.get("Version", ""))
    info = ground.ask_docker("/info")
    plugins = info.get("Plugins", {}).get("Authorization") if isinstance(info, dict) else None
    for hole in DOCKER:
        yield from hole_findings("docker holes", "Docker", number, hole, is_met=bool(plugins))
    for component in version.get("Components") or ():
        if component.get("Name") == "runc":
            for hole in RUNC:
                found = str(component.get("Version", ""))
                yield from hole_findings("docker holes", "runc", found, hole)


def hole_findings(
    check: str, program: str, version: str, hole: Hole, *, is_met: bool = True
) -> Iterator[Finding]:
    """What a version says about one hole; `is_met`: what the hole needs is there."""
    parsed = parse_version(version)
    if parsed is None or not hole.hits(parsed):
        return
    text = f"{program} {version} is in the range of {hole.name}: {hole.what}"
    if not is_met:
        yield ok(check, f"{text}; it needs {hole.needs}, which is not here")
    elif is_of_distribution(version):
        yield note(
            check,
            f"{text}; distributions mend that without a new number",
            f"keep it updated (`apt-get upgrade`); its tracker says whether {hole.name} is closed",
        )
    else:
        yield warning(check, text, f"upgrade {program}")


def _set_up(ground: Ground, info: dict[str, Any]) -> Iterator[Finding]:
    driver = str(info.get("Driver", "?"))
    if driver in _SLOW_STORAGE:
        text = f"Docker stores images with {driver}, which is slow and takes much room"
        yield warning("docker storage", text, 'set "storage-driver": "overlay2" in daemon.json')
    else:
        yield ok("docker storage", f"Docker stores images with {driver}")
    if not info.get("LiveRestoreEnabled"):
        text = "live-restore is off: when dockerd restarts, every container stops with it"
        fix = 'set "live-restore": true in /etc/docker/daemon.json and reload dockerd'
        yield note("docker live-restore", text, fix)
    else:
        yield ok("docker live-restore", "containers go on while dockerd restarts")
    yield from _proxy(_daemon_settings(ground))
    for said in info.get("Warnings") or ():
        yield note("docker", f"Docker warns: {str(said).removeprefix('WARNING: ')}")


def _daemon_settings(ground: Ground) -> dict[str, Any]:
    try:
        found = json.loads((ground.etc / "docker/daemon.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _proxy(settings: dict[str, Any]) -> Iterator[Finding]:
    if settings.get("userland-proxy") is False:
        text = "docker-proxy is off: published ports are reached by NAT alone, not by every way from this machine"
        fix = (
            'remove "userland-proxy": false from daemon.json if 127.0.0.1:HOST_PORT does not answer'
        )
        yield note("docker-proxy", text, fix)
    else:
        yield ok("docker-proxy", "docker-proxy is on; HAProxy goes past it, straight to containers")
    if settings.get("iptables") is False:
        text = "Docker writes no firewall rules: containers reach nobody, and nobody their published ports"
        yield warning("docker firewall", text, 'remove "iptables": false from daemon.json')


def _limits(info: dict[str, Any]) -> Iterator[Finding]:
    version = info.get("CgroupVersion", "?")
    missing = [word for key, word in _LIMITS.items() if info.get(key) is False]
    if missing:
        text = f"limits of {' and '.join(missing)} cannot be enforced here (control groups, version {version})"
        fix = "boot with cgroup_enable=memory swapaccount=1, or use control groups version 2"
        yield warning("docker limits", text, fix)
    else:
        yield ok("docker limits", f"limits are enforced (control groups, version {version})")
