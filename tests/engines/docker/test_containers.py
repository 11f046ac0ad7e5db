"""Containers on their way out, over a daemon that only counts."""

from __future__ import annotations

import asyncio

import pytest

from portway.engines.docker.engine import DockerEngine


class Endings:
    """A daemon that only counts: how many containers are ending, and how many did at once."""

    def __init__(self) -> None:
        self.now, self.most, self.told = 0, 0, 0
        self.deaf = False
        self.enough = asyncio.Event()

    async def call(self, method: str, path: str, **_: object) -> bytes:
        if path.endswith("/json"):
            return b'{"Id": "x", "Name": "/x", "Created": "", "Config": {}, "State": {"Status": "exited"}}'
        self.told += path.endswith("/kill")
        if self.told >= 20:
            self.enough.set()
        if path.endswith("/kill"):
            return b""
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await (self.enough.wait() if self.deaf else asyncio.sleep(0))
        finally:
            self.now -= 1
        return b""


@pytest.mark.parametrize("at_once", [1, 4])
async def test_no_more_containers_than_set_end_or_are_removed_at_once(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    engine, daemon = DockerEngine("nobody", at_once=at_once), Endings()
    monkeypatch.setattr(engine._client, "call", daemon.call)
    await asyncio.gather(
        *(engine.stop(f"s/web.1.{n}", signal="SIGTERM", grace_s=9) for n in range(20)),
        *(engine.remove(f"s/web.2.{n}") for n in range(20)),
    )
    assert daemon.most == at_once
    assert daemon.told == 20


async def test_what_does_not_end_when_it_is_told_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, daemon = DockerEngine("nobody"), Endings()
    daemon.deaf = True  # none ends before every one has been told
    monkeypatch.setattr(engine._client, "call", daemon.call)
    await asyncio.gather(
        *(engine.stop(f"s/web.1.{n}", signal="SIGTERM", grace_s=60) for n in range(20))
    )
    assert daemon.told == 20
