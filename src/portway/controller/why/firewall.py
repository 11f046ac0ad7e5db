"""The firewall of this machine, as `iptables -S` tells it: which rule drops what. Reads; changes no rule."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

LIST_RULES = ("iptables", "-S")
_DROPS = ("DROP", "REJECT")
_TIMEOUT_S = 3.0
# Conditions that a new connection to anybody may meet; with any other one a rule is not held against it.
_HARMLESS = {
    "-m": ("tcp", "comment"),
    "--comment": None,
    "--reject-with": None,
    "--icmp-type": None,
}
_KEPT = {
    "-p": "protocol",
    "-s": "source",
    "-d": "destination",
    "--dport": "destination_port",
    "-j": "target",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FirewallRule:
    """One rule of a chain. `is_special`: it has conditions that are not looked at here (interface, state, limit)."""

    chain: str
    text: str
    target: str = ""
    protocol: str = ""
    source: str = ""
    destination: str = ""
    destination_port: str = ""
    is_special: bool = False

    @property
    def drops(self) -> bool:
        """Whether what meets it is lost."""
        return self.target in _DROPS

    def meets(self, address: str, number: int) -> bool:
        """Whether a new TCP connection to there meets it."""
        if self.is_special or self.source or self.protocol not in ("", "tcp", "all"):
            return False
        if self.destination and not _holds(self.destination, address):
            return False
        return not self.destination_port or _spans(self.destination_port, number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Firewall:
    """The filter table: what each chain does with what no rule meets, and the rules in order."""

    policies: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[FirewallRule, ...] = ()

    def of_chain(self, chain: str) -> Iterator[FirewallRule]:
        """Its rules, in order."""
        return (rule for rule in self.rules if rule.chain == chain)

    def dropping_rule(self, address: str, number: int) -> str:
        """The rule that drops what this machine itself sends there, "" when none is seen to."""
        for rule in self.of_chain("OUTPUT"):
            if rule.meets(address, number):
                return rule.text if rule.drops else ""
        return ""


def parse_firewall(text: str) -> Firewall:
    """`iptables -S` -> the filter table; lines of other kinds are left out."""
    policies: dict[str, str] = {}
    rules: list[FirewallRule] = []
    for line in text.splitlines():
        with suppress(ValueError):
            words = shlex.split(line)
            if words[:1] == ["-P"] and len(words) >= 3:
                policies[words[1]] = words[2]
            elif words[:1] == ["-A"] and len(words) >= 2:
                rules.append(_rule(words[1], words[2:], line.strip()))
    return Firewall(policies=policies, rules=tuple(rules))


def _rule(chain: str, words: Iterable[str], text: str) -> FirewallRule:
    fields: dict[str, str] = {}
    special = False
    waiting = iter(words)
    for word in waiting:
        value = next(waiting, "") if word != "!" else ""
        if word in _KEPT:
            fields[_KEPT[word]] = value
        elif word not in _HARMLESS or value not in (_HARMLESS[word] or (value,)):
            special = True
    return FirewallRule(chain=chain, text=text, is_special=special, **fields)


def _holds(network: str, address: str) -> bool:
    try:
        return ip_address(address) in ip_network(network, strict=False)
    except ValueError:
        return False


def _spans(ports: str, number: int) -> bool:
    first, _, last = ports.partition(":")
    try:
        return int(first or 0) <= number <= int(last or first or 65535)
    except ValueError:
        return False


async def read_firewall() -> Firewall | None:
    """The filter table now; None where it cannot be read (no iptables, no permission, no answer)."""
    try:
        process = await asyncio.create_subprocess_exec(
            *LIST_RULES, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return None
    return parse_firewall(output.decode(errors="replace")) if process.returncode == 0 else None
