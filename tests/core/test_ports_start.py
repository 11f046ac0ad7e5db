"""Host ports as Marathon gives them: from anywhere in the range, then one after the other; one number for two protocols."""

from __future__ import annotations

from dataclasses import replace

import pytest

from portway.core.app import NetworkMode, PortSpec, Protocol
from portway.core.instance import InstanceRecord
from portway.core.ports import PortPool, PortRange, PortRefusal, PortRequest
from tests.core.pools import TCP, UDP, held_by, leased, make_pool, numbers, refusal, wants
from tests.simulation.world import World, revision


def shuffled(name: str, start: int, **fields: object) -> PortRequest:
    return replace(wants(name=name), start=start, **fields)  # type: ignore[arg-type]


def test_they_begin_at_the_place_asked_for_and_follow_one_another_round_the_range() -> None:
    pool = make_pool(31000, 31009)
    requests = [shuffled("a", 1008), shuffled("b", 3), shuffled("c", 3)]
    assert numbers(pool.propose("local", requests, now_ms=0)) == [31008, 31009, 31000]


def test_what_is_taken_is_stepped_over() -> None:
    pool = make_pool(31000, 31009)
    leased(pool, wants(fixed=31004))
    occupied = {(TCP, 31005): held_by("nginx")}
    requests = [shuffled("a", 4), shuffled("b", 4)]
    found = pool.propose("local", requests, now_ms=0, occupied=occupied)
    assert numbers(found) == [31006, 31007]


def test_a_port_asked_for_by_number_is_not_given_to_another_of_the_instance() -> None:
    pool = make_pool(31000, 31001)
    found = pool.propose("local", [shuffled("a", 0), wants(name="b", fixed=31000)], now_ms=0)
    assert numbers(found) == [31001, 31000]


def test_two_protocols_have_one_number_that_is_free_for_both() -> None:
    pool = make_pool(31000, 31003)
    leased(pool, wants(fixed=31000, protocol=UDP))
    both = [shuffled("dns", 0), shuffled("dns.udp", 0, protocol=UDP, same_as="dns")]
    found = pool.propose("local", both, now_ms=0)
    assert not isinstance(found, PortRefusal)
    assert [(x.protocol, x.host_port) for x in found] == [(TCP, 31001), (UDP, 31001)]


def test_a_range_without_room_is_refused_with_what_became_of_it() -> None:
    pool = make_pool(31000, 31001)
    requests = [shuffled(name, 0) for name in "abc"]
    assert "no host port is free on node local" in refusal(
        pool.propose("local", requests, now_ms=0)
    )


def test_every_node_has_its_own_range() -> None:
    ranges = {"n2": PortRange(first=40000, last=40001)}
    pool = PortPool(PortRange(first=31000, last=31001), hold_down_ms=0, node_ranges=ranges)
    for node, expected in (("n1", {31000, 31001}), ("n2", {40000, 40001})):
        found = pool.propose(node, [shuffled("a", 5), shuffled("b", 5)], now_ms=0)
        assert set(numbers(found)) == expected


SHUFFLED = PortSpec(name="a", container_port=0, shuffled=True)


def world_of(*ports: PortSpec, count: int = 4, **fields: object) -> World:
    world = World()
    world.deploy(revision("R1", ports=ports, **fields), count=count)
    world.run(until_ms=20_000)
    return world


def host_ports(record: InstanceRecord) -> list[int]:
    return [lease.host_port for lease in record.identity.leases]


def test_instances_begin_anywhere_and_their_ports_are_consecutive() -> None:
    world = world_of(SHUFFLED, replace(SHUFFLED, name="b"))
    pairs = [host_ports(record) for record in world.state.live]
    assert all(b == a + 1 or (a, b) == (31999, 31000) for a, b in pairs)
    firsts = [pair[0] for pair in pairs]
    assert firsts != sorted(firsts) or max(firsts) - min(firsts) > 50, "they are spread"


def test_a_successor_looks_elsewhere_than_its_predecessor() -> None:
    world = world_of(SHUFFLED, count=1)
    (before,) = world.state.live
    world.exit(before.id, 1)
    world.disturbed = True
    world.run()
    (after,) = world.state.live
    assert host_ports(after) != host_ports(before)


def test_a_port_that_is_not_leased_takes_none_and_answers_at_its_own_number() -> None:
    inside = PortSpec(name="a", container_port=8080, leased=False, service_ports=(10000,))
    world = world_of(inside, count=1, network_mode=NetworkMode.OWN)
    (record,) = world.state.live
    assert not record.identity.leases
    (route,) = world.routes
    assert [e.port_number for e in route.endpoints] == [8080]


def test_a_static_port_that_is_taken_blocks_with_who_has_it() -> None:
    world = World()
    world.host_pool.take(
        leased(PortPool(PortRange(first=1, last=9), hold_down_ms=0), wants(fixed=8080)), "other/app"
    )
    world.deploy(revision("R1", ports=(replace(SHUFFLED, host_port=8080),)), count=1)
    plan = world.step()
    assert not world.state.live
    assert any("8080" in b.reason and "other/app" in b.reason for b in plan.blocked)


@pytest.mark.parametrize("protocol", Protocol)
def test_a_lease_of_a_port_without_a_number_of_its_own_has_the_host_ports(
    protocol: Protocol,
) -> None:
    pool = make_pool()
    request = shuffled("a", 2, container_port=0, protocol=protocol)
    (lease,) = leased(pool, request)
    assert lease.container_port == lease.host_port == 31002
