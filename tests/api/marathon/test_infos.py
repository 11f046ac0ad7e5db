"""Encodings of apps: kept until something of them changes, and only so many of them."""

from __future__ import annotations

from portway.api.marathon.infos import DEPLOYMENTS, EMBEDS, FAILURE, TASKS, Infos, embeds_of
from tests.api.marathon.client import Client

APP = {"id": "/a", "cmd": "sleep 1"}


def test_words_of_embed_are_read_with_their_prefixes() -> None:
    assert embeds_of(["apps.tasks"]) == {TASKS, DEPLOYMENTS}
    assert embeds_of(["app.failures"]) == {TASKS, FAILURE, DEPLOYMENTS}
    assert embeds_of(["group.apps.counts", "nonsense"]) == {"counts"}


async def test_an_encoding_is_made_once_and_again_when_something_changed(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", APP)
    infos, tasks = Infos(ask.marathon), frozenset({TASKS})

    def raw() -> bytes:
        return infos.raw(ask.marathon.find("/a"), tasks)

    first = raw()
    assert raw() is first
    await ask.deploy("PUT", "/v2/apps/a", {"instances": 2})
    assert raw() != first
    second, [one, _] = raw(), ask.portway.live("marathon/a")
    ask.portway.engine.kill(one, exit_code=1)
    await ask.portway.until(lambda: one not in ask.portway.live("marathon/a"))
    assert raw() != second


async def test_of_many_ways_of_embedding_only_the_newest_are_kept(ask: Client) -> None:
    await ask.deploy("POST", "/v2/apps", APP)
    infos, entry = Infos(ask.marathon), ask.marathon.find("/a")
    for word in EMBEDS:
        assert infos.raw(entry, frozenset({word}))
    assert list(infos._infos) == [frozenset({word}) for word in EMBEDS[-4:]]
