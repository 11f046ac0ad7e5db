"""What HAProxy says of itself, parsed: servers, statistics, processes. Pure."""

from __future__ import annotations

import csv
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from portway.balancers.haproxy.listeners import bind_address
from portway.core.traffic import Traffic

_FORCED_MAINTENANCE = 0x01
_ANSWERS = ("hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx", "hrsp_5xx", "hrsp_other")
_NAMES = ("pxname", "svname", "mode")
_COUNTS = ("scur", "qcur", "stot", "econ", "eresp", "dreq", "ereq", "wretr", "wredis")
_MORE_COUNTS = ("cli_abrt", "srv_abrt", "req_tot")
_COLUMNS = frozenset((*_NAMES, *_COUNTS, *_MORE_COUNTS, *_ANSWERS))  # of a hundred


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerKey:
    """A server within its backend."""

    backend: str
    server: str

    def __str__(self) -> str:
        return f"{self.backend}/{self.server}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerState:
    """One server as HAProxy has it."""

    address: str
    weight: int
    maintenance: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """One reading of `show stat` of one worker."""

    frontends: frozenset[str] = frozenset()
    connections: Mapping[ServerKey, int] = field(default_factory=dict)  # open and queued
    traffic: Mapping[str, Traffic] = field(
        default_factory=dict
    )  # by frontend, backend and server; a frontend counts no requests


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """Who answered on the admin socket and what it loaded."""

    process_id: int
    version: str
    description: str


def parse_servers(text: str) -> dict[ServerKey, ServerState]:
    """`show servers state` -> every server; ValueError when it is not such a table."""
    lines = text.strip().splitlines()
    if len(lines) < 2 or not lines[1].startswith("# "):
        raise ValueError(f"not a table of servers: {text[:200]!r}")
    columns = {name: at for at, name in enumerate(lines[1][2:].split())}
    with _whole():
        return dict(_server(line.split(), columns) for line in lines[2:])


def _server(row: Sequence[str], columns: Mapping[str, int]) -> tuple[ServerKey, ServerState]:
    key = ServerKey(backend=row[columns["be_name"]], server=row[columns["srv_name"]])
    return key, ServerState(
        address=bind_address(row[columns["srv_addr"]], int(row[columns["srv_port"]])),
        weight=int(row[columns["srv_uweight"]]),
        maintenance=bool(int(row[columns["srv_admin_state"]]) & _FORCED_MAINTENANCE),
    )


@contextmanager
def _whole() -> Generator[None, None, None]:
    """A worker that ends while it answers leaves a row without its end: ValueError."""
    try:
        yield
    except (KeyError, IndexError) as error:
        raise ValueError(f"a table that was cut off: {error}") from error


def parse_statistics(text: str) -> Statistics:
    """`show stat` -> counters and connections; ValueError when it is not such a table."""
    if not text.lstrip().startswith("# pxname,"):
        raise ValueError(f"not a table of statistics: {text[:200]!r}")
    with _whole():
        return _statistics(text)


def _statistics(text: str) -> Statistics:
    frontends: set[str] = set()
    connections: dict[ServerKey, int] = {}
    traffic: dict[str, Traffic] = {}
    lines = csv.reader(text.strip()[2:].splitlines())
    columns = [(name, at) for at, name in enumerate(next(lines)) if name in _COLUMNS]
    for line in lines:
        row = {name: line[at] for name, at in columns}
        proxy, name = row["pxname"], row["svname"]
        if name == "FRONTEND":
            frontends.add(proxy)
            traffic[proxy] = Traffic(
                denied=_number(row.get("dreq", "")), malformed=_number(row.get("ereq", ""))
            )
        elif name == "BACKEND":
            traffic[proxy] = _counted(row)
        else:
            key = ServerKey(backend=proxy, server=name)
            connections[key] = _number(row["scur"]) + _number(row["qcur"])
            if row["stot"] != "0":
                traffic[str(key)] = _counted_of_server(row)
    return Statistics(frontends=frozenset(frontends), connections=connections, traffic=traffic)


def joined(readings: Sequence[Statistics]) -> Statistics:
    """Readings of different proxies of one worker as one."""
    connections: dict[ServerKey, int] = {}
    traffic: dict[str, Traffic] = {}
    for reading in readings:
        connections |= reading.connections
        traffic |= reading.traffic
    frontends = frozenset().union(*(reading.frontends for reading in readings))
    return Statistics(frontends=frontends, connections=connections, traffic=traffic)


def _counted(row: Mapping[str, str]) -> Traffic:
    """A backend's own counters; a column an old HAProxy has not counts nothing."""

    def count(column: str) -> int:
        return _number(row.get(column, ""))

    return Traffic(
        requests=count("req_tot" if row["mode"] == "http" else "stot"),
        not_connected=count("econ"),
        broken_off=count("eresp"),
        errors_5xx=count("hrsp_5xx"),
        denied=count("dreq"),
        retried=count("wretr"),
        redispatched=count("wredis"),
        client_aborts=count("cli_abrt"),
        server_aborts=count("srv_abrt"),
    )


def _counted_of_server(row: Mapping[str, str]) -> Traffic:
    """A server's own counters. HAProxy counts its answers, and apart from them what never became one."""

    def count(column: str) -> int:
        return _number(row.get(column, ""))

    counted = Traffic(
        not_connected=count("econ"),
        broken_off=count("eresp"),
        errors_5xx=count("hrsp_5xx"),
        retried=count("wretr"),
        redispatched=count("wredis"),
    )
    unanswered = counted.failed + counted.redispatched
    if row["mode"] == "http":
        requests = unanswered + sum(map(count, _ANSWERS))
    else:
        requests = max(unanswered, count("stot"))
    return replace(counted, requests=requests)


def parse_info(text: str) -> WorkerInfo:
    """`show info` -> which worker this is; ValueError when it is not that."""
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    if "Pid" not in fields:
        raise ValueError(f"not the information of a process: {text[:200]!r}")
    return WorkerInfo(
        process_id=int(fields["Pid"]),
        version=fields.get("Version", ""),
        description=fields.get("description", ""),
    )


def parse_workers(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """`show proc` -> (current workers, old workers, oldest first)."""
    if "#<PID>" not in text:
        raise ValueError(f"not a table of processes: {text[:200]!r}")
    current: list[int] = []
    old: list[tuple[int, int]] = []
    section = ""
    for line in text.splitlines():
        if line.startswith("# "):
            section = line[2:].strip()
            continue
        row = line.split()
        if len(row) < 3 or row[1] != "worker":
            continue
        if section == "old workers":
            old.append((int(row[2]), int(row[0])))
        else:
            current.append(int(row[0]))
    return tuple(current), tuple(pid for _, pid in sorted(old, reverse=True))


def parse_sessions(text: str, key: ServerKey) -> tuple[str, ...]:
    """`show sess` -> the ids of the sessions that are on this server."""
    found: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if f"be={key.backend}" in words and f"srv={key.server}" in words:
            found.append(words[0].rstrip(":"))
    return tuple(found)


def parse_map(text: str) -> dict[str, str]:
    """`show map FILE` -> its entries."""
    rows = (line.split() for line in text.splitlines())
    return {row[1]: row[2] for row in rows if len(row) == 3 and row[0].startswith("0x")}


def parse_certificate_list(text: str) -> set[str]:
    """`show ssl crt-list -n FILE` -> the certificate files in it."""
    lines = (line.strip() for line in text.splitlines())
    return {line.split()[0].rpartition(":")[0] for line in lines if line and line[0] != "#"}


def _number(text: str) -> int:
    return int(text) if text else 0
