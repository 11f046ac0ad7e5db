"""The hub of events: everybody hears everything, and nobody waits for a slow listener."""

from __future__ import annotations

from portway.controller.marathon.happenings import Happenings


def hub(unread_max: int = 3) -> Happenings:
    return Happenings(lambda: 5, unread_max=unread_max)


async def test_everybody_hears_everything_in_order() -> None:
    happenings = hub()
    with happenings.listening() as first, happenings.listening() as second:
        happenings.publish("a", x=1, y=None)
        happenings.publish("b")
        happenings.send_away()
        for listener in (first, second):
            heard = [one async for one in listener]
            assert [(one.kind, one.at_ms, one.fields) for one in heard] == [
                ("a", 5, {"x": 1}),
                ("b", 5, {}),
            ]


async def test_who_falls_too_far_behind_is_cut_off_and_the_others_are_not() -> None:
    happenings = hub(unread_max=2)
    with happenings.listening() as slow, happenings.listening() as quick:
        heard: list[str] = []
        for kind in "abcd":
            happenings.publish(kind)
            heard.append((await anext(quick)).kind)
        assert heard == ["a", "b", "c", "d"]
        assert slow.is_cut_off
        assert [one.kind async for one in slow] == ["a", "b"]
        assert happenings.listeners == 1
    assert happenings.listeners == 0
