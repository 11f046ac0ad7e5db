"""The list of tasks as plain text, as HAProxy bridges of Marathon's first years read it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portway.controller.marathon.catalogue import Entry
from portway.controller.marathon.serving import service_ports_of
from portway.controller.marathon.sight import RUNNING, Seen, Sight
from portway.core.marathon.names import safe_path


def endpoints_text(sight: Sight, entries: Iterable[Entry]) -> str:
    """One line a service port: the app, the port, and host:port of every running task, each with a tab after it."""
    return "".join(line for entry in entries for line in _lines(sight, entry))


def _lines(sight: Sight, entry: Entry) -> Iterator[str]:
    name = safe_path(entry.path)
    running = [one for one in sight.seen(entry) if one.state == RUNNING]
    numbers = service_ports_of(entry.definition)
    if not numbers:
        hosts = "".join(f"{host}\t" for host in sorted(one.host for one in running))
        yield f"{name}\t \t{hosts}\n"
    for nth, number in enumerate(numbers):
        told = "".join(f"{where}\t" for where in sorted(_address(one, nth) for one in running))
        yield f"{name}\t{number}\t{told}\n"


def _address(one: Seen, nth: int) -> str:
    ports = one.host_ports
    return f"{one.host}:{ports[nth] if nth < len(ports) else 0}"
