"""Losses: every difference is told by its field, with the reason where there is one."""

from __future__ import annotations

from dataclasses import replace

from portway.core.app import App, PortSpec, Resources
from portway.manifests.losses import comparable, losses

WEB = App(id="s/web", image="x", ports=(PortSpec(name="80", container_port=80),))


def told(after: App, **reasons: str) -> list[str]:
    return [str(loss) for loss in losses([WEB], [after], reasons=reasons)]


def test_nothing_is_lost_of_what_is_the_same() -> None:
    assert told(replace(WEB, count=1, command_text="x", labels={"portway.x": "y"})) == []
    assert comparable(WEB) == comparable(replace(WEB, count=1))


def test_a_difference_is_told_by_its_field() -> None:
    port = replace(WEB.ports[0], host_port=9)
    after = replace(WEB, ports=(port,), resources=Resources(memory_bytes=1 << 20), labels={"a": "b"})  # fmt: skip
    assert told(after, ports="why", resources="because") == [
        "web: ports[0].host_port: nothing becomes 9: why",
        "web: resources.memory_bytes: nothing becomes 1 MiB: because",
        "web: labels: nothing becomes a",
    ]


def test_what_is_only_on_or_off_is_left_out_or_not() -> None:
    leased = replace(WEB, ports=(replace(WEB.ports[0], ephemeral=True),))
    why = {"ports": "why"}
    assert [str(one) for one in losses([leased], [WEB], reasons=why)] == [
        "web: ports[0].ephemeral: is left out: why"
    ]
    assert told(leased) == ["web: ports[0].ephemeral: is not left out there"]


def test_an_app_of_another_name_is_lost_whole() -> None:
    assert told(replace(WEB, id="s/other")) == ["web: name: is another one there"]


def test_variables_are_told_without_their_values() -> None:
    assert told(replace(WEB, environment={"P": "s3cret"})) == [
        "web: environment: is another one there"
    ]
