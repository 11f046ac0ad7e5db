"""Log lines: what they say, and that no client can make them say something else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portway.balancers.haproxy.request_lines import failure_of, parse_request
from portway.core.request import ServedRequest

OWNERS = {"shop-web-80-ab": "shop/web"}
INSTANCES = {"shop-web-1-7-cd": "shop/web.1.7"}
HTTP = (
    "pw1 shop-web-80-ab shop-web-80-ab.http shop-web-1-7-cd 200 -- 0 1 52 120 340 0 10.1.2.3 "
    "1700000000050000 1700000000040500 id-1 1700000000000000 GET %2Fa%20b"
)
TCP = (
    "pw1 shop-web-80-ab shop-web-80-ab.tcp shop-web-1-7-cd 0 -- 0 1 5200 120 340 0 ::1 "
    "1700000000050000 - - -"
)


def parsed(line: str | bytes) -> ServedRequest | None:
    data = line.encode() if isinstance(line, str) else line
    return parse_request(data, lambda n: OWNERS.get(n, ""), lambda n: INSTANCES.get(n, ""))


def test_an_http_request_is_read_whole() -> None:
    assert parsed(HTTP) == ServedRequest(
        owner="shop/web",
        at_ms=1_700_000_000_050,
        instance_id="shop/web.1.7",
        client="10.1.2.3",
        request_id="id-1",
        method="GET",
        path="/a b",
        status=200,
        bytes_in=120,
        bytes_out=340,
        queue_ms=0,
        connect_ms=1,
        response_ms=40.5,
        total_ms=50.0,
    )


def test_a_tcp_connection_has_no_request_in_it() -> None:
    request = parsed(TCP)
    assert request is not None
    assert not request.is_http
    assert not request.is_timed
    assert (request.path, request.status, request.total_ms) == ("", 0, 5200)


def test_a_line_of_a_listener_nobody_owns_is_none() -> None:
    assert parsed(HTTP.replace("shop-web-80-ab ", "other ")) is None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"Proxy shop-web stopped (cumulated conns: FE: 2, BE: 0).",
        b"pw1",
        b"pw1 shop-web-80-ab " + b"x " * 30,
        HTTP.replace(" 200 ", " two ").encode(),
        b"\xff\xfe" * 900,
    ],
)
def test_garbage_is_none(line: bytes) -> None:
    assert parsed(line) is None


@given(st.binary(max_size=300))
def test_no_bytes_break_it(data: bytes) -> None:
    parsed(data)
    parsed(b"pw1 shop-web-80-ab " + data)


@given(st.text(max_size=60))
def test_whatever_the_path_is_the_other_fields_stay(path: str) -> None:
    from urllib.parse import quote

    request = parsed(HTTP.replace("%2Fa%20b", quote(path.encode(errors="replace"), safe="")))
    assert request is not None
    assert (request.status, request.client, request.request_id) == (200, "10.1.2.3", "id-1")


def test_a_line_cut_short_in_its_path_still_counts() -> None:
    request = parsed(HTTP[:-2])
    assert request is not None
    assert request.path.startswith("/a")


@pytest.mark.parametrize(
    ("status", "ending", "is_reached", "is_http", "failure"),
    [
        (200, "--", True, True, ""),
        (404, "--", True, True, ""),
        (500, "--", True, True, "the app answered 500"),
        (503, "SC", True, True, "the instance could not be connected to (refused or reset)"),
        (503, "SC", False, True, "no instance was ready"),
        (504, "sC", True, True, "connecting to the instance timed out"),
        (502, "SH", True, True, "the instance closed the connection before it answered"),
        (504, "sH", True, True, "the instance did not answer in time"),
        (200, "SD", True, True, "the instance broke its answer off"),
        (502, "PH", True, True, "the instance's answer was not valid HTTP"),
        (400, "PR", False, True, ""),
        (-1, "CD", True, True, ""),
        (101, "SD", True, True, ""),
        (0, "SD", True, False, "the instance reset the connection"),
        (0, "sD", True, False, ""),
        (500, "IC", True, True, "the balancer had no room for it or failed itself"),
    ],
)
def test_each_failure_has_its_reason(
    status: int, ending: str, is_reached: bool, is_http: bool, failure: str
) -> None:
    assert failure_of(status, ending, is_reached=is_reached, is_http=is_http) == failure


@pytest.mark.parametrize("ending", ["KD", "DD", "UD"])
def test_what_was_cut_off_says_so_even_in_a_tunnel(ending: str) -> None:
    assert "cut off" in failure_of(101, ending, is_reached=True, is_http=True)
