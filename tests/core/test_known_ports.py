"""What a port's number says of its protocol."""

from __future__ import annotations

import pytest

from portway.core.app import ListenerProtocol, ListenerSpec, PortSpec
from portway.core.known_ports import SERVER_FIRST, WEB, with_what_is_known

AUTO, TCP = ListenerProtocol.AUTO, ListenerProtocol.TCP


@pytest.mark.parametrize(
    ("container_port", "service_ports", "protocol", "expects_http"),
    [
        (80, (), AUTO, True),
        (8080, (9999,), AUTO, True),
        (7777, (80,), AUTO, True),
        (7777, (7777, 443), AUTO, True),
        (7777, (), AUTO, False),
        (6379, (6379,), AUTO, False),
        (3306, (), TCP, False),
        (3306, (80,), TCP, False),
        (25, (2525,), TCP, False),
    ],
)
def test_the_numbers_say_whether_to_wait_for_the_client(
    container_port: int,
    service_ports: tuple[int, ...],
    protocol: ListenerProtocol,
    expects_http: bool,
) -> None:
    spec = PortSpec(name="one", container_port=container_port, service_ports=service_ports)
    known = with_what_is_known(spec)
    assert (known.protocol, known.expects_http) == (protocol, expects_http)


@pytest.mark.parametrize("protocol", [p for p in ListenerProtocol if p is not AUTO])
@pytest.mark.parametrize("container_port", [80, 3306])
def test_what_the_manifest_says_is_believed(
    protocol: ListenerProtocol, container_port: int
) -> None:
    listener = ListenerSpec(protocol=protocol)
    spec = PortSpec(name="one", container_port=container_port, listener=listener)
    assert with_what_is_known(spec) is listener


def test_no_number_is_known_for_both() -> None:
    assert not WEB & SERVER_FIRST
