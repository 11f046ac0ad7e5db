"""Reading the workers: all of everything, or some listeners of each worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from portway.balancers.haproxy.listeners import build_listener
from portway.balancers.haproxy.reading import Reader
from portway.balancers.haproxy.runtime import Runtime
from tests.balancers.support import LOOPBACK, make_route

HEADER = "# pxname,svname,qcur,scur,mode,stot,req_tot,econ,hrsp_2xx\n"
LISTENER = build_listener(
    make_route(80), public_addresses=(LOOPBACK,), certificates={}, fallback_pem=""
)
HTTP, TCP = LISTENER.backends


class Workers:
    """A current worker and old ones, with their answers; a Runtime and a Session at once."""

    def __init__(self, current: dict[str, str], **old: dict[str, str]) -> None:
        self.current = current
        self.old = {int(name[1:]): answers for name, answers in old.items()}
        self.asked: list[str] = []

    async def workers(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (1,), tuple(self.old)

    @asynccontextmanager
    async def session(self, worker_id: int | None = None) -> AsyncIterator[Workers]:
        assert worker_id in (None, 1)
        yield self

    async def ask(self, command: str) -> str:
        self.asked.append(command)
        return self.current.get(command, "No such proxy.")

    async def ask_old(self, worker_id: int, command: str) -> str:
        return self.old[worker_id].get(command, "No such proxy.")


def reader(workers: Workers) -> Reader:
    return Reader(cast("Runtime", workers))


def stat(proxy: str, requests: int, *, server: str = "") -> str:
    rows = f"{proxy},BACKEND,0,0,http,{requests},{requests},0,{requests}\n"
    return (
        HEADER + (f"{proxy},{server},1,2,http,{requests},,0,{requests}\n" if server else "") + rows
    )


async def test_only_the_proxies_of_the_listeners_are_asked_for() -> None:
    workers = Workers({f"show stat {HTTP} -1 -1": stat(HTTP, 3, server="web")})
    (reading,) = await reader(workers).statistics([LISTENER])
    assert workers.asked == [f"show stat {n} -1 -1" for n in (LISTENER.name, HTTP, TCP)]
    assert {str(key): count for key, count in reading.connections.items()} == {f"{HTTP}/web": 3}


async def test_a_proxy_that_an_old_worker_does_not_have_has_counted_nothing_there() -> None:
    question = f"show stat {HTTP} -1 -1"
    workers = Workers({question: stat(HTTP, 3)}, w7={question: stat(HTTP, 4)}, w8={})
    read = reader(workers)
    assert len(await read.statistics([LISTENER])) == 3
    assert read.counters.total(HTTP).requests == 7


async def test_what_was_counted_for_others_is_kept_when_some_are_read() -> None:
    workers = Workers({"show stat": stat("other", 5), f"show stat {HTTP} -1 -1": stat(HTTP, 3)})
    read = reader(workers)
    await read.statistics()
    await read.statistics([LISTENER])
    assert read.counters.total("other").requests == 5
    assert read.counters.total(HTTP).requests == 3


async def test_an_answer_that_is_no_table_is_an_error_not_nothing() -> None:
    workers = Workers({"show stat": "Permission denied"})
    with pytest.raises(ValueError, match="not a table of statistics"):
        await reader(workers).statistics()


async def test_a_backend_that_is_not_there_has_no_servers() -> None:
    workers = Workers({f"show servers state {HTTP}": "Can't find backend."})
    workers.current[f"show servers state {TCP}"] = "Can't find backend."
    assert await reader(workers).servers([LISTENER]) == {}
