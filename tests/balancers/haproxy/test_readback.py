"""What HAProxy says, parsed; a reply that is something else is an error, never an empty table."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from portway.balancers.haproxy.readback import (
    ServerKey,
    parse_certificate_list,
    parse_info,
    parse_map,
    parse_servers,
    parse_sessions,
    parse_statistics,
    parse_workers,
)
from portway.core.traffic import Traffic

SERVERS = """1
# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_fqdn srv_port
5 b.http 1 web-1 127.0.0.1 2 0 100 - 28201
5 b.http 2 web-2 fd00::1 0 1 0 - 80
"""


def test_servers_carry_address_weight_and_maintenance() -> None:
    servers = parse_servers(SERVERS)
    first = servers[ServerKey(backend="b.http", server="web-1")]
    second = servers[ServerKey(backend="b.http", server="web-2")]
    assert (first.address, first.weight, first.maintenance) == ("127.0.0.1:28201", 100, False)
    assert (second.address, second.weight, second.maintenance) == ("[fd00::1]:80", 0, True)


def test_statistics_count_open_and_queued_connections() -> None:
    text = (
        "# pxname,svname,qcur,scur,stot,econ,eresp,mode,req_tot,dreq,ereq,hrsp_5xx,\n"
        "f,FRONTEND,,1,9,,,tcp,,4,6,,\n"
        "b.http,web-1,2,3,0,0,0,http,,,,,\n"
        "b.http,BACKEND,0,3,9,1,2,http,7,1,,5,\n"
        "b.tcp,BACKEND,0,3,5,1,0,tcp,,,,,\n"
    )
    read = parse_statistics(text)
    assert read.frontends == {"f"}
    assert read.connections == {ServerKey(backend="b.http", server="web-1"): 5}
    assert read.traffic == {
        "f": Traffic(denied=4, malformed=6),
        "b.http": Traffic(requests=7, not_connected=1, broken_off=2, errors_5xx=5, denied=1),
        "b.tcp": Traffic(requests=5, not_connected=1),
    }


def test_requests_of_a_server_are_its_answers_and_those_it_never_answered() -> None:
    text = (
        "# pxname,svname,qcur,scur,stot,econ,eresp,wretr,wredis,mode,hrsp_2xx,hrsp_4xx,hrsp_5xx,\n"
        "b.http,web-1,0,0,30,1,2,4,3,http,10,5,4,\n"
        "b.tcp,web-1,0,0,9,1,0,0,0,tcp,,,,\n"
        "b.tcp,web-2,0,0,0,0,0,0,0,tcp,,,,\n"
    )
    assert parse_statistics(text).traffic == {
        "b.http/web-1": Traffic(
            requests=25, not_connected=1, broken_off=2, errors_5xx=4, retried=4, redispatched=3
        ),
        "b.tcp/web-1": Traffic(requests=9, not_connected=1),
    }


def test_old_workers_come_oldest_first() -> None:
    text = (
        "#<PID> <type> <reloads> <uptime> <version>\n10 master 3 0d00h01m 2.6\n# workers\n"
        "40 worker 0 0d00h00m 2.6\n# old workers\n30 worker 1 0d 2.6\n20 worker 2 0d 2.6\n# programs\n"
    )
    assert parse_workers(text) == ((40,), (20, 30))


@pytest.mark.parametrize("parse", [parse_servers, parse_statistics, parse_info, parse_workers])
@pytest.mark.parametrize("text", ["", "Unknown command", "Permission denied\n"])
def test_anything_else_is_an_error_not_an_empty_table(parse: object, text: str) -> None:
    assert callable(parse)
    with pytest.raises(ValueError, match="not "):
        parse(text)


def test_info_names_the_worker_and_what_it_loaded() -> None:
    read = parse_info("Name: HAProxy\nVersion: 2.6.12\nPid: 7\ndescription: portway-ab\n")
    assert (read.process_id, read.version, read.description) == (7, "2.6.12", "portway-ab")


def test_maps_lists_and_sessions_are_read() -> None:
    key = ServerKey(backend="b", server="s")
    assert parse_map("0x56 k v\n\n") == {"k": "v"}
    listed = "# lists/a.list\ncertificates/a.pem:1\ncertificates/b.pem:2 x.test\n"
    assert parse_certificate_list(listed) == {"certificates/a.pem", "certificates/b.pem"}
    sessions = "0x1: proto=tcp be=b srv=s age=0s\n0x2: be=b srv=s2\n0x3: be=b2 srv=s\n"
    assert parse_sessions(sessions, key) == ("0x1",)


STATISTICS = (
    "# pxname,svname,qcur,scur,stot,econ,eresp,wretr,wredis,mode,hrsp_2xx,hrsp_4xx,hrsp_5xx,\n"
    "b.http,web-1,0,0,30,1,2,4,3,http,10,5,4,\n"
)


@pytest.mark.parametrize(("text", "parse"), [(SERVERS, parse_servers), (STATISTICS, parse_statistics)])  # fmt: skip
def test_a_table_that_ends_anywhere_is_read_or_refused_as_no_table(
    text: str, parse: Callable[[str], object]
) -> None:
    """As of an old worker that ends while it answers."""
    for end in range(len(text)):
        with suppress(ValueError):
            parse(text[:end])
    with pytest.raises(ValueError, match="cut off"):
        parse(text.rstrip()[:-20])
