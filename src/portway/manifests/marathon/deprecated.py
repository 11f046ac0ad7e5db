"""What may not be said with an app's or update's deprecated fields, or of them together with those that replace them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from portway.manifests.marathon.refusal import Violation

Body = Mapping[str, Any]

_OF_MESOS = ("credential", "network", "parameters", "portMappings")


def deprecated_faults(app: Body) -> Iterator[Violation]:
    """Every violation, of an app as it was read."""
    container, address = app.get("container") or {}, app.get("ipAddress")
    yield from _container_faults(container)
    if container.get("type") == "DOCKER" and (address or {}).get("discovery"):
        yield Violation(where=("ipAddress",), error="ipAddress/discovery is not allowed for Docker containers")  # fmt: skip
    yield from _uri_faults(app)
    for error in _mixed(app, container.get("docker") or {}, address):
        yield Violation(where=(), error=error)


def _container_faults(container: Body) -> Iterator[Violation]:
    docker = container.get("docker") or {}
    names = _OF_MESOS if container.get("type") == "MESOS" else ("credential",)
    for name in names:
        if docker.get(name):
            yield Violation(where=("container", "docker", name), error="must be empty")
    if not all_distinct(each.get("name") for each in docker.get("portMappings") or ()):
        yield Violation(where=("container", "docker", "portMappings"), error="Port names must be unique.")  # fmt: skip


def _uri_faults(app: Body) -> Iterator[Violation]:
    uris: Sequence[str] = app.get("uris") or ()
    for nth, uri in enumerate(uris):
        if not is_uri(uri):
            yield Violation(where=("uris", nth), error="URI has invalid syntax.")
    if uris and app.get("fetch"):
        yield Violation(where=("uris",), error="may not be set in conjunction with fetch")


def _mixed(app: Body, docker: Body, address: Body | None) -> Iterator[str]:
    networks, numbers, definitions = app.get("networks"), app.get("ports"), app.get("portDefinitions")  # fmt: skip
    if docker.get("network") and networks:
        yield "must not specify both container.docker.network and networks"
    if address is not None and networks:
        yield "must not specify both networks and ipAddress"
    if not all_distinct(number or None for number in numbers or ()):
        yield "ports must be unique"
    if address is not None and (numbers or definitions):
        yield "cannot specify both an IP address and port"
    if (
        numbers is not None
        and definitions is not None
        and [each["port"] for each in definitions] != numbers
    ):
        yield "cannot specify both ports and port definitions"  # fmt: skip


def all_distinct(values: Iterator[Any]) -> bool:
    """Whether no value is there twice; None may be."""
    known = [value for value in values if value is not None]
    return len(known) == len(set(known))


def is_uri(text: str) -> bool:
    """Whether a text can be a URI at all."""
    try:
        urlsplit(text)
    except ValueError:
        return False
    return not any(character.isspace() or character in '<>"{}|\\^`' for character in text)
