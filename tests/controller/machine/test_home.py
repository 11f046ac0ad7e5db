"""What the checks say of the home, the disk, the store, the server and the ports of the settings."""

from __future__ import annotations

import os
import socket
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from portway.controller.machine.base import Room, ServerFacts, Severity
from portway.controller.machine.home import check_home, check_ports, check_server, disk_findings
from portway.core.ports import PortRange

from .grounds import PLENTY, ground, only, put, said

ME = os.geteuid()


@pytest.mark.parametrize(
    ("room", "severity", "text"),
    [
        (replace(PLENTY, free_bytes=10 * 2**20), Severity.ERROR, "has 10 MB left"),
        (replace(PLENTY, free_bytes=500 * 2**20), Severity.WARNING, "has 500 MB left"),
        (replace(PLENTY, free_inodes=7), Severity.ERROR, "has only 7 inodes left"),
        (PLENTY, Severity.OK, "has 102400 MB left of 204800 MB"),
        (replace(PLENTY, free_inodes=0, total_inodes=0), Severity.OK, "MB left"),
    ],
)
def test_a_disk_that_fills_up_is_told_before_it_is_full(
    tmp_path: Path, room: Room, severity: Severity, text: str
):
    made = ground(tmp_path, room=lambda _path: room)
    found = only(disk_findings(made, "disk", "the home", tmp_path))
    assert found.severity is severity
    assert text in found.text


def test_a_home_that_others_may_read_is_a_warning_with_the_command(tmp_path: Path):
    tmp_path.chmod(0o755)
    found = list(check_home(ground(tmp_path, user_id=ME)))
    assert [f.fix for f in found if f.severity is Severity.WARNING] == [f"chmod 700 {tmp_path}"]
    tmp_path.chmod(0o700)
    assert said(check_home(ground(tmp_path, user_id=ME)), Severity.WARNING) == []


def test_a_home_of_another_user_is_an_error(tmp_path: Path):
    found = said(check_home(ground(tmp_path, user_id=ME + 1)), Severity.ERROR)
    assert found == [f"the home {tmp_path} belongs to another user (uid {ME})"]


def test_a_home_that_is_not_there_yet_is_made_by_the_first_server(tmp_path: Path):
    found = list(check_home(ground(tmp_path / "new", user_id=ME)))
    assert found[-1].text.endswith("is made by the first server")


def test_a_damaged_database_is_an_error_and_a_whole_one_is_not(tmp_path: Path):
    path = tmp_path / "portway.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    assert said(check_home(ground(tmp_path, user_id=ME)), Severity.ERROR) == []
    path.write_bytes(b"not a database at all, but long enough to be looked at as one" * 20)
    found = said(check_home(ground(tmp_path, user_id=ME)), Severity.ERROR)
    assert found[0].startswith(f"the database {path} is damaged: ")


def test_a_server_of_another_version_is_a_warning(tmp_path: Path):
    server = ServerFacts(version="1.0", pid=7)
    same = only(check_server(ground(tmp_path, server=server, client_version="1.0")))
    assert (same.severity, same.text) == (Severity.OK, "the server runs (process 7, version 1.0)")
    other = only(check_server(ground(tmp_path, server=server, client_version="1.1")))
    assert (other.severity, other.text) == (
        Severity.WARNING,
        "the server is 1.0 and this command is 1.1",
    )


def test_what_ails_the_server_is_an_error_each_with_its_fix(tmp_path: Path):
    server = ServerFacts(version="1", problems=("store: the disk is full.\n  Make room.",))
    found = list(check_server(ground(tmp_path, server=server)))
    assert found[-1].text == "the server has a problem: store: the disk is full"
    assert found[-1].fix == "Make room."


def test_a_range_that_overlaps_is_one_warning_though_the_server_tells_it_too(tmp_path: Path):
    put(tmp_path, proc__sys__net__ipv4__ip_local_port_range="32768 60999")
    settings = {"host_ports": PortRange(first=40000, last=40099)}
    said_here = only(
        f for f in check_ports(ground(tmp_path, settings=settings)) if f.severity is not Severity.OK
    )
    told = f"{said_here.text}. C{said_here.fix[1:]}"
    server = ServerFacts(version="1", problems=(f"host ports: {told}",))
    same = ground(tmp_path, settings=settings, server=server)
    assert [f.severity for f in check_server(same)] == [Severity.OK]
    # Of another range than this command's only the server can tell.
    other = list(check_server(ground(tmp_path, server=server)))[-1]
    assert (other.severity, other.text.partition(" overlaps")[0]) == (
        Severity.WARNING,
        "the server may have a problem: host ports: --host-ports 40000-40099",
    )


def test_no_server_is_only_a_note(tmp_path: Path):
    assert only(check_server(ground(tmp_path))).severity is Severity.NOTE


def test_a_range_inside_that_of_outgoing_connections_is_a_warning_with_the_sysctl(tmp_path: Path):
    put(tmp_path, proc__sys__net__ipv4__ip_local_port_range="32768\t60999\n")
    settings = {"host_ports": PortRange(first=40000, last=40099)}
    found = [
        f for f in check_ports(ground(tmp_path, settings=settings)) if f.severity is not Severity.OK
    ]
    assert only(found).severity is Severity.WARNING
    assert only(found).text.startswith("--host-ports 40000-40099 overlaps 32768-60999")
    assert "sysctl -w net.ipv4.ip_local_reserved_ports=40000-40099" in only(found).fix


def test_reserved_ports_are_clear_of_outgoing_connections(tmp_path: Path):
    put(
        tmp_path,
        proc__sys__net__ipv4__ip_local_port_range="32768 60999",
        proc__sys__net__ipv4__ip_local_reserved_ports="40000-40099",
    )
    settings = {"host_ports": PortRange(first=40000, last=40099)}
    assert said(check_ports(ground(tmp_path, settings=settings)), Severity.WARNING) == []


def test_a_taken_port_of_the_api_is_an_error_that_names_it(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        found = said(check_ports(ground(tmp_path, settings={"listen": listen})), Severity.ERROR)
    assert found[0].startswith(f"the HTTP API cannot listen on {listen}: ")
    assert said(check_ports(ground(tmp_path, settings={"listen": listen})), Severity.ERROR) == []
