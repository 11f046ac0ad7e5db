"""What this machine allows: whether a listener could be bound, how many connections, as which user."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import resource
import socket
from collections.abc import Callable

DescribeHolder = Callable[[str, int], str]


def nobody(_address: str, _service_port: int) -> str:
    """Holders are not known."""
    return ""


def bind_problem(
    address: str, service_port: int, describe_holder: DescribeHolder
) -> tuple[str, str]:
    """(why `address:service_port` cannot be listened on, what to do); ("", "") when it can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Without SO_REUSEPORT: with it two HAProxies would share the port in silence.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, service_port))
            probe.listen(1)
    except OSError as error:
        return _explain(error, address, service_port, describe_holder)
    return "", ""


def all_addresses() -> tuple[str, ...]:
    """The addresses that mean every one of this machine: IPv4, and IPv6 where there is any."""
    if not bind_problem("::", 0, nobody)[0]:
        return ("0.0.0.0", "::")  # noqa: S104  (public listeners are meant to be reached)
    return ("0.0.0.0",)  # noqa: S104


def connections_max() -> int:
    """How many connections the file limit allows: two descriptors each, and some for listeners."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return 65536
    return min(65536, max(256, (hard - hard // 8 - 128) // 2))


def worker_user() -> str:
    """The user workers drop to when portway is root; "" = they stay who portway is."""
    if os.geteuid() != 0:
        return ""
    try:
        pwd.getpwnam("haproxy")
        grp.getgrnam("haproxy")
    except KeyError:
        return ""
    return "haproxy"


def _explain(
    error: OSError, address: str, service_port: int, describe_holder: DescribeHolder
) -> tuple[str, str]:
    where = f"Port {service_port} on {address}"
    if error.errno == errno.EADDRINUSE:
        holder = describe_holder(address, service_port) or "another program"
        return (
            f"{where} cannot be listened on: it is held by {holder}.",
            "Stop that, or choose another port; portway takes the port once it is free.",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"{where} cannot be listened on: ports below 1024 need a permission this user has not.",
            "Run portway as root, allow it with `sysctl net.ipv4.ip_unprivileged_port_start="
            f"{service_port}`, or choose a port above 1023.",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{where} cannot be listened on: this machine has no address {address}.",
            "Use one of its addresses (`ip address` lists them).",
        )
    return f"{where} cannot be listened on: {error.strerror}.", ""
