"""Instance and stack ids -> the names Docker knows them by. Deterministic, so that a repeated call meets what it made."""

from __future__ import annotations

import re
from hashlib import sha256

_UNSAFE = re.compile(r"[^A-Za-z0-9_.]")
_UNSAFE_IN_STACK = re.compile(r"[^A-Za-z0-9_-]")
_UNSAFE_IN_NETWORK = re.compile(r"[^A-Za-z0-9_.-]")


def container_name(home_id: str, instance_id: str, container: str = "") -> str:
    """portway-HOME-STACK-APP-SLOT-SERIAL[-CONTAINER]; a hash follows where that could be another's name too."""
    app_id, slot, serial = _split(instance_id)
    stack, _, app = app_id.rpartition("/")
    parts = (home_id, stack, app, slot, serial, *([container] if container else []))
    whole = "\n".join((home_id, instance_id, *([container] if container else [])))
    return _joined(parts, whole=whole)


def network_name(home_id: str, stack: str, network: str = "") -> str:
    """portway-HOME-STACK for the stack's own network, portway-HOME-STACK.NAME for another of its networks."""
    safe_home = _UNSAFE.sub("_", home_id)
    safe_stack = _UNSAFE_IN_STACK.sub("_", stack)
    name = f"portway-{safe_home}-{safe_stack}"
    if network:
        name = f"{name}.{_UNSAFE_IN_NETWORK.sub('-', network)}"
    changed = (safe_home, safe_stack) != (home_id, stack) or _UNSAFE_IN_NETWORK.search(network)
    whole = "\n".join((home_id, stack, network))
    return f"{name}-{_digest(whole)}" if changed else name


def volume_name(stack: str, volume: str) -> str:
    """STACK_VOLUME, as compose names it."""
    return f"{_UNSAFE_IN_STACK.sub('_', stack)}_{volume}"


def _split(instance_id: str) -> tuple[str, str, str]:
    parts = instance_id.rsplit(".", 2)
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (instance_id, "", "")


def _joined(parts: tuple[str, ...], *, whole: str) -> str:
    name = "-".join(("portway", *(_UNSAFE.sub("-", part) for part in parts)))
    # Five or six parts without a dash can be read back; every other name could be two things at once.
    plain = all(parts) and not any(_UNSAFE.search(part) for part in parts)
    return name if plain else f"{name}-{_digest(whole)}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]
