"""Every refusal of a port is a sentence that says which, who and what to do."""

from __future__ import annotations

import pytest

from portway.core import port_words
from portway.core.port_words import PortKind

HOST, LISTENER = PortKind.HOST, PortKind.LISTENER
WHERE = "host port 8080 on node local"


@pytest.mark.parametrize(
    ("kind", "protocol", "said"),
    [
        (HOST, "tcp", "host port 8080 on node local"),
        (HOST, "udp", "host port 8080/udp on node local"),
        (LISTENER, "tcp", "listener port 8080"),
    ],
)
def test_a_port_is_named_with_its_kind_and_where_it_is(kind: PortKind, protocol: str, said: str):
    assert port_words.place(kind, node="local", protocol=protocol, number=8080) == said


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        (port_words.reserved(HOST, WHERE), ("portway itself", "choose another host port")),
        (port_words.leased(HOST, WHERE, "a/b.1.2"), ("a/b.1.2", "stop that instance")),
        (port_words.leased(LISTENER, WHERE, "a/b"), ("a/b", "one of the two")),
        (port_words.asked_twice(HOST, WHERE, "x", "y"), ("both x and y", "one of them")),
        (port_words.planned(HOST, WHERE), ("same plan", "leave the host port open")),
        (port_words.planned(LISTENER, WHERE), ("same plan", "choose another listener port")),
        (port_words.cooling(WHERE, "a/b", left_ms=4200), ("by a/b", "4.2 s", "after that")),
        (port_words.foreign(HOST, WHERE, "nginx (pid 8)"), ("nginx (pid 8)", "stop that program")),
    ],
)
def test_a_refusal_says_which_port_who_has_it_and_what_to_do(sentence: str, words: tuple[str, ...]):
    assert sentence.startswith(WHERE)
    for word in words:
        assert word in sentence


def test_an_exhausted_range_says_what_became_of_it_which_option_widens_it_and_when_one_is_free():
    counts = {"leased": 3, "cooling down": 2, "held by other programs": 0}
    said = port_words.exhausted(
        HOST, node="local", span="31000-31004 (5 ports)", counts=counts, next_free_ms=800
    )
    assert "3 leased, 2 cooling down;" in said
    assert "held by other programs" not in said
    assert "--host-ports" in said
    assert "wait 0.8 s" in said
    assert LISTENER.option == "--service-ports"


@pytest.mark.parametrize(
    ("duration_ms", "said"), [(0, "0.1 s"), (140, "0.1 s"), (9_940, "9.9 s"), (12_400, "12 s")]
)
def test_a_wait_is_never_said_to_be_nothing(duration_ms: int, said: str):
    assert port_words.seconds(duration_ms) == said
