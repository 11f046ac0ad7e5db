"""The checks of the machine itself: memory, clock, control groups, forwarding."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from portway.controller.machine.base import Finding, Ground, error, note, ok, warning

_SANE_S = 1_735_689_600  # 2025-01-01: nothing of this version ran before
_JUMP_S = 10.0  # the server notes its start after the kernel does, on a busy machine a few seconds
_MEMORY_ERROR_MB = 64
_MEMORY_WARNING_MB = 256


def check_memory(ground: Ground) -> Iterator[Finding]:
    """What is available without swapping."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB", ground.read("meminfo"), re.MULTILINE)
    if match is None:
        return
    free_mb = int(match[1]) // 1024
    text = f"{free_mb} MB of memory are available"
    fix = "stop something, or give instances limits (deploy.resources.limits.memory)"
    if free_mb < _MEMORY_ERROR_MB:
        yield error("memory", text, fix)
    elif free_mb < _MEMORY_WARNING_MB:
        yield warning("memory", text, fix)
    else:
        yield ok("memory", text)


def check_clock(ground: Ground) -> Iterator[Finding]:
    """A sane date, no jump since the server started, and whether somebody keeps it right."""
    if ground.now_s() < _SANE_S:
        text = "the clock is wrong: it says a year before this portway was made"
        yield error(
            "clock", text, "set it (`timedatectl set-ntp true`); certificates fail until then"
        )
        return
    jump_s = _jump_s(ground)
    if jump_s is not None and abs(jump_s) > _JUMP_S:
        way = "forward" if jump_s > 0 else "back"
        text = f"the clock has been set {way} by {abs(jump_s):.0f} s since the server started"
        fix = "nothing is lost by it, but times of events before and after do not compare; use NTP"
        yield warning("clock", text, fix)
    said = ground.run(["timedatectl", "show", "--property=NTPSynchronized", "--value"])
    if said.code == 0 and said.output.strip() == "no":
        text = "the clock is not kept right by NTP"
        yield note("clock", text, "`timedatectl set-ntp true`, or install chrony")
    elif jump_s is None or abs(jump_s) <= _JUMP_S:
        kept = ", kept right by NTP" if said.code == 0 and said.output.strip() == "yes" else ""
        yield ok("clock", f"the clock is sane{kept}")


def _jump_s(ground: Ground) -> float | None:
    """How much more wall-clock time than real time has gone by since the server started; None without one."""
    server = ground.server
    uptime = ground.read("uptime").split()
    words = ground.read(f"{server.pid}/stat").rpartition(")")[2].split()
    if not server.version or not uptime or len(words) < 20:
        return None
    began_s = int(words[19]) / os.sysconf("SC_CLK_TCK")
    by_kernel_s = float(uptime[0]) - began_s
    by_clock_s = ground.now_s() - server.started_at_ms / 1000
    return by_clock_s - by_kernel_s


def check_control_groups(ground: Ground) -> Iterator[Finding]:
    """Which version there is, and whether processes can be limited by it."""
    unified = ground.cgroups / "cgroup.controllers"
    if unified.exists():
        controllers, version = _text(ground, "cgroup.controllers").split(), 2
    else:
        names = ("memory", "cpu", "pids")
        controllers = [name for name in names if (ground.cgroups / name).is_dir()]
        version = 1
    missing = [name for name in ("memory", "cpu") if name not in controllers]
    if not missing:
        yield ok("control groups", f"version {version}, with memory and cpu")
        return
    text = f"control groups (version {version}) have no {' and no '.join(missing)}: such limits hold nobody"
    is_needed = ground.config.engine == "process"
    fix = "mount them, or boot with cgroup_enable=memory"
    yield warning("control groups", text, fix) if is_needed else note("control groups", text, fix)


def _text(ground: Ground, name: str) -> str:
    try:
        return (ground.cgroups / name).read_text()
    except OSError:
        return ""


def check_forwarding(ground: Ground) -> Iterator[Finding]:
    """Docker's networks need it; something may have switched it off after dockerd switched it on."""
    if ground.config.engine == "docker" and ground.read("sys/net/ipv4/ip_forward") == "0":
        text = "the kernel forwards no packets, so containers reach nothing outside this machine"
        yield error("forwarding", text, "sysctl -w net.ipv4.ip_forward=1")
