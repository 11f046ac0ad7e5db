"""Kinds that apps and pods share: ids, names, networks, artifacts, secrets, strategies."""

from __future__ import annotations

import re
from typing import Any

from portway.manifests.marathon.paths import is_written_well
from portway.manifests.marathon.shape import (
    Choice,
    Decimal,
    Flag,
    Kind,
    ListOf,
    MapOf,
    OneOf,
    Record,
    Text,
    Whole,
    by_default,
    maybe,
    need,
)

_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_NETWORK = re.compile(r"[a-z0-9](?:[-a-z0-9_]*[a-z0-9])?")


def is_name(text: str) -> bool:
    """Names of ports, endpoints and containers."""
    return bool(_NAME.fullmatch(text))


ANY_TEXT = Text()
TEXT = Text(length_min=1)
PATH = Text(length_min=1, fits=is_written_well)
NAME = Text(length_min=1, fits=is_name)
SHORT_NAME = Text(length_min=1, length_max=63, fits=is_name)
COUNT = Whole(least=0)
NUMBER = Decimal(least=0)
PORT = Whole(least=0, most=65535)
SHARE = Decimal(least=0, most=1)
LABELS = MapOf(item=ANY_TEXT)
NETWORK_NAME = Text(length_min=1, length_max=63, fits=lambda text: bool(_NETWORK.fullmatch(text)))

NETWORK = Record(
    members={
        "name": maybe(NETWORK_NAME),
        "mode": by_default(Choice(words=("container", "container/bridge", "host")), "container"),
        "labels": by_default(LABELS, {}),
    }
)

ARTIFACT = Record(
    members={
        "uri": need(TEXT),
        "extract": by_default(Flag(), True),
        "executable": by_default(Flag(), False),
        "cache": by_default(Flag(), False),
        "destPath": maybe(ANY_TEXT),
    }
)

SECRET = Record(members={"secret": need(ANY_TEXT)})
SECRETS = MapOf(item=Record(members={"source": need(ANY_TEXT)}))

_UNREACHABLE = Record(
    members={
        "inactiveAfterSeconds": by_default(COUNT, 0),
        "expungeAfterSeconds": by_default(COUNT, 0),
    }
)
_DISABLED = Choice(words=("disabled",))


def _text_or_secret(value: Any) -> Kind:
    return SECRET if isinstance(value, dict) else ANY_TEXT


def _unreachable(value: Any) -> Kind:
    return _DISABLED if isinstance(value, str) else _UNREACHABLE


def _command(value: Any) -> Kind:
    return _ARGV if isinstance(value, dict) and value.get("argv") is not None else _SHELL


ENV_VALUE = _text_or_secret
UNREACHABLE = _unreachable
_SHELL = Record(members={"shell": need(ANY_TEXT)})
_ARGV = Record(members={"argv": need(ListOf(item=ANY_TEXT))})
COMMAND = _command

KILL_SELECTION = Choice(words=("YOUNGEST_FIRST", "OLDEST_FIRST"))

PERSISTENT = Record(
    members={
        "type": maybe(Choice(words=("root", "path", "mount"))),
        "size": need(Whole()),
        "maxSize": maybe(Whole()),
        "profileName": maybe(TEXT),
        "constraints": by_default(ListOf(item=ListOf(item=ANY_TEXT), distinct=True), []),
    }
)


def _limit(value: Any) -> Kind:
    return _UNLIMITED if isinstance(value, str) else NUMBER


_UNLIMITED = Choice(words=("unlimited",))
_LIMIT = OneOf(pick=_limit)
RESOURCE_LIMITS = Record(members={"cpus": maybe(_LIMIT), "mem": maybe(_LIMIT)})
EXECUTOR_RESOURCES = Record(
    members={
        "cpus": by_default(NUMBER, 0.1),
        "mem": by_default(NUMBER, 32),
        "disk": by_default(NUMBER, 10),
        "gpus": maybe(COUNT),
    }
)
