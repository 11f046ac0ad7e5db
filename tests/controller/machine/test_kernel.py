"""What the checks say of memory, clock, control groups and forwarding."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from portway.controller.machine.base import ServerFacts, Severity
from portway.controller.machine.kernel import (
    check_clock,
    check_control_groups,
    check_forwarding,
    check_memory,
)

from .grounds import NOW_S, ground, only, programs, put

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("free_kb", "severity"),
    [(8_000_000, Severity.OK), (200_000, Severity.WARNING), (40_000, Severity.ERROR)],
)
def test_memory_is_judged_by_what_is_available(tmp_path: Path, free_kb: int, severity: Severity):
    put(tmp_path, proc__meminfo=f"MemTotal: 9 kB\nMemAvailable:   {free_kb} kB\n")
    found = only(check_memory(ground(tmp_path)))
    assert (found.severity, found.text) == (
        severity,
        f"{free_kb // 1024} MB of memory are available",
    )


def test_a_clock_before_this_portway_was_made_is_wrong(tmp_path: Path):
    found = only(check_clock(ground(tmp_path, now_s=lambda: 86_400.0)))
    assert found.severity is Severity.ERROR


@pytest.mark.parametrize(
    ("ahead_s", "text"),
    [(3600, "forward by 3600 s"), (-3600, "back by 3600 s")],
)
def test_a_clock_that_was_set_since_the_server_started_is_a_warning(
    tmp_path: Path, ahead_s: int, text: str
):
    """The kernel counts the seconds since the server began; the wall clock may say something else."""
    words = " ".join(["S", *["0"] * 18, str(100 * TICKS), "0"])
    put(tmp_path, proc__uptime="400.0 1.0", proc__7__stat=f"7 (a) name) {words}")
    server = ServerFacts(version="1", pid=7, started_at_ms=int((NOW_S - 300 - ahead_s) * 1000))
    found = only(check_clock(ground(tmp_path, server=server)))
    assert found.severity is Severity.WARNING
    assert text in found.text
    right = ServerFacts(version="1", pid=7, started_at_ms=int((NOW_S - 300) * 1000))
    assert only(check_clock(ground(tmp_path, server=right))).severity is Severity.OK


def test_a_clock_that_nobody_keeps_right_is_a_note(tmp_path: Path):
    made = ground(tmp_path, run=programs({"timedatectl": "no\n"}))
    assert only(check_clock(made)).text == "the clock is not kept right by NTP"
    made = ground(tmp_path, run=programs({"timedatectl": "yes\n"}))
    assert only(check_clock(made)).text == "the clock is sane, kept right by NTP"


def test_control_groups_of_either_version_are_understood(tmp_path: Path):
    (tmp_path / "cgroup/memory").mkdir(parents=True)
    (tmp_path / "cgroup/cpu").mkdir()
    assert only(check_control_groups(ground(tmp_path))).text == "version 1, with memory and cpu"
    (tmp_path / "cgroup/cgroup.controllers").write_text("cpu io memory pids\n")
    assert only(check_control_groups(ground(tmp_path))).text == "version 2, with memory and cpu"


def test_limits_that_cannot_hold_processes_matter_where_processes_are_run(tmp_path: Path):
    (tmp_path / "cgroup").mkdir()
    (tmp_path / "cgroup/cgroup.controllers").write_text("cpu\n")
    assert only(check_control_groups(ground(tmp_path))).severity is Severity.NOTE
    made = ground(tmp_path, settings={"engine": "process"})
    assert only(check_control_groups(made)).severity is Severity.WARNING


def test_forwarding_switched_off_cuts_containers_off(tmp_path: Path):
    put(tmp_path, proc__sys__net__ipv4__ip_forward="0\n")
    assert only(check_forwarding(ground(tmp_path))).fix == "sysctl -w net.ipv4.ip_forward=1"
    put(tmp_path, proc__sys__net__ipv4__ip_forward="1\n")
    assert list(check_forwarding(ground(tmp_path))) == []
