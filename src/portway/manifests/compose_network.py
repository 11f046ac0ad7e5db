"""Compose `networks`, `links`, `depends_on`, `extra_hosts`: what of the stack an App reaches, and what it waits for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from portway.core.app import Condition, Dependency, Link, Network
from portway.manifests.compose_values import ignore, name_hint, name_problem
from portway.manifests.tree import (
    Fields,
    Items,
    Node,
    fields_of,
    filled_text_of,
    is_null,
    items_of,
    pairs_of,
    scalars_of,
    shown,
    text_of,
    warn_unknown,
)

DEFAULT_NETWORK = "default"

_TOP_KEYS = (
    "external", "name", "driver", "driver_opts", "ipam", "internal", "attachable", "labels",
    "enable_ipv4", "enable_ipv6",
)  # fmt: skip
_TOP_IGNORED = {
    "driver_opts": "driver_opts are ignored: portway makes the network itself",
    "ipam": "ipam is ignored: the engine chooses addresses that are free",
    "attachable": "attachable is ignored",
    "labels": "labels of a network are ignored",
    "enable_ipv4": "enable_ipv4 is ignored",
    "enable_ipv6": "enable_ipv6 is ignored",
}
_SERVICE_KEYS = (
    "aliases", "ipv4_address", "ipv6_address", "link_local_ips", "mac_address", "priority",
    "gw_priority", "interface_name", "driver_opts",
)  # fmt: skip
_SERVICE_IGNORED = {
    "ipv4_address": "a fixed address is ignored: every instance needs its own; use the service's name",
    "ipv6_address": "a fixed address is ignored: every instance needs its own; use the service's name",
    "link_local_ips": "link_local_ips are ignored",
    "mac_address": "a fixed MAC address is ignored: every instance needs its own",
    "priority": "priority is ignored",
    "gw_priority": "gw_priority is ignored",
    "interface_name": "interface_name is ignored",
    "driver_opts": "driver_opts are ignored",
}
_MODES = {
    "host": (
        "network_mode: host would take the ports of the machine itself, and a second instance could not start",
        "Remove it, and list the ports under ports.",
    ),
    "none": (
        "network_mode: none would leave the instance unreachable, so portway could not see it become healthy",
        "Remove it.",
    ),
}
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """The top-level `networks`, by the name services use."""

    declared: Mapping[str, Network]

    def of(self, service: Fields) -> tuple[Network, ...]:
        """The networks an App joins besides the stack's own, and its aliases there."""
        node = service.get("networks")
        if node is None:
            default = self.declared.get(DEFAULT_NETWORK)
            return (default,) if default and default.external else ()
        joined = (self._joined(name, where) for name, where in _wanted(node))
        return tuple(network for network in joined if network and _says_something(network))

    def _joined(self, name: str, where: Node) -> Network | None:
        declared = self.declared.get(name)
        if declared is None:
            hint = where.suggest(name, self.declared) or "Add it to the top-level networks."
            where.error(f"the network '{shown(name)}' is not declared", hint)
            return None
        aliases = _aliases(where)
        return Network(name=declared.name, external=declared.external, aliases=aliases)


def _says_something(network: Network) -> bool:
    """The stack's own network is joined anyway; only aliases on it are worth a word."""
    return network.name != DEFAULT_NETWORK or network.external or bool(network.aliases)


def _wanted(node: Node) -> Iterable[tuple[str, Node]]:
    if isinstance(node, Fields):
        return [
            (key, node.keys[key] if is_null(value) else value)
            for key, value in node.entries.items()
        ]
    return (
        [(scalar.value, scalar) for scalar in scalars_of(node)]
        if isinstance(node, Items)
        else _not_a_list(node)
    )


def _not_a_list(node: Node) -> list[tuple[str, Node]]:
    items_of(node)  # says that it is no list
    return []


def _aliases(where: Node) -> tuple[str, ...]:
    if not isinstance(where, Fields):
        return ()
    warn_unknown(where, _SERVICE_KEYS, of="a service's network")
    ignore(where, _SERVICE_IGNORED)
    aliases: dict[str, None] = {}
    for scalar in scalars_of(where.get("aliases")):
        if _ALIAS.fullmatch(scalar.value):
            aliases[scalar.value] = None
        else:
            scalar.error(
                f"'{shown(scalar.value)}' cannot be a host name", "Use letters, digits and '-'."
            )
    return tuple(aliases)


def networks_of(node: Node | None) -> Networks:
    """What the file declares at its top level; `default` is always there."""
    declared = {DEFAULT_NETWORK: Network(name=DEFAULT_NETWORK)}
    fields = fields_of(node)
    if fields is None:
        return Networks(declared=declared)
    for key, value in fields.entries.items():
        if key.startswith("x-"):
            continue
        spec = None if is_null(value) else fields_of(value)
        declared[key] = Network(name=key) if spec is None else _declared(key, spec)
    return Networks(declared=declared)


def _declared(key: str, spec: Fields) -> Network:
    warn_unknown(spec, _TOP_KEYS, of="a network")
    ignore(spec, _TOP_IGNORED)
    name = spec.text("name")
    if isinstance(spec.get("external"), Fields):
        inner = fields_of(spec.get("external"))
        return Network(name=(inner.text("name") if inner else None) or name or key, external=True)
    if spec.flag("external"):
        return Network(name=name or key, external=True)
    _warn_of_ours(spec, name)
    return Network(name=key)


def _warn_of_ours(spec: Fields, name: str | None) -> None:
    if name is not None:
        spec.keys["name"].warn(
            "the name of a network is ignored: portway names the stack's networks",
            "Make the network yourself and add external: true to join it under this name.",
        )
    if spec.text("driver") not in (None, "bridge", "overlay", "default"):
        spec.keys["driver"].error(
            f"the network driver '{shown(spec.text('driver') or '')}' is not supported",
            "Remove it, or make the network yourself and add external: true.",
        )
    if spec.flag("internal"):
        spec.keys["internal"].warn(
            "internal is ignored: every service also joins the stack's own network, which leads outside"
        )


def check_network_mode(service: Fields) -> None:
    """An error for a network_mode that cannot be balanced; bridge and default are what portway does anyway."""
    node = service.get("network_mode")
    mode = text_of(node)
    if node is None or mode in (None, "bridge", "default"):
        return
    message, hint = _MODES.get(
        mode,
        (
            f"network_mode '{shown(mode)}' is not supported",
            "Remove it: services reach each other by name.",
        ),
    )
    node.error(message, hint)


def links_of(service: Fields, *, owner: str, names: Iterable[str]) -> tuple[Link, ...]:
    """The links of a service, NAME or NAME:ALIAS."""
    links: dict[str, Link] = {}
    for item in items_of(service.get("links")):
        text = filled_text_of(item)
        if text is None:
            continue
        name, _, alias = text.strip().partition(":")
        alias = alias or name
        if not _known(item, name, owner=owner, names=names, verb="links to"):
            continue
        if not _ALIAS.fullmatch(alias):
            item.error(f"'{shown(alias)}' cannot be a host name", "Use letters, digits and '-'.")
            continue
        links[alias] = Link(name=name, alias=alias)
    return tuple(links.values())


def _known(item: Node, name: str, *, owner: str, names: Iterable[str], verb: str) -> bool:
    if name == owner:
        item.error(f"{owner} {verb} itself", "Remove it.")
        return False
    if name in names:
        return True
    hint = item.suggest(name, (n for n in names if n != owner))
    item.error(f"{owner} {verb} service: {shown(name)} which does not exist", hint)
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedDependency:
    """A Dependency and the place in the file it comes from."""

    spec: Dependency
    node: Node


def dependencies_of(
    service: Fields, links: Iterable[Link], *, owner: str, names: Iterable[str]
) -> tuple[PlacedDependency, ...]:
    """What a service waits for: depends_on, and its links, which compose starts first as well."""
    found: dict[str, PlacedDependency] = {}
    for dependency in _written_dependencies(service.get("depends_on")):
        name = dependency.spec.name
        optional = not dependency.spec.required and name not in names
        if not optional and _known(
            dependency.node, name, owner=owner, names=names, verb="depends on"
        ):
            found[name] = dependency
    for link in links:
        node = service.entries["links"]
        found.setdefault(link.name, PlacedDependency(spec=Dependency(name=link.name), node=node))
    return tuple(found.values())


def _written_dependencies(node: Node | None) -> Iterable[PlacedDependency]:
    if isinstance(node, Fields):
        return [_long_dependency(node, key) for key in node.entries]
    return [
        PlacedDependency(spec=Dependency(name=item.value), node=item)
        for item in (scalars_of(node) if isinstance(node, Items) else ())
    ] or _nothing(node)


def _nothing(node: Node | None) -> list[PlacedDependency]:
    items_of(node)  # says that it is no list
    return []


def _long_dependency(node: Fields, name: str) -> PlacedDependency:
    value = node.entries[name]
    fields = None if is_null(value) else fields_of(value)
    if fields is None:
        return PlacedDependency(spec=Dependency(name=name), node=node.keys[name])
    warn_unknown(fields, ("condition", "required", "restart"), of="depends_on")
    ignore(
        fields,
        {
            "restart": "restart is ignored: instances are replaced only when their own service changes"
        },
    )
    spec = Dependency(
        name=name, condition=_condition(fields), required=fields.flag("required", default=True)
    )
    return PlacedDependency(spec=spec, node=node.keys[name])


def _condition(fields: Fields) -> Condition:
    text = fields.text("condition")
    if text is None or text in tuple(Condition):
        return Condition(text or Condition.STARTED)
    node = fields.entries["condition"]
    hint = node.suggest(text, tuple(Condition)) or f"Write one of {', '.join(Condition)}."
    node.error(f"'{shown(text)}' is not a condition", hint)
    return Condition.STARTED


def refuse_cycles(dependencies: Mapping[str, Iterable[PlacedDependency]]) -> None:
    """An error for every circle of services that wait for each other, naming it."""
    done: set[str] = set()
    for start in dependencies:
        _follow(start, dependencies, done)


def _follow(
    start: str, dependencies: Mapping[str, Iterable[PlacedDependency]], done: set[str]
) -> None:
    """Depth first from `start`, with a stack of its own: a chain may be longer than Python's."""
    trail: dict[str, None] = {start: None}
    waiting = [iter(tuple(dependencies.get(start, ())))]
    while waiting:
        dependency = next(waiting[-1], None)
        if dependency is None:
            waiting.pop()
            done.add(trail.popitem()[0])
            continue
        name = dependency.spec.name
        if name in trail:
            names = list(trail)
            circle = " -> ".join([*names[names.index(name) :], name])
            dependency.node.error(
                f"these services wait for each other in a circle: {circle}",
                "Remove one of the steps.",
            )
        elif name not in done:
            trail[name] = None
            waiting.append(iter(tuple(dependencies.get(name, ()))))


def extra_hosts_of(service: Fields) -> tuple[tuple[str, str], ...]:
    """Extra names and their addresses, HOST:IP or HOST=IP, or a map."""
    node = service.get("extra_hosts")
    pairs: list[tuple[str, str]] = []
    if isinstance(node, Fields):
        for pair in pairs_of(node):
            _add_host(pairs, pair.key, pair.value or "", pair.node)
        return tuple(pairs)
    for item in items_of(node):
        text = filled_text_of(item)
        if text is not None:
            name, found, address = text.strip().partition("=" if "=" in text else ":")
            _add_host(pairs, name, address if found else "", item)
    return tuple(pairs)


def _add_host(pairs: list[tuple[str, str]], name: str, address: str, node: Node) -> None:
    address = address.strip().removeprefix("[").removesuffix("]")
    if address != "host-gateway":
        try:
            ipaddress.ip_address(address)
        except ValueError:
            node.error(
                f"'{shown(address)}' is not an IP address",
                "Write name:address, for instance db:10.0.0.5.",
            )
            return
    if not _ALIAS.fullmatch(name.strip()):
        node.error(f"'{shown(name)}' cannot be a host name", "Use letters, digits, '-' and '.'.")
        return
    pairs.append((name.strip(), address))


def check_hostname(node: Node | None) -> str:
    """The host name of an instance, "" when none is given."""
    text = text_of(node)
    if node is None or text is None:
        return ""
    problem = name_problem(text)
    if problem:
        node.error(problem, name_hint(text))
    return text
