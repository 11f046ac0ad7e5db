"""A certificate and its key as two texts."""

from __future__ import annotations

from portway.controller.certificates import make_self_signed
from portway.controller.clock import SystemClock

END = "-----END CERTIFICATE-----\n"


def pair(domain: str = "example.com") -> tuple[str, str]:
    """(certificate, key) of a self-signed one."""
    made = make_self_signed("", [domain], now_ms=SystemClock().now_ms())
    certificate, _, key = made.pem.partition(END)
    return certificate + END, key
