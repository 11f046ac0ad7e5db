"""What a machine may have or not, for the tests that need it. No tests."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import settings


def has_ipv6_loopback() -> bool:
    """Containers often have none, although the kernel knows IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def has_privileged_ports() -> bool:
    """Containers often let everybody bind every port."""
    first = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    return not first.exists() or int(first.read_text()) > 80


needs_privileged_ports = pytest.mark.skipif(
    not has_privileged_ports(), reason="this machine lets every user bind port 80"
)
needs_ipv6 = pytest.mark.skipif(
    not has_ipv6_loopback(), reason="this machine has no IPv6 loopback address"
)


def examples(count: int) -> int:
    """So many examples of a property: a tenth where the profile `fast` was asked for, FUZZ_TIMES as many where that is set."""
    times = int(os.environ.get("FUZZ_TIMES", "1"))
    return times * count if settings.default.max_examples >= 100 else max(10, count // 10)
