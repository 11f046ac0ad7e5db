"""Addresses and names of load balancers, stored and resolvable."""

from __future__ import annotations

from pathlib import Path

import pytest

from portway.controller.network.addresses import LoadBalancerAddresses
from portway.core.errors import WorldError
from portway.store.documents import MemoryDocuments


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    path = tmp_path / "hosts"
    path.write_text("127.0.0.1 localhost\n")
    return path


def addresses(
    documents: MemoryDocuments,
    hosts: Path | None,
    *,
    home_id: str = "h1",
    network: str = "127.64.0.0/16",
) -> LoadBalancerAddresses:
    return LoadBalancerAddresses(
        documents, home_id=home_id, region="us-east-1", network=network, hosts=hosts
    )


async def test_a_load_balancer_keeps_its_address_and_name_over_a_restart(hosts: Path):
    documents = MemoryDocuments()
    first = await addresses(documents, hosts).assign("arn:1", "web")
    other = await addresses(documents, hosts).assign("arn:2", "web")
    again = addresses(documents, hosts)
    assert await again.assign("arn:1", "web") == first
    assert first.address != other.address
    assert first.dns_name != other.dns_name
    assert f"{first.address} {first.dns_name}\n" in hosts.read_text()


async def test_what_is_released_is_gone_and_free(hosts: Path):
    documents, before = MemoryDocuments(), hosts.read_text()
    kept = addresses(documents, hosts, network="127.64.0.1/32")
    first = await kept.assign("arn:1", "web")
    with pytest.raises(WorldError, match="Every address of 127.64.0.1/32"):
        await kept.assign("arn:2", "web")
    await kept.release("arn:1")
    await kept.release("arn:1")
    assert hosts.read_text() == before
    assert (await kept.assign("arn:2", "web")).address == first.address


async def test_a_block_that_was_tampered_with_is_put_right_at_the_start(hosts: Path):
    documents = MemoryDocuments()
    made = await addresses(documents, hosts).assign("arn:1", "web")
    hosts.write_text("127.0.0.1 localhost\n")
    await addresses(documents, hosts).open()
    assert made.dns_name in hosts.read_text()
    await addresses(documents, hosts).forget_names()
    assert hosts.read_text() == "127.0.0.1 localhost\n"


async def test_the_address_is_the_name_where_no_name_can_be_kept(tmp_path: Path):
    for path in (None, tmp_path / "none"):
        documents = MemoryDocuments()
        made = await addresses(documents, path).assign("arn:1", "web")
        assert made.dns_name == made.address
        await addresses(documents, path).release("arn:1")


async def test_an_address_of_another_portway_is_left_alone(hosts: Path):
    one = await addresses(MemoryDocuments(), hosts).assign("arn:1", "web")
    two = await addresses(MemoryDocuments(), hosts).assign("arn:1", "web")
    assert one.address != two.address


async def test_a_hosts_file_that_fails_does_not_stop_the_load_balancer(
    hosts: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr("portway.controller.network.hosts_file.HostsFile.write", refuse)
    made = await addresses(MemoryDocuments(), hosts).assign("arn:1", "web")
    assert made.address.startswith("127.64.")
