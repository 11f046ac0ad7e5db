"""JSON changed as a tree: a value another, a field gone, twice or under another name. Bytes alone seldom stay JSON."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 80, 65535, 65536, 2**31, 2**63, -(2**63) - 1, 10**30, 0.5, 1e308, -0.0, "", "a", "/", "/a/b", "../..",
    "*", "80", "80:80", "10s", "1e9", "-1", "+-1", "\u0663", "a" * 300, "a\0b", "\n", "é", "\U0001f600", "{}", "%s", "$X", "${", "${A:-b}",
    "host", "bridge", "container/bridge", "awsvpc", "tcp", "udp,tcp", "HTTP", "MESOS_HTTP", "DOCKER", "::/0", "10.0.0.0/8", "arn:aws:ecs:us-east-1:000000000000:",
    [], [[]], [None], {}, {"": {}}, {"a": {"b": [1]}},
)  # fmt: skip
_CHANGES_MAX = 4


def mutated(data: bytes, random: Random) -> bytes | None:
    """Another document like this one; None when this is none."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return None
    for _ in range(random.randint(1, _CHANGES_MAX)):
        tree = _changed(tree, random)
    return json.dumps(tree).encode()


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every (holder, key) of a tree."""
    found: list[tuple[Any, Any]] = []
    left = [tree]
    while left and len(found) < 5000:
        holder = left.pop()
        inner = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, value in inner:
            found.append((holder, key))
            if isinstance(value, dict | list):
                left.append(value)
    return found


def _changed(tree: Any, random: Random) -> Any:
    places = _places(tree) if isinstance(tree, dict | list) else []
    if not places:
        return _value(random)
    holder, key = random.choice(places)
    match random.randrange(6):
        case 0:
            holder.pop(key)
        case 1:
            other, at = random.choice(places)
            holder[key] = deepcopy(other[at]) if _has(other, at) else None
        case 2:
            _twice(holder, key, random)
        case 3 if isinstance(holder[key], str):
            holder[key] = _retyped(holder[key], random)
        case 4 if isinstance(holder[key], int | float):
            holder[key] += random.choice((-1, 1, 0.5, 70000))
        case _:
            holder[key] = _value(random)
    return tree


def _value(random: Random) -> Any:
    return deepcopy(random.choice(VALUES))


def _has(holder: Any, key: Any) -> bool:
    return key in holder if isinstance(holder, dict) else key < len(holder)


def _twice(holder: Any, key: Any, random: Random) -> None:
    if isinstance(holder, list):
        holder.insert(key, deepcopy(holder[key]))
    else:
        holder[_retyped(key, random)] = deepcopy(holder[key])


def _retyped(text: str, random: Random) -> str:
    at = random.randint(0, len(text))
    piece = str(random.choice(VALUES[20:42]))
    return random.choice((text[:at] + piece + text[at:], text[:at], text[at:], text.upper(), piece))
