"""Addresses and names of load balancers: which address is free, what a name is, and a hosts file with a block of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from ipaddress import ip_address, ip_network

_DIGITS = 10
_BEGIN = "# portway {owner}: load balancers, kept by portway; do not edit"
_END = "# portway {owner}: end"


def free_address(network: str, taken: Collection[str], *, seed: str) -> str | None:
    """An address of the network that nobody has: the first free one from a place that `seed` gives.

    Two portways with different seeds begin at different places. None: all are taken.
    """
    block = ip_network(network, strict=False)
    first, size = int(block.network_address), block.num_addresses
    hosts = range(1, size - 1) if size > 2 else range(size)  # noqa: PLR2004  (without the network's and the broadcast address)
    if not hosts:
        return None
    begin = int(hashlib.sha256(seed.encode()).hexdigest(), 16) % len(hosts)
    for step in range(min(len(hosts), len(taken) + 1)):
        address = str(ip_address(first + hosts[(begin + step) % len(hosts)]))
        if address not in taken:
            return address
    return None


def load_balancer_name(name: str, arn: str, region: str, *, internal: bool = False) -> str:
    """web-1234567890.us-east-1.elb.amazonaws.com; the same for the same ARN."""
    digits = int(hashlib.sha256(arn.encode()).hexdigest(), 16) % 10**_DIGITS
    prefix = "internal-" if internal else ""
    return f"{prefix}{name.lower()}-{digits:0{_DIGITS}}.{region}.elb.amazonaws.com"


def with_block(text: str, owner: str, names: Mapping[str, str]) -> str:
    """A hosts file with `owner`'s block saying exactly `names` (name -> address); every other line stays as it is."""
    begin, end = _BEGIN.format(owner=owner), _END.format(owner=owner)
    kept: list[str] = []
    inside: list[str] | None = None
    for line in text.splitlines(keepends=True):
        if line.rstrip() == begin:
            kept += inside or []
            inside = [line]
        elif inside is None:
            kept.append(line)
        elif line.rstrip() == end:
            inside = None
        else:
            inside.append(line)
    if (
        inside
    ):  # a block without an end may hold somebody else's lines: only what is surely ours goes
        kept += [line for line in inside[1:] if not line.rstrip().endswith(".elb.amazonaws.com")]
    body = "".join(kept)
    if not names:
        return body
    if body and not body.endswith("\n"):
        body += "\n"
    lines = [f"{address} {name}\n" for name, address in sorted(names.items())]
    return f"{body}{begin}\n{''.join(lines)}{end}\n"


def addresses_in(text: str) -> frozenset[str]:
    """Every address a hosts file names, whoever wrote it there."""
    fields = (line.partition("#")[0].split() for line in text.splitlines())
    return frozenset(words[0] for words in fields if words)
