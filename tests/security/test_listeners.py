"""A port that is known to speak HTTP takes nothing else, so no client talks past the rules by waiting first."""

from __future__ import annotations

import pytest

from portway.core.app import (
    App,
    CheckKind,
    HealthCheck,
    ListenerProtocol,
    ListenerSpec,
    PortSpec,
    Protocol,
)
from portway.core.routing import listener_of

UDP = PortSpec(name="dns", container_port=53, protocol=Protocol.UDP)
WEB = PortSpec(name="web", container_port=80)
RAW = PortSpec(name="raw", container_port=9000)
TLS = PortSpec(
    name="web", container_port=80, listener=ListenerSpec(protocol=ListenerProtocol.HTTPS)
)


@pytest.mark.parametrize(
    ("health", "spec", "protocol"),
    [
        (HealthCheck(kind=CheckKind.HTTP), WEB, ListenerProtocol.HTTP),
        (HealthCheck(kind=CheckKind.HTTP), RAW, ListenerProtocol.AUTO),
        (HealthCheck(kind=CheckKind.HTTP, port_name="raw"), RAW, ListenerProtocol.HTTP),
        (HealthCheck(kind=CheckKind.HTTP, port_name="raw"), WEB, ListenerProtocol.AUTO),
        (HealthCheck(kind=CheckKind.HTTPS), WEB, ListenerProtocol.AUTO),
        (HealthCheck(kind=CheckKind.TCP), WEB, ListenerProtocol.AUTO),
        (HealthCheck(kind=CheckKind.COMMAND, command=("true",)), WEB, ListenerProtocol.AUTO),
        (HealthCheck(kind=CheckKind.HTTP), TLS, ListenerProtocol.HTTPS),
    ],
)
def test_a_port_whose_health_is_asked_for_by_http_speaks_http(
    health: HealthCheck, spec: PortSpec, protocol: ListenerProtocol
) -> None:
    app = App(id="shop/web", ports=(UDP, WEB, RAW), health=health)
    assert listener_of(app, spec).protocol is protocol
