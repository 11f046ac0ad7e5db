"""What the checks say of HAProxy, from what `haproxy -vv` prints."""

from __future__ import annotations

from pathlib import Path

from portway.controller.machine.base import Finding, Severity
from portway.controller.machine.haproxy import check_file_limit, check_haproxy

from .grounds import ground, only, programs, said

SAID = """HAProxy version {version} 2026/10/17 - https://haproxy.org/
Feature list : +EPOLL {openssl}OPENSSL {quic}QUIC +SYSTEMD
Running on OpenSSL version : OpenSSL 3.0.19 27 Jan 2026
"""


def checked(
    home: Path, version: str = "3.0.1", *, openssl: str = "+", quic: str = "-"
) -> list[Finding]:
    text = SAID.format(version=version, openssl=openssl, quic=quic)
    return list(check_haproxy(ground(home, run=programs({"haproxy": text}))))


def test_a_new_one_with_tls_gets_nothing_but_ok(tmp_path: Path):
    assert said(checked(tmp_path), Severity.OK) == [
        "HAProxy 3.0.1 is installed",
        "it has TLS (OpenSSL 3.0.19 27 Jan 2026)",
    ]


def test_its_absence_is_an_error_with_the_command_that_installs_it(tmp_path: Path):
    found = only(check_haproxy(ground(tmp_path)))
    assert found.text == "HAProxy is not installed: there is no program haproxy"
    assert "apt-get install haproxy" in found.fix


def test_one_too_old_is_an_error(tmp_path: Path):
    assert said(checked(tmp_path, "2.2.34"), Severity.ERROR) == [
        "HAProxy 2.2.34 is too old: portway needs 2.4 or newer"
    ]


def test_one_without_tls_is_an_error(tmp_path: Path):
    assert said(checked(tmp_path, openssl="-"), Severity.ERROR)[0].startswith(
        "this HAProxy is built without OpenSSL"
    )


def test_a_hole_in_quic_counts_only_where_quic_is_built_in(tmp_path: Path):
    assert said(checked(tmp_path, "2.6.24"), Severity.WARNING) == []
    found = said(checked(tmp_path, "2.6.24", quic="+"), Severity.WARNING)
    assert found == [
        "HAProxy 2.6.24 is in the range of CVE-2026-33555: "
        "a request over HTTP/3 can be smuggled behind a lone FIN"
    ]


def test_what_a_distribution_may_have_mended_is_a_note(tmp_path: Path):
    assert "CVE-2023-40225" in said(checked(tmp_path, "2.6.12-1+deb12u4"), Severity.NOTE)[0]


def test_a_program_that_is_no_haproxy_is_an_error(tmp_path: Path):
    found = only(check_haproxy(ground(tmp_path, run=programs({"haproxy": "usage: what?"}))))
    assert found.severity is Severity.ERROR
    assert "does not say which HAProxy it is" in found.text


def test_a_low_limit_of_open_files_is_a_warning_that_says_what_it_means(tmp_path: Path):
    assert only(check_file_limit(ground(tmp_path))).severity is Severity.OK
    found = only(check_file_limit(ground(tmp_path, file_limit=1024)))
    assert found.severity is Severity.WARNING
    assert found.text == "the limit of 1024 open files allows HAProxy 384 connections at once"
