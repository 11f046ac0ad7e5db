"""Which requests are Marathon's, and how its clients say who they are. The guard asks here before anything is read."""

from __future__ import annotations

import base64
import binascii

_ALONE = ("/v2", "/ping")
METRICS_PATH = "/metrics"  # Prometheus' page
MARATHON_METRICS_PATH = "/metrics/prometheus"  # the same, where Marathon has it


def is_marathon_path(path: str) -> bool:
    """Whether the Marathon face answers there."""
    return path.startswith("/v2/") or path in _ALONE


def takes_marathon_credentials(path: str) -> bool:
    """Whether a token may come as Marathon's clients send it."""
    return is_marathon_path(path) or path in (METRICS_PATH, MARATHON_METRICS_PATH)


def marathon_token(header: str) -> bytes | None:
    """The token in `Authorization: token=...`, or the password in a Basic one; None where it is neither."""
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() == "basic":
        return _password(rest.strip())
    name, equals, token = header.strip().partition("=")
    if equals and name.strip().lower() == "token":
        return token.strip().strip('"').encode("latin-1", "replace")
    return None


def _password(encoded: str) -> bytes | None:
    try:
        pair = base64.b64decode(encoded.encode("latin-1", "replace"), validate=True)
    except (binascii.Error, ValueError):
        return None
    _, colon, password = pair.partition(b":")
    return password if colon else None
