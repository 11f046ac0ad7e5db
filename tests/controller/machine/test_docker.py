"""What the checks say of Docker, from its own answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from portway.controller.machine.base import Severity
from portway.controller.machine.docker import check_docker

from .grounds import docker, ground, only, put, said

VERSION = {"Version": "28.2.2", "ApiVersion": "1.50", "Components": []}
INFO = {
    "Driver": "overlay2",
    "LiveRestoreEnabled": True,
    "CgroupVersion": "2",
    "MemoryLimit": True,
    "CpuCfsQuota": True,
    "PidsLimit": True,
    "DockerRootDir": "/var/lib/docker",
    "Warnings": None,
    "Plugins": {"Authorization": None},
}


def checked(home: Path, version: dict[str, Any] | None = None, **info: Any) -> list[Any]:
    answers = docker(version={**VERSION, **(version or {})}, info={**INFO, **info})
    return list(check_docker(ground(home, ask_docker=answers)))


def test_a_daemon_set_up_well_gets_nothing_but_ok(tmp_path: Path):
    found = checked(tmp_path)
    assert {one.severity for one in found} == {Severity.OK}
    assert found[0].text == "Docker 28.2.2 answers, API 1.50"


@pytest.mark.parametrize(
    ("reason", "fix"),
    [
        ("there is no unix:///var/run/docker.sock", "install it (`apt-get install docker.io`)"),
        ("this user may not use unix:///var/run/docker.sock", "group docker"),
    ],
)
def test_a_daemon_that_does_not_answer_is_an_error_with_its_reason(
    tmp_path: Path, reason: str, fix: str
):
    found = only(check_docker(ground(tmp_path, ask_docker=lambda _path: reason)))
    assert (found.severity, found.text) == (Severity.ERROR, f"Docker does not answer: {reason}")
    assert fix in found.fix


def test_who_uses_another_engine_is_only_told_that_docker_is_absent(tmp_path: Path):
    made = ground(
        tmp_path, settings={"engine": "process"}, ask_docker=lambda _path: "there is no x"
    )
    assert only(check_docker(made)).severity is Severity.NOTE


def test_a_daemon_too_old_is_an_error(tmp_path: Path):
    found = checked(tmp_path, {"Version": "1.12", "ApiVersion": "1.24"})
    assert said(found, Severity.ERROR) == ["Docker 1.12 speaks API 1.24, and portway needs 1.30"]


def test_the_hole_in_authorization_plugins_counts_only_where_there_is_one(tmp_path: Path):
    old = {"Version": "27.1.0"}
    assert said(checked(tmp_path, old), Severity.WARNING) == []
    found = said(checked(tmp_path, old, Plugins={"Authorization": ["opa"]}), Severity.WARNING)
    assert found == [
        "Docker 27.1.0 is in the range of CVE-2024-41110: "
        "a request without a body gets past an authorization plugin"
    ]


def test_a_hole_in_what_a_distribution_built_is_a_note(tmp_path: Path):
    runc = {"Components": [{"Name": "runc", "Version": "1.1.5+ds1"}]}
    assert "CVE-2024-21626" in said(checked(tmp_path, runc), Severity.NOTE)[0]
    runc = {"Components": [{"Name": "runc", "Version": "1.1.5"}]}
    assert "CVE-2024-21626" in said(checked(tmp_path, runc), Severity.WARNING)[0]


def test_slow_storage_is_a_warning(tmp_path: Path):
    assert said(checked(tmp_path, Driver="vfs"), Severity.WARNING) == [
        "Docker stores images with vfs, which is slow and takes much room"
    ]


def test_containers_that_stop_with_the_daemon_are_a_note(tmp_path: Path):
    assert said(checked(tmp_path, LiveRestoreEnabled=False), Severity.NOTE) == [
        "live-restore is off: when dockerd restarts, every container stops with it"
    ]


def test_limits_that_hold_nobody_are_a_warning(tmp_path: Path):
    found = checked(tmp_path, MemoryLimit=False, PidsLimit=False, CgroupVersion="1")
    assert said(found, Severity.WARNING) == [
        "limits of memory and process count cannot be enforced here (control groups, version 1)"
    ]


def test_its_settings_that_cut_published_ports_off_are_told(tmp_path: Path):
    put(tmp_path, etc__docker__daemon="")
    (tmp_path / "etc/docker/daemon.json").write_text('{"userland-proxy": false, "iptables": false}')
    found = checked(tmp_path)
    assert said(found, Severity.NOTE)[0].startswith("docker-proxy is off")
    assert said(found, Severity.WARNING)[0].startswith("Docker writes no firewall rules")


def test_what_docker_itself_warns_of_is_passed_on(tmp_path: Path):
    found = checked(tmp_path, Warnings=["WARNING: No swap limit support"])
    assert said(found, Severity.NOTE) == ["Docker warns: No swap limit support"]
