"""Rules of the firewall, from what `iptables -S` prints."""

from __future__ import annotations

import pytest

from portway.controller.why.firewall import Firewall, parse_firewall

ADDRESS = "172.18.0.2"


def of(*rules: str) -> Firewall:
    return parse_firewall("-P INPUT ACCEPT\n-P OUTPUT ACCEPT\n" + "\n".join(rules))


@pytest.mark.parametrize(
    "rule",
    [
        "-A OUTPUT -j DROP",
        "-A OUTPUT -d 172.18.0.2/32 -j REJECT --reject-with icmp-port-unreachable",
        "-A OUTPUT -d 172.16.0.0/12 -p tcp -m tcp --dport 80 -j DROP",
        '-A OUTPUT -p tcp -m tcp --dport 79:81 -m comment --comment "no web" -j DROP',
    ],
)
def test_a_rule_that_drops_what_is_sent_there_is_found(rule: str):
    assert of(rule).dropping_rule(ADDRESS, 80) == rule


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -j DROP",
        "-A OUTPUT -d 10.0.0.0/8 -j DROP",
        "-A OUTPUT -p udp -j DROP",
        "-A OUTPUT -p tcp -m tcp --dport 443 -j DROP",
        "-A OUTPUT -o eth0 -j DROP",
        "-A OUTPUT ! -d 172.18.0.2/32 -j DROP",
        "-A OUTPUT -m state --state INVALID -j DROP",
        "-A OUTPUT -s 10.0.0.1/32 -j DROP",
        "-A OUTPUT -d nonsense -j DROP",
    ],
)
def test_a_rule_for_something_else_is_not_blamed(rule: str):
    assert of(rule).dropping_rule(ADDRESS, 80) == ""


def test_what_is_accepted_first_is_not_dropped():
    rules = ("-A OUTPUT -d 172.18.0.2/32 -j ACCEPT", "-A OUTPUT -j DROP")
    assert of(*rules).dropping_rule(ADDRESS, 80) == ""


def test_policies_and_rules_are_kept_apart_and_nonsense_is_left_out():
    found = parse_firewall("-P INPUT DROP\n-N MINE\nwhat\n-A MINE -j RETURN\n-A 'broken\n")
    assert found.policies == {"INPUT": "DROP"}
    assert [rule.text for rule in found.of_chain("MINE")] == ["-A MINE -j RETURN"]
