"""Where a server may be told to listen."""

from __future__ import annotations

import pytest

from portway.core.listen_address import is_host, is_loopback, split_listen


def test_a_listen_address_is_split_at_its_last_colon_without_brackets():
    assert split_listen("127.0.0.1:80") == ("127.0.0.1", "80")
    assert split_listen("[::1]:8080") == ("::1", "8080")


@pytest.mark.parametrize(
    ("host", "bracketed", "is_one"),
    [("", False, True), ("", True, False), ("::1", True, True), ("::1", False, False), ("a.b", False, True), ("a b", False, False), ("10.0.0.1", True, False)],
)  # fmt: skip
def test_brackets_are_for_ipv6_alone(host, bracketed, is_one):
    assert is_host(host, bracketed=bracketed) is is_one


def test_loopback_is_what_only_this_machine_reaches():
    assert all(map(is_loopback, ("127.0.0.9", "::1", "localhost", "::ffff:127.0.0.1")))
    assert not any(map(is_loopback, ("0.0.0.0", "example.com", "")))
