"""The little that the records know of themselves."""

from __future__ import annotations

import pytest

from portway.core.app import ListenerProtocol, ListenerSpec, PortSpec
from portway.core.facts import AppFacts, CertificateFacts, ListenerFacts
from portway.core.routes import RouteKey
from portway.core.state import AppState


@pytest.mark.parametrize(
    ("protocol", "certificates", "expected"),
    [
        ("auto", 0, False),
        ("auto", 1, True),
        ("https", 0, True),
        ("tls", 0, True),
        ("tcp", 0, False),
    ],
)
def test_tls_ends_at_a_listener_that_says_so_or_has_a_certificate(
    protocol: str, certificates: int, expected: bool
):
    listener = ListenerSpec(protocol=ListenerProtocol(protocol))
    facts = ListenerFacts(
        key=RouteKey(address="", service_port=1),
        spec=PortSpec(name="80", container_port=80, listener=listener),
        where="",
        url="",
        certificates=(CertificateFacts(domains=(), expires_at_ms=1),) * certificates,
    )
    assert facts.terminates_tls is expected


def test_an_app_is_called_by_the_two_halves_of_its_id():
    facts = AppFacts(subject="web", state=AppState(app_id="shop/web", target=None), now_ms=1)
    assert (facts.stack, facts.name) == ("shop", "web")
