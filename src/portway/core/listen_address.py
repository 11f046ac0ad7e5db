"""host:port as a setting says where to listen. Pure."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address


def split_listen(listen: str) -> tuple[str, str]:
    """The host, without brackets, and the port of host:port."""
    host, _, port_text = listen.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host, port_text


def is_host(host: str, *, bracketed: bool) -> bool:
    """Whether one can listen on it: a name, an address, or nothing at all; brackets are for IPv6 alone."""
    if not host:
        return not bracketed
    try:
        return isinstance(ip_address(host), IPv6Address) == bracketed
    except ValueError:
        named = re.fullmatch(r"[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)*", host)
        return named is not None and not bracketed


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
