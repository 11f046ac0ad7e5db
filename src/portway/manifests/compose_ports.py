"""Compose `ports` and `expose` -> PortSpecs.

80:5000 is public: a listener on 80. A bare 5000 is internal, whatever stands beside it. A range with a
range is one port each; a range with one number is a pool. Nothing here knows what is free on a node.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from portway.core.app import Exposure, ListenerProtocol, ListenerSpec, PortSpec, Protocol
from portway.core.ports import LOOPBACK
from portway.manifests.tree import (
    Fields,
    Node,
    Scalar,
    filled_text_of,
    items_of,
    shown,
    text_of,
    warn_unknown,
)

PORTS_MAX = 5000  # of one service
_PORT_MAX = 65535
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")
_T = TypeVar("_T")
_LONG_KEYS = ("target", "published", "protocol", "host_ip", "mode", "name", "app_protocol")
_APP_PROTOCOLS = {
    "http": ListenerProtocol.HTTP,
    "http2": ListenerProtocol.HTTP,
    "h2c": ListenerProtocol.HTTP,
    "grpc": ListenerProtocol.HTTP,
    "ws": ListenerProtocol.HTTP,
    "https": ListenerProtocol.HTTPS,
    "wss": ListenerProtocol.HTTPS,
    "tls": ListenerProtocol.TLS,
    "tcp": ListenerProtocol.TCP,
}


class PortSyntaxError(Exception):
    """A port that cannot be read; `hint` says how to write it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.node: Node | None = None  # the value at fault, where it is not the whole entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Port numbers first..last, both included."""

    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    def each(self) -> range:
        return range(self.first, self.last + 1)

    def __str__(self) -> str:
        return str(self.first) if self.count == 1 else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPort:
    """One entry of `ports` as written; `published` None = a bare port, or `assigned` (127.0.0.1::80)."""

    container: Numbers
    published: Numbers | None = None
    assigned: bool = False  # public, on a listener that portway chooses
    protocol: Protocol = Protocol.TCP
    address: str | None = None
    name: str = ""
    on_host: bool = False  # long form, mode: host
    listener_protocol: ListenerProtocol = ListenerProtocol.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPort:
    """A PortSpec and the place in the file it comes from."""

    spec: PortSpec
    node: Node


def parse_short_port(text: str) -> WrittenPort:
    """One short form: [address:][published:]container[/protocol]; PortSyntaxError when it is none."""
    numbers, slash, protocol = text.strip().partition("/")
    address, published, container = _split_sides(numbers)
    if address is not None:
        check_address(address)
    written = WrittenPort(
        container=parse_numbers(container, side="container"),
        published=parse_numbers(published, side="published") if published else None,
        assigned=published == "" and address is not None,
        protocol=parse_protocol(protocol) if slash else Protocol.TCP,
        address=address,
    )
    if published == "" and address is None:
        raise PortSyntaxError(
            f"nothing stands before the ':' in '{shown(text)}'",
            f"Write 8080:{container} for a listener on 8080, or just {container} for an internal port.",
        )
    _check_sizes(written)
    return written


def _split_sides(text: str) -> tuple[str | None, str | None, str]:
    """(address, published, container); published None for a bare port, "" when left out."""
    if text.startswith("["):
        address, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise PortSyntaxError(
                f"'{shown(text)}' is not a port", "Write an IPv6 address as [::1]:8080:80."
            )
        published, colon, container = rest[1:].partition(":")
        return (address, published, container) if colon else (address, "", published)
    left, colon, container = text.rpartition(":")
    if not colon:
        return None, None, text
    address, colon, published = left.rpartition(":")
    return (address, published, container) if colon else (None, published, container)


def check_address(address: str) -> None:
    """PortSyntaxError unless `address` is an IP address."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        if address.isdecimal():
            message = f"there is one number too many: '{shown(address)}' stands where an address may stand"
        else:
            message = f"'{shown(address)}' is not an IP address"
        raise PortSyntaxError(
            message, "Write 8080:80, or 127.0.0.1:8080:80 to listen on one address."
        ) from None


def parse_protocol(text: str) -> Protocol:
    """tcp or udp, in any case."""
    if "/" in text:
        raise PortSyntaxError(
            f"'{shown(text)}' names more than one protocol",
            "Write one entry for each: 80:80/tcp and 80:80/udp.",
        )
    try:
        return Protocol(text.lower())
    except ValueError:
        raise PortSyntaxError(
            f"'{shown(text)}' is not a protocol portway carries",
            "Write /tcp, /udp, or nothing for tcp.",
        ) from None


def parse_numbers(text: str, *, side: str) -> Numbers:
    """One port number or a range first-last."""
    if text == "":
        raise PortSyntaxError(
            f"the {side} port is missing", "Write published:container, for instance 8080:80."
        )
    first, dash, last = text.partition("-")
    if dash and first == "":
        raise PortSyntaxError(f"the {side} port {shown(text)} is negative", "Ports are 1 to 65535.")
    if dash and last == "":
        raise PortSyntaxError(f"the range {shown(text)} has no end", f"Write {shown(first)}-LAST.")
    numbers = Numbers(
        first=_number(first, side), last=_number(last, side) if dash else _number(first, side)
    )
    if numbers.count < 1:
        raise PortSyntaxError(
            f"the range {numbers.first}-{numbers.last} runs backwards",
            f"Write {numbers.last}-{numbers.first}.",
        )
    return numbers


def _number(text: str, side: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise PortSyntaxError(
            f"the {side} port '{shown(text)}' is not a number", "Ports are numbers from 1 to 65535."
        )
    number = int(text) if len(text) <= 9 else _PORT_MAX + 1
    if not 1 <= number <= _PORT_MAX:
        advice = (
            " Write just the container port to have portway choose the others."
            if number == 0
            else ""
        )
        raise PortSyntaxError(
            f"the {side} port {shown(text)} is out of range", f"Ports are 1 to 65535.{advice}"
        )
    return number


def _check_sizes(written: WrittenPort) -> None:
    published, container = written.published, written.container
    if published is None or published.count == container.count or container.count == 1:
        return
    if published.count == 1:
        raise PortSyntaxError(
            f"{published} is one port, but {container} are {container.count}",
            f"Write a range of the same size: {published}-{published.first + container.count - 1}:{container}.",
        )
    raise PortSyntaxError(
        f"the ranges {published} and {container} are not of the same size "
        f"({published.count} and {container.count} ports)",
        "Make them equal, or write one container port for a pool.",
    )


def ports_of(node: Node | None, *, balanced: bool) -> tuple[PlacedPort, ...]:
    """Every port of a service, each with a name of its own. `balanced` False: the balancer has no part in them."""
    placed: list[PlacedPort] = []
    wanted = 0
    for item in items_of(node):
        written = _written(item)
        if written is None:
            continue
        wanted += _count(written)
        if wanted > PORTS_MAX:
            item.error(
                f"the service has more than {PORTS_MAX} ports",
                "Use a smaller range, or split the service.",
            )
            break
        specs = tuple(_specs(written, balanced=balanced))
        if len(specs) < _count(written) and specs[0].exposure is Exposure.HOST:
            item.error(
                "a range of published ports for one container port is a pool, and only balanced TCP ports have pools",
                "Write one published port, or a range of container ports of the same size.",
            )
        placed.extend(PlacedPort(spec=spec, node=item) for spec in specs)
    return _named(_without_repeats(placed))


def _count(written: WrittenPort) -> int:
    published = written.published
    return max(written.container.count, published.count if published else 0)


def _written(item: Node) -> WrittenPort | None:
    try:
        if isinstance(item, Fields):
            return _long_form(item)
        text = filled_text_of(item)
        return None if text is None else parse_short_port(text)
    except PortSyntaxError as error:
        (error.node or item).error(error.message, error.hint)
        return None


def _long_form(item: Fields) -> WrittenPort:
    if len(item.entries) == 1 and "target" not in item.entries:
        key, value = next(iter(item.entries.items()))
        both = f"{shown(key)}:{shown(value.value)}" if isinstance(value, Scalar) else "8080:80"
        raise PortSyntaxError(
            "is a map, not a port", f'Remove the space after the colon: write "{both}".'
        )
    warn_unknown(item, _LONG_KEYS, of="a port")
    container = _at(item, "target", lambda text: parse_numbers(text, side="container"))
    if container is None:
        raise PortSyntaxError("a port needs a target, the container port", "Add target: 80.")
    published = _at(item, "published", lambda text: parse_numbers(text, side="published"))
    address = _at(item, "host_ip", _address)
    written = WrittenPort(
        container=container,
        published=published,
        assigned=published is None and address is not None,
        protocol=_at(item, "protocol", parse_protocol) or Protocol.TCP,
        address=address,
        name=_at(item, "name", _port_name) or "",
        on_host=_at(item, "mode", _on_host) or False,
        listener_protocol=_at(item, "app_protocol", _app_protocol) or ListenerProtocol.AUTO,
    )
    _check_sizes(written)
    return written


def _at(item: Fields, key: str, parse: Callable[[str], _T]) -> _T | None:
    """The parsed value of `key`; its PortSyntaxError points at the value."""
    text = item.text(key)
    if text is None:
        return None
    try:
        return parse(text.strip())
    except PortSyntaxError as error:
        error.node = item.get(key)
        raise


def _address(text: str) -> str:
    check_address(text)
    return text


def _port_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise PortSyntaxError(
            f"'{shown(text)}' cannot name a port",
            "Use at most 63 letters, digits, '-', '_' and '.', a letter first.",
        )
    return text


def _on_host(text: str) -> bool:
    if text not in ("host", "ingress"):
        raise PortSyntaxError(
            f"'{shown(text)}' is not a mode", "Write ingress (balanced, the default) or host."
        )
    return text == "host"


def _app_protocol(text: str) -> ListenerProtocol:
    return _APP_PROTOCOLS.get(text.lower(), ListenerProtocol.AUTO)


def _specs(written: WrittenPort, *, balanced: bool) -> Iterator[PortSpec]:
    on_host = written.on_host or written.protocol is Protocol.UDP or not balanced
    published, container = written.published, written.container
    base = PortSpec(
        name=written.name,
        container_port=container.first,
        protocol=written.protocol,
        address=written.address,
        exposure=Exposure.HOST if on_host else Exposure.PUBLIC,
        listener=ListenerSpec(protocol=written.listener_protocol),
    )
    if published is None:
        yield from _unpublished(base, written, on_host=on_host)
    elif on_host:
        yield from _on_host_ports(base, published, container)
    elif container.count == 1:
        yield _titled(base, published, service_ports=tuple(published.each()))
    else:
        for service_port, container_port in zip(published.each(), container.each(), strict=True):
            number = Numbers(first=service_port, last=service_port)
            yield _titled(
                base, number, container_port=container_port, service_ports=(service_port,)
            )


def _unpublished(base: PortSpec, written: WrittenPort, *, on_host: bool) -> Iterator[PortSpec]:
    """Bare ports. Outside the balancer they get a leased host port that only this machine reaches."""
    for container_port in written.container.each():
        exposure = Exposure.PUBLIC if written.assigned else Exposure.INTERNAL
        yield replace(
            base,
            name=base.name or str(container_port),
            container_port=container_port,
            exposure=Exposure.HOST if on_host else exposure,
            address=LOOPBACK if on_host and base.address is None else base.address,
        )


def _on_host_ports(base: PortSpec, published: Numbers, container: Numbers) -> Iterator[PortSpec]:
    for offset in range(container.count):
        host_port = published.first + offset
        yield replace(
            base,
            name=base.name or str(host_port),
            container_port=container.first + offset,
            host_port=host_port,
        )


def _titled(
    base: PortSpec,
    published: Numbers,
    *,
    service_ports: tuple[int, ...],
    container_port: int | None = None,
) -> PortSpec:
    return replace(
        base,
        name=base.name or str(published.first),
        container_port=base.container_port if container_port is None else container_port,
        service_ports=service_ports,
    )


def _without_repeats(placed: list[PlacedPort]) -> list[PlacedPort]:
    """Internal ports once each; repeated public ones are two claims on one listener, refused elsewhere."""
    seen: set[PortSpec] = set()
    kept: list[PlacedPort] = []
    for port in placed:
        if port.spec in seen and port.spec.exposure is Exposure.INTERNAL:
            port.node.warn(f"{port.spec.container_port} is given twice; once is enough")
            continue
        seen.add(port.spec)
        kept.append(port)
    return kept


def _named(placed: list[PlacedPort]) -> tuple[PlacedPort, ...]:
    """Each port a name of its own: the number, else number-udp, else number-2, number-3 ..."""
    taken: set[str] = set()
    named: list[PlacedPort] = []
    for port in placed:
        name = _free_name(port.spec, taken)
        taken.add(name)
        named.append(PlacedPort(spec=replace(port.spec, name=name), node=port.node))
    return tuple(named)


def _free_name(spec: PortSpec, taken: set[str]) -> str:
    name = spec.name
    if name in taken and spec.protocol is Protocol.UDP:
        name = f"{spec.name}-udp"
    nth = 1
    while name in taken:
        nth += 1
        name = f"{spec.name}-{nth}"
    return name


def expose_of(node: Node | None) -> tuple[int, ...]:
    """The container ports of `expose`, ranges written out."""
    exposed: dict[int, None] = {}
    for item in items_of(node):
        text = text_of(item)
        if text is None:
            continue
        try:
            numbers, slash, protocol = text.strip().partition("/")
            if slash:
                parse_protocol(protocol)
            exposed.update(dict.fromkeys(parse_numbers(numbers, side="container").each()))
        except PortSyntaxError as error:
            item.error(
                error.message, error.hint or "expose takes container ports only, such as 3000."
            )
        if len(exposed) > PORTS_MAX:
            item.error(f"the service exposes more than {PORTS_MAX} ports", "Use a smaller range.")
            return ()
    return tuple(exposed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    address: str
    owner: str
    node: Node


def refuse_conflicts(ports: Iterable[tuple[str, PlacedPort]]) -> None:
    """An error for every number that two ports of the manifest want on overlapping addresses, naming both places."""
    claims: dict[tuple[Protocol, int], dict[str, _Claim]] = {}
    for owner, port in ports:
        claim = _Claim(address=_normal_address(port.spec.address), owner=owner, node=port.node)
        for number in _claimed(port.spec):
            earlier = claims.setdefault((port.spec.protocol, number), {})
            rival = _rival(claim, earlier)
            if rival is None:
                earlier[claim.address] = claim
                continue
            claim.node.error(
                f"{_owner(claim)} wants to listen on {number}, which {_owner(rival)} already takes "
                f"({rival.node.place}, {rival.node.path})",
                f"Give one of them another number, for instance {_other(number)}:{port.spec.container_port}.",
            )
            break


def _rival(claim: _Claim, earlier: Mapping[str, _Claim]) -> _Claim | None:
    """Who already has the number on an overlapping address; "" is every address."""
    if not claim.address:
        return next(iter(earlier.values()), None)
    return earlier.get("") or earlier.get(claim.address)


def _claimed(spec: PortSpec) -> tuple[int, ...]:
    return spec.service_ports if spec.host_port is None else (spec.host_port,)


def _owner(claim: _Claim) -> str:
    return claim.owner if not claim.address else f"{claim.owner} ({claim.address})"


def _other(number: int) -> int:
    return number + 1 if number < _PORT_MAX else number - 1


def _normal_address(address: str | None) -> str:
    if address is None:
        return ""
    parsed = ipaddress.ip_address(address)
    return "" if parsed.is_unspecified else str(parsed)
