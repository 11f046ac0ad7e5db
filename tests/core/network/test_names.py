"""Addresses and names of load balancers, and the block in a hosts file."""

from __future__ import annotations

from portway.core.network.names import (
    addresses_in,
    free_address,
    load_balancer_name,
    with_block,
)

HOSTS = "127.0.0.1 localhost\n# mine\n10.0.0.1 db  # the database"


def test_addresses_are_given_out_until_there_are_no_more():
    taken: set[str] = set()
    while (address := free_address("127.64.0.0/29", taken, seed="s")) is not None:
        taken.add(address)
    assert taken == {f"127.64.0.{n}" for n in range(1, 7)}


def test_the_same_seed_begins_at_the_same_place():
    one = free_address("127.64.0.0/16", (), seed="a")
    assert one == free_address("127.64.0.0/16", (), seed="a")
    assert one != free_address("127.64.0.0/16", (), seed="b")


def test_a_single_address_is_a_network_too():
    assert free_address("10.1.2.3/32", (), seed="s") == "10.1.2.3"
    assert free_address("10.1.2.3/32", {"10.1.2.3"}, seed="s") is None


def test_a_name_is_the_same_for_the_same_load_balancer():
    name = load_balancer_name("Web", "arn:1", "eu-west-1")
    assert name == load_balancer_name("Web", "arn:1", "eu-west-1")
    assert name.startswith("web-")
    assert name.endswith(".eu-west-1.elb.amazonaws.com")
    assert load_balancer_name("web", "arn:1", "eu-west-1", internal=True) == f"internal-{name}"


def test_a_block_comes_changes_and_goes_and_nothing_else_moves():
    one = with_block(HOSTS, "h1", {"b.test": "127.64.0.2", "a.test": "127.64.0.1"})
    assert one.startswith(HOSTS + "\n# portway h1")
    assert "127.64.0.1 a.test\n127.64.0.2 b.test\n" in one
    assert with_block(one, "h1", {"b.test": "127.64.0.2", "a.test": "127.64.0.1"}) == one
    assert "a.test" not in with_block(one, "h1", {"b.test": "127.64.0.2"})
    assert with_block(one, "h1", {}) == HOSTS + "\n"
    assert with_block("", "h1", {}) == ""


def test_two_portways_keep_their_own_blocks():
    both = with_block(with_block(HOSTS, "h1", {"a": "127.0.0.2"}), "h2", {"b": "127.0.0.3"})
    assert with_block(both, "h1", {}) == with_block(HOSTS, "h2", {"b": "127.0.0.3"})
    assert addresses_in(both) == {"127.0.0.1", "10.0.0.1", "127.0.0.2", "127.0.0.3"}


def test_a_block_that_lost_its_end_takes_nobody_elses_lines_with_it():
    block = with_block("", "h1", {"w-1.r.elb.amazonaws.com": "127.64.0.1"})
    cut = block.splitlines()[:2]
    text = "\n".join([*cut, "10.0.0.1 db", ""])
    assert with_block(text, "h1", {}) == "10.0.0.1 db\n"
