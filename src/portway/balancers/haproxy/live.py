"""Changes made to a running worker: servers, cookie maps, certificates. Read back, never assumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portway.balancers.haproxy.admission import Problem, problem_of
from portway.balancers.haproxy.changes import ServerChanges, plan_map, plan_servers
from portway.balancers.haproxy.listeners import Listener, Slot, digest
from portway.balancers.haproxy.readback import (
    ServerKey,
    parse_certificate_list,
    parse_map,
    parse_sessions,
)
from portway.balancers.haproxy.reading import read_servers
from portway.balancers.haproxy.request_lines import LOG_MAP
from portway.balancers.haproxy.runtime import Runtime, Session
from portway.core.errors import BalancerError

_PAYLOAD_MAX_BYTES = 15_000  # HAProxy takes one buffer of 16 KiB
_ROUNDS = 3


async def sync_servers(
    session: Session,
    runtime: Runtime,
    listeners: Sequence[Listener],
    old_workers: Sequence[int],
    *,
    alone: bool = False,
) -> tuple[ServerKey, ...]:
    """Make the worker's servers the wanted ones; what could not be deleted yet is returned.

    Cookies of servers that come are learnt after them, of servers that go forgotten before them.
    `alone`: these are not all the listeners, and those of others are not looked at.
    """
    looked_at = listeners if alone else None
    refusals: list[str] = []
    rest = ServerChanges()
    for _ in range(_ROUNDS):
        changes = plan_servers(listeners, await read_servers(session, looked_at))
        await _tell(session, changes.additions, refusals)
        await _sync_maps(session, listeners)
        await _tell(session, changes.weights, refusals)
        for key in changes.removals:
            await take_out(session, runtime, key, old_workers)
        await delete_servers(session, (*changes.removals, *changes.leftovers))
        rest = plan_servers(listeners, await read_servers(session, looked_at))
        if not rest:
            return rest.leftovers
    raise BalancerError(
        f"HAProxy did not take every change: {_describe(rest)}.",
        hint="It said: " + ("; ".join(refusals) or "nothing") + ". portway tries again by itself.",
    )


async def take_out(
    session: Session, runtime: Runtime, key: ServerKey, old_workers: Sequence[int]
) -> None:
    """No new connections to the server, and none of those it has is kept, in old workers neither."""
    await session.ask(f"set server {key} state maint")
    await session.ask(f"shutdown sessions server {key}")
    for worker_id in old_workers:
        # A worker that is finishing refuses `shutdown sessions server`: its proxies are disabled.
        for session_id in parse_sessions(await runtime.ask_old(worker_id, "show sess"), key):
            await runtime.ask_old(worker_id, f"shutdown session {session_id}")


async def delete_servers(session: Session, keys: Sequence[ServerKey]) -> tuple[ServerKey, ...]:
    """Delete servers that were taken out; those whose idle connections still close are returned."""
    left: list[ServerKey] = []
    for key in keys:
        await session.ask("experimental-mode on")
        answer = await session.ask(f"del server {key}")
        if "deleted" not in answer and "No such server" not in answer:
            left.append(key)
    return tuple(left)


async def sync_certificates(
    session: Session, listeners: Sequence[Listener], loaded: Mapping[str, str]
) -> tuple[dict[str, str], list[Problem]]:
    """Make the worker's certificates the wanted ones; a refused one is a problem of its listener alone.

    `loaded` and the result: path -> digest of what the worker has.
    """
    now = dict(loaded)
    problems: list[Problem] = []
    for listener in listeners:
        if not listener.slots:
            continue
        try:
            await _sync_slots(session, listener, now)
        except BalancerError as error:
            problems.append(
                problem_of(
                    listener.route, error.message, hint=error.hint, retryable=error.retryable
                )
            )
    return now, problems


async def _sync_slots(session: Session, listener: Listener, now: dict[str, str]) -> None:
    answer = await session.ask(f"show ssl crt-list -n {listener.list_path}")
    listed = parse_certificate_list(answer)
    for slot in listener.slots:
        is_new = slot.path not in listed
        if is_new:
            await session.ask(f"new ssl cert {slot.path}")
        if is_new or now.get(slot.path) != digest(slot.pem):
            await _put_certificate(session, slot, listener)
        if is_new:
            answer = await session.ask(f"add ssl crt-list {listener.list_path} {slot.path}")
            if "Success" not in answer:
                raise _refused(listener, answer)
        now[slot.path] = digest(slot.pem)
    for path in sorted(listed - {slot.path for slot in listener.slots}):
        await session.ask(f"del ssl crt-list {listener.list_path} {path}")
        await session.ask(f"del ssl cert {path}")
        now.pop(path, None)


def fits_runtime(pem: str) -> bool:
    """Whether a certificate is small enough to be changed without a reload."""
    return len(pem.encode()) <= _PAYLOAD_MAX_BYTES


async def _put_certificate(session: Session, slot: Slot, listener: Listener) -> None:
    # An empty line would end the payload.
    pem = "\n".join(line for line in slot.pem.splitlines() if line.strip())
    answer = await session.ask(f"set ssl cert {slot.path} <<\n{pem}\n")
    if "Transaction" in answer:
        answer = await session.ask(f"commit ssl cert {slot.path}")
        if "Success" in answer:
            return
        await session.ask(f"abort ssl cert {slot.path}")
    raise _refused(listener, answer)


def _refused(listener: Listener, answer: str) -> BalancerError:
    number, owner = listener.route.key.service_port, listener.route.owner
    return BalancerError(
        f"HAProxy refused a certificate for port {number} of {owner}; what it had goes on serving.",
        hint=f"It said: {_plain(answer)}",
        retryable=False,
    )


async def _sync_maps(session: Session, listeners: Sequence[Listener]) -> None:
    for group in [group for listener in listeners for group in listener.sticky_groups]:
        path = group.map_path
        observed = parse_map(await session.ask(f"show map {path}"))
        new, gone = plan_map(group.cookie_map, observed)
        for cookie in gone:
            await session.ask(f"del map {path} {cookie}")
        for entry in new:
            await session.ask(f"add map {path} {entry}")


async def sync_reported(session: Session, listeners: Sequence[Listener]) -> None:
    """Make the listeners whose requests are written down the wanted ones."""
    wanted = {listener.name: "1" for listener in listeners if listener.is_reported}
    new, gone = plan_map(wanted, parse_map(await session.ask(f"show map {LOG_MAP}")))
    for name in gone:
        await session.ask(f"del map {LOG_MAP} {name}")
    for entry in new:
        await session.ask(f"add map {LOG_MAP} {entry}")


async def _tell(session: Session, commands: Sequence[str], refusals: list[str]) -> None:
    for command in commands:
        if command.startswith("add server"):
            await session.ask("experimental-mode on")
        answer = await session.ask(command)
        if answer and "New server registered" not in answer:
            refusals.append(_plain(answer))


def _describe(changes: ServerChanges) -> str:
    commands = [*changes.additions, *changes.weights, *(f"remove {k}" for k in changes.removals)]
    return "; ".join(commands[:3]) + (" ..." if len(commands) > 3 else "")


def _plain(answer: str) -> str:
    return " ".join(answer.split())[:300]
