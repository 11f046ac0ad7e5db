"""What has to be said to HAProxy so that its servers become the wanted ones. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portway.balancers.haproxy.listeners import Listener, Server
from portway.balancers.haproxy.readback import ServerKey, ServerState
from portway.balancers.haproxy.render import group_options


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerChanges:
    """Commands in the order that never leaves a route with less than it has or shall have."""

    additions: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    removals: tuple[ServerKey, ...] = ()  # live ones: take out, close what they hold, delete
    leftovers: tuple[ServerKey, ...] = ()  # taken out before, not yet deleted

    def __bool__(self) -> bool:
        return bool(self.additions or self.weights or self.removals)


def plan_servers(
    listeners: Sequence[Listener], observed: Mapping[ServerKey, ServerState]
) -> ServerChanges:
    """The difference between what HAProxy has and what `listeners` want; nothing when they agree."""
    wanted = {
        ServerKey(backend=group.backend, server=server.name): (listener, group, server)
        for listener in listeners
        for group in listener.groups
        for server in group.servers
    }
    additions: list[str] = []
    raised: list[str] = []
    lowered: list[str] = []
    for key, (listener, group, server) in wanted.items():
        state = observed.get(key)
        if state is None:
            additions += _add(key, server, group_options(listener, group))
        elif state.maintenance:
            additions += [
                f"set server {key} weight {server.weight}",
                f"set server {key} state ready",
            ]
        elif state.weight != server.weight:
            (raised if server.weight else lowered).append(
                f"set server {key} weight {server.weight}"
            )
    unwanted = [(key, state) for key, state in observed.items() if key not in wanted]
    return ServerChanges(
        additions=tuple(additions),
        weights=(*raised, *lowered),
        removals=tuple(key for key, state in unwanted if not state.maintenance),
        leftovers=tuple(key for key, state in unwanted if state.maintenance),
    )


def plan_map(wanted: Mapping[str, str], observed: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """(entries to add as "key value", keys to delete)."""
    gone = [key for key, value in observed.items() if wanted.get(key) != value]
    new = [f"{key} {value}" for key, value in wanted.items() if observed.get(key) != value]
    return new, gone


def _add(key: ServerKey, server: Server, options: str) -> list[str]:
    return [
        f"add server {key} {server.address} weight {server.weight} {options}",
        f"enable server {key}",
    ]
