"""Port mappings of every network mode: what they become, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from portway.core.app import Exposure, PortSpec, Protocol
from portway.manifests.ecs_ports import Reach, port_faults, ports_of


def body(*mappings: dict[str, Any], mode: str = "", **container: Any) -> dict[str, Any]:
    web = {"name": "web", "image": "x", "portMappings": list(mappings), **container}
    return {"containerDefinitions": [web], **({"networkMode": mode} if mode else {})}


def ports(*mappings: dict[str, Any], mode: str = "", reach: Reach = Reach.NODE) -> list[PortSpec]:
    value = body(*mappings, mode=mode)
    assert list(port_faults(value)) == []
    return list(ports_of(value, reach=reach))


@pytest.mark.parametrize("mapping", [{"containerPort": 80}, {"containerPort": 80, "hostPort": 0}])
def test_a_port_without_host_port_comes_from_the_ephemeral_range(mapping: dict[str, Any]) -> None:
    (spec,) = ports(mapping)
    assert (spec.host_port, spec.ephemeral, spec.exposure) == (None, True, Exposure.HOST)


def test_a_host_port_is_fixed_and_two_for_one_container_port_are_two_ports() -> None:
    """Seed 000's second revision."""
    both = ports({"containerPort": 80, "hostPort": 3245}, {"containerPort": 80, "hostPort": 56839})
    assert [(s.name, s.container_port, s.host_port, s.ephemeral) for s in both] == [
        ("80", 80, 3245, False),
        ("80-2", 80, 56839, False),
    ]


def test_on_the_nodes_network_both_ports_are_one() -> None:
    (spec,) = ports({"containerPort": 80}, mode="host")
    assert (spec.host_port, spec.ephemeral) == (80, False)


def test_a_task_with_its_own_address_needs_no_host_port() -> None:
    (spec,) = ports({"containerPort": 80, "hostPort": 80}, mode="awsvpc")
    assert (spec.host_port, spec.ephemeral, spec.leased) == (None, False, False)


def test_a_range_is_a_run_of_ports() -> None:
    specs = ports({"containerPortRange": "8000-8002"})
    assert [s.container_port for s in specs] == [8000, 8001, 8002]
    assert len({s.run for s in specs}) == 1
    assert specs[0].run
    assert all(s.ephemeral for s in specs)


def test_udp_is_a_port_of_its_own() -> None:
    specs = ports({"containerPort": 53, "protocol": "udp"}, {"containerPort": 80, "protocol": "x"})
    assert [(s.name, s.protocol) for s in specs] == [("53", Protocol.UDP), ("80", Protocol.TCP)]


def test_a_files_fixed_host_port_is_its_listener() -> None:
    (fixed,) = ports({"containerPort": 80, "hostPort": 8000}, reach=Reach.LISTENER)
    assert (fixed.service_ports, fixed.host_port, fixed.exposure) == ((8000,), None, Exposure.PUBLIC)  # fmt: skip
    (free,) = ports({"containerPort": 80}, reach=Reach.LISTENER)
    assert (free.service_ports, free.ephemeral) == ((), False)
    (said,) = ports({"containerPort": 80, "hostPort": 0}, reach=Reach.LISTENER)
    assert said.ephemeral


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (body({"containerPort": 80}, mode="none"), "not supported when networkMode=none"),
        (body({}), "needs a containerPort"),
        (body({"containerPort": 0}), "Ports are 1 to 65535"),
        (body({"containerPort": 80, "hostPort": 70000}), "Invalid 'hostPort': 70000"),
        (body({"containerPort": 80, "hostPort": 81}, mode="host"), "When networkMode=host, the host ports and container ports in port mappings must match."),
        (body({"containerPortRange": "9-8"}), "Invalid 'containerPortRange'"),
        (body({"containerPortRange": "8-9"}, mode="host"), "not supported when networkMode=host"),
        (body({"containerPortRange": "8-9", "containerPort": 8}), "containerPort must be empty"),
        (body({"containerPort": 8}, {"containerPortRange": "8-9"}), "Container port 8 is in two"),
        (body({"containerPort": 8}, {"containerPort": 8}, mode="awsvpc"), "Container port 8 is in two"),
        (body({"containerPort": 8}, {"containerPort": 8, "protocol": "udp"}), "for tcp and for udp"),
        (body({"containerPort": 8, "hostPort": 9}, {"containerPort": 7, "hostPort": 9}), "Host port 9 is in two"),
        (body({"containerPortRange": "1-60000"}), "more than 2000 ports"),
        (body(mode="awsvpc", links=["x"]), "Links are not supported when networkMode=awsvpc."),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_is_refused(value: dict[str, Any], words: str) -> None:
    told = [fault.message for fault in port_faults(value)]
    assert any(words in message for message in told), told
