"""What listens inside an instance, put beside where its traffic is sent: one sentence a mistake."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import Protocol
from portway.core.facts import Answer, Inside, Listening, Reached, Verdict
from portway.core.inside import explain, inside_hops

REFUSED = Answer(reached=Reached.REFUSED)
CONTAINER = Inside(
    name="web",
    address="172.18.0.2",
    port_number=80,
    label_number=8000,
    is_container=True,
    listeners=(),
    answer=REFUSED,
)
PROCESS = Inside(
    name="web", address="127.0.0.1", port_number=31004, is_container=False, answer=REFUSED
)


def listening(*where: str, protocol: Protocol = Protocol.TCP) -> tuple[Listening, ...]:
    pairs = (one.rpartition(":") for one in where)
    return tuple(
        Listening(address=address.strip("[]"), port_number=int(number), protocol=protocol)
        for address, _, number in pairs
    )


def inside(*where: str, **changes: object) -> Inside:
    return replace(CONTAINER, **{"listeners": listening(*where), **changes})  # type: ignore[arg-type]


CONNECTED = Answer(reached=Reached.CONNECTED)


@pytest.mark.parametrize("where", ["0.0.0.0:80", "[::]:80", "172.18.0.2:80"])
def test_what_listens_where_it_should_needs_no_explanation(where: str):
    assert explain(inside(where, answer=CONNECTED)) == ""


def test_a_container_that_listens_only_on_its_loopback_is_told_so():
    assert explain(inside("127.0.0.1:80")) == (
        "web listens on 127.0.0.1:80 inside its container; make it listen on 0.0.0.0:80, "
        "for 127.0.0.1 is its own and nobody else's"
    )


def test_a_container_that_listens_on_another_port_is_told_which():
    assert explain(inside("[::]:9090")) == (
        "web listens on [::]:9090 inside its container; make it listen on 0.0.0.0:80, "
        "or map 9090 (the right number of its port in the manifest)"
    )


def test_another_port_on_the_loopback_needs_both_mended():
    said = explain(inside("127.0.0.1:9090"))
    assert said.startswith("web listens on 127.0.0.1:9090 inside its container; ")
    assert "or map 9090" in said
    assert said.endswith("and make it listen there on 0.0.0.0")


def test_a_port_others_reach_is_proposed_before_one_on_the_loopback():
    assert "map 9090" in explain(inside("127.0.0.1:1234", "0.0.0.0:9090"))


def test_a_container_that_listens_nowhere_is_told_where_to():
    assert explain(inside()) == (
        "web listens on no TCP port inside its container; make it listen on 0.0.0.0:80"
    )


def test_a_container_that_obeys_port_is_told_that_it_is_the_hosts():
    assert explain(inside("127.0.0.1:31004", host_ports=(31004,))) == (
        "web listens on 127.0.0.1:31004 inside its container; that is its port on the host, which "
        "$PORT and $HOST tell it; set PORT: 80 and HOST: 0.0.0.0 in its environment"
    )


def test_one_that_refuses_ipv4_though_it_listens_everywhere_listens_on_ipv6_only():
    assert explain(inside("[::]:80")) == (
        "web listens on IPv6 only ([::]:80) inside its container; "
        "make it listen on 0.0.0.0:80 too; traffic comes by IPv4"
    )


def test_udp_is_not_tcp():
    udp = listening("0.0.0.0:80", protocol=Protocol.UDP)
    assert explain(inside(listeners=udp)) == (
        "web listens on UDP 80 inside its container and on no TCP port; make it listen on TCP "
        '0.0.0.0:80, or map the port as UDP ("80:80/udp" in `ports`)'
    )


def test_tls_where_plain_http_is_asked_is_named():
    answer = Answer(reached=Reached.CONNECTED, speaks="https", status=200)
    said = explain(inside("0.0.0.0:80", answer=answer, expects="http"))
    assert said.startswith(
        "web speaks TLS on 80 inside its container, and it is asked in plain HTTP; "
        'set the label portway.port.8000.secure: "true"'
    )


def test_plain_http_where_tls_is_asked_is_named():
    answer = Answer(reached=Reached.CONNECTED, speaks="http", status=200)
    said = explain(inside("0.0.0.0:80", answer=answer, expects="https"))
    assert said.startswith(
        "web speaks no TLS on 80 inside its container, and it is asked in TLS; "
        "remove the label portway.port.8000.secure"
    )


def test_tls_that_is_only_passed_on_is_nobodys_fault():
    answer = Answer(reached=Reached.CONNECTED, speaks="https", status=200)
    assert explain(inside("0.0.0.0:80", answer=answer, expects="")) == ""


def test_a_rule_of_the_firewall_that_drops_its_traffic_is_named_with_its_removal():
    rule = "-A OUTPUT -d 172.18.0.2/32 -p tcp -j DROP"
    silent = Answer(reached=Reached.TIMEOUT)
    assert explain(inside("0.0.0.0:80", answer=silent, rule=rule)) == (
        f'the firewall of this machine drops what is sent to web at 172.18.0.2:80: "{rule}"; '
        "delete that rule: iptables -D OUTPUT -d 172.18.0.2/32 -p tcp -j DROP"
    )


def test_silence_without_a_rule_says_where_to_look():
    said = explain(inside("0.0.0.0:80", answer=Answer(reached=Reached.TIMEOUT)))
    assert said.startswith(
        "what is sent to web at 172.18.0.2:80 gets no answer: something on the way drops it; "
    )


def test_a_frozen_process_is_named_before_everything_else():
    said = explain(inside("0.0.0.0:80", answer=CONNECTED, is_frozen=True))
    assert said.startswith("web is frozen: its process is stopped, so it answers nobody; ")


def test_a_process_is_reminded_of_its_port_variable():
    here = replace(PROCESS, listeners=listening("0.0.0.0:9090"))
    assert explain(here) == "web listens on 0.0.0.0:9090; make it listen on $PORT (31004 here)"


def test_a_process_may_listen_on_the_loopback():
    assert explain(replace(PROCESS, listeners=listening("127.0.0.1:31004"), answer=None)) == ""


def test_what_cannot_be_seen_is_unknown_and_not_guessed():
    hidden = replace(CONTAINER, listeners=None)
    path, within = inside_hops(hidden)
    assert (path.verdict, within.verdict) == (Verdict.HELD, Verdict.UNKNOWN)
    assert explain(hidden) == ""
