"""All checks together: none breaks the others, and the real machine can be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from portway.config import Config
from portway.controller.machine.base import Finding, Ground, ServerFacts, Severity, ok, real_ground
from portway.controller.machine.examine import examine

from .grounds import ground, programs


def check_something(_: Ground) -> Iterator[Finding]:
    yield ok("something", "it is there")
    raise ValueError("it printed nonsense")


def test_a_check_that_cannot_be_made_is_a_note_and_keeps_what_it_found(tmp_path: Path):
    found = examine(ground(tmp_path), (check_something,))
    assert [one.severity for one in found] == [Severity.OK, Severity.NOTE]
    assert found[1].text == "this could not be checked (ValueError: it printed nonsense)"


def test_programs_that_print_nonsense_break_nothing(tmp_path: Path):
    noise = dict.fromkeys(("haproxy", "iptables", "nft", "ufw", "timedatectl"), "\x00 ’ -A '\n-P\n")
    made = ground(tmp_path, run=programs(noise), ask_docker=lambda _path: {"Version": 3})  # type: ignore[dict-item]
    assert {one.check for one in examine(made)} >= {"disk", "haproxy", "docker"}


def test_this_machine_can_be_looked_at_without_server_and_docker(tmp_path: Path):
    config = Config(home=tmp_path, engine="process", listen="", docker_host="unix:///nowhere.sock")
    found = examine(real_ground(config, ServerFacts(), "1.0"))
    text = {one.check: one.text for one in found}
    assert text["docker"].startswith("Docker does not answer: there is no unix:///nowhere.sock")
    assert {"server", "disk", "home", "memory", "clock", "file limit", "firewall"} <= text.keys()
