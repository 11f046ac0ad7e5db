"""The checks of the firewall: what would eat the traffic of listeners and containers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from portway.controller.machine.base import NOT_THERE, Finding, Ground, note, ok, warning
from portway.controller.why.firewall import LIST_RULES, Firewall, FirewallRule, parse_firewall

_SHOWN_MAX = 3
_DOCKER_CHAINS = ("DOCKER-USER", "DOCKER-FORWARD")


def check_firewall(ground: Ground) -> Iterator[Finding]:
    """iptables, nftables of its own, ufw, firewalld."""
    found = [*_iptables(ground), *_nftables(ground), *_ufw(ground), *_firewalld(ground)]
    yield from found or [ok("firewall", "no rule of the firewall eats traffic")]


def _iptables(ground: Ground) -> Iterator[Finding]:
    said = ground.run(LIST_RULES)
    if said.code == NOT_THERE:
        return
    if said.code != 0:
        text = "the firewall cannot be read by this user"
        yield note("firewall", text, "run `portway doctor` as root to have it looked at")
        return
    firewall = parse_firewall(said.output)
    yield from _policies(ground, firewall)
    for chain, what in (
        ("INPUT", "what comes to this machine"),
        ("OUTPUT", "what HAProxy sends to instances"),
        ("DOCKER-USER", "what goes to containers from outside and between their networks"),
    ):
        dropping = [rule for rule in firewall.of_chain(chain) if rule.drops and _is_wide(rule)]
        if dropping:
            shown = '", "'.join(rule.text for rule in dropping[:_SHOWN_MAX])
            text = f'rules of {chain} drop {what}: "{shown}"'
            fix = f"if that is not meant, delete them (`iptables -D {chain} ...`)"
            yield warning("firewall", text, fix)


def _is_wide(rule: FirewallRule) -> bool:
    """Whether it is about connections in general, not about broken ones or other protocols."""
    is_tcp = rule.protocol in ("", "tcp", "all")
    return is_tcp and "INVALID" not in rule.text


def _policies(ground: Ground, firewall: Firewall) -> Iterator[Finding]:
    if firewall.policies.get("INPUT") == "DROP":
        first, last = ground.config.service_ports.first, ground.config.service_ports.last
        text = "the firewall drops what comes to this machine unless a rule lets it in"
        fix = f"let the listeners in: iptables -I INPUT -p tcp --dport {first}:{last} -j ACCEPT"
        yield warning("firewall", text, f"{fix} (and the ports of your manifests)")
    docker_rules = any(chain in firewall.policies for chain in _DOCKER_CHAINS) or any(
        rule.target in _DOCKER_CHAINS for rule in firewall.rules
    )
    forwards = ground.config.engine != "docker" or firewall.policies.get("FORWARD") != "DROP"
    if not forwards and not docker_rules:
        text = "the firewall forwards nothing and has no rules of Docker: containers are cut off"
        yield warning("firewall", text, "restart dockerd, which writes its rules again")


def _nftables(ground: Ground) -> Iterator[Finding]:
    said = ground.run(["nft", "list", "ruleset"])
    if said.code != 0:
        return
    table = ""
    for line in said.output.splitlines():
        if match := re.match(r"table (\S+ \S+)", line):
            table = match[1]
        # iptables keeps its rules in the tables "ip filter" and "ip6 filter", which are looked at above.
        hooked = re.search(r"hook (input|forward|output) .*policy drop", line)
        if hooked and table not in ("ip filter", "ip6 filter"):
            text = f"the nftables table {table} drops {hooked[1]} unless a rule accepts it"
            yield warning("firewall", text, f"let the listeners in: nft list table {table}")


def _ufw(ground: Ground) -> Iterator[Finding]:
    said = ground.run(["ufw", "status"])
    if said.code == 0 and "Status: active" in said.output:
        text = "ufw is active: it blocks listeners it does not know, and does not see ports Docker publishes"
        fix = "`ufw allow PORT/tcp` for each public listener (`portway map` lists them)"
        yield warning("firewall", text, fix)


def _firewalld(ground: Ground) -> Iterator[Finding]:
    said = ground.run(["firewall-cmd", "--state"])
    if said.code == 0 and "running" in said.output:
        text = "firewalld is active: it blocks listeners it does not know"
        fix = (
            "`firewall-cmd --permanent --add-port=PORT/tcp` for each public listener, then --reload"
        )
        yield warning("firewall", text, fix)
