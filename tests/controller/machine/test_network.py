"""What the checks say of the firewall, from what its programs print."""

from __future__ import annotations

from pathlib import Path

from portway.controller.machine.base import Finding, Said, Severity
from portway.controller.machine.network import check_firewall

from .grounds import ground, only, programs

DOCKER_RULES = """-P INPUT ACCEPT
-P FORWARD DROP
-P OUTPUT ACCEPT
-N DOCKER-USER
-A FORWARD -j DOCKER-USER
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A DOCKER-USER -j RETURN
"""


def checked(home: Path, **outputs: str | Said) -> list[Finding]:
    return list(check_firewall(ground(home, run=programs(outputs))))


def test_the_rules_docker_writes_eat_nothing(tmp_path: Path):
    assert only(checked(tmp_path, iptables=DOCKER_RULES)).severity is Severity.OK


def test_a_machine_without_a_firewall_has_none_to_complain_of(tmp_path: Path):
    assert only(checked(tmp_path)).severity is Severity.OK


def test_a_drop_in_docker_user_is_shown_with_its_rule(tmp_path: Path):
    rule = "-A DOCKER-USER -i eth0 -j DROP"
    found = only(checked(tmp_path, iptables=f"{DOCKER_RULES}{rule}\n"))
    assert found.severity is Severity.WARNING
    assert found.text == (
        "rules of DOCKER-USER drop what goes to containers from outside and between their "
        f'networks: "{rule}"'
    )


def test_an_input_that_drops_by_default_is_told_which_ports_to_let_in(tmp_path: Path):
    found = only(checked(tmp_path, iptables="-P INPUT DROP\n-P FORWARD ACCEPT\n"))
    assert "iptables -I INPUT -p tcp --dport 10000:20000 -j ACCEPT" in found.fix


def test_a_forward_that_drops_without_dockers_rules_cuts_containers_off(tmp_path: Path):
    found = only(checked(tmp_path, iptables="-P INPUT ACCEPT\n-P FORWARD DROP\n"))
    assert "has no rules of Docker" in found.text


def test_rules_against_broken_packets_and_other_protocols_are_no_harm(tmp_path: Path):
    rules = "-A INPUT -m state --state INVALID -j DROP\n-A INPUT -p icmp -j DROP\n"
    assert only(checked(tmp_path, iptables=rules)).severity is Severity.OK


def test_who_may_not_read_it_is_told_so(tmp_path: Path):
    found = only(checked(tmp_path, iptables=Said(code=4, output="you must be root")))
    assert (found.severity, found.text) == (
        Severity.NOTE,
        "the firewall cannot be read by this user",
    )


def test_tables_of_nftables_itself_are_read_too(tmp_path: Path):
    text = (
        "table ip filter {\n chain INPUT {\n  type filter hook input priority 0; policy drop;\n }\n}\n"
        "table inet mine {\n chain in {\n  type filter hook input priority 0; policy drop;\n }\n}\n"
    )
    found = only(checked(tmp_path, nft=text))
    assert found.text == "the nftables table inet mine drops input unless a rule accepts it"


def test_ufw_and_firewalld_are_known_by_name(tmp_path: Path):
    found = checked(tmp_path, ufw="Status: active\n", **{"firewall-cmd": "running\n"})
    assert [one.text.partition(" is ")[0] for one in found] == ["ufw", "firewalld"]
    quiet = {"firewall-cmd": Said(code=252, output="not running")}
    assert only(checked(tmp_path, ufw="Status: inactive\n", **quiet)).severity is Severity.OK
