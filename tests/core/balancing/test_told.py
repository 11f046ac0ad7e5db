"""Rules of load balancers in a few words."""

from __future__ import annotations

import pytest

from portway.core.balancing.told import action_text, conditions_text, listener_url
from portway.core.rules import Condition, Forward, Part, Redirect, Respond


def test_conditions_are_told_by_what_they_look_at_and_few_of_their_values() -> None:
    conditions = (
        Condition(part=Part.HOST, values=("a.test", "b.test")),
        Condition(part=Part.PATH, values=tuple("/abcde")),
        Condition(part=Part.HEADER, name="X-A", values=("1",)),
        Condition(part=Part.QUERY, pairs=(("v", "2"), ("", "x"))),
        Condition(part=Part.PATH, values=("^/v[0-9]",), is_regex=True),
    )
    assert conditions_text(conditions) == (
        "host a.test or b.test, path / or a or b or 3 more, header X-A 1, query v=2 or x, path ~ ^/v[0-9]"
    )
    assert conditions_text(()) == ""


def test_what_is_done_besides_forwarding_is_told() -> None:
    assert action_text(Forward(pools=(("a", 1),))) == ""
    assert action_text(Forward(pools=(("a", 0),))) == "answers 503: all weights are 0"
    assert action_text(Respond(status=404)) == "answers 404 itself"
    said = action_text(Redirect(status=301, protocol="https", port_text="443", query="a=1"))
    assert said == "redirects with 301 to https://#{host}:443/#{path}?a=1"


@pytest.mark.parametrize(
    ("protocol", "number", "url"),
    [
        ("HTTP", 80, "http://a/"),
        ("HTTPS", 8443, "https://a:8443/"),
        ("TCP", 80, "tcp://a:80"),
        ("TLS", 443, "tls://a:443"),
        ("SSL", 443, "tls://a:443"),
    ],
)
def test_a_listener_is_written_as_clients_write_it(protocol: str, number: int, url: str) -> None:
    assert listener_url("a", protocol, number) == url
