from __future__ import annotations

import pytest

from portway.cli.live import Live


def test_on_a_terminal_the_block_is_drawn_again_in_place(
    capsys: pytest.CaptureFixture[str],
) -> None:
    live = Live(redraws=True)
    live.show({"a": "a 1", "b": "b 1"})
    live.show({"a": "a 2", "b": "b 1"})
    live.note("moved")
    live.clear()
    again = "\x1b[2F\x1b[J"
    assert capsys.readouterr().out == (
        f"a 1\nb 1\n{again}a 2\nb 1\n{again}moved\na 2\nb 1\n{again}"
    )


def test_a_line_wider_than_the_terminal_is_cut_to_stay_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    Live(redraws=True).show({"a": "x" * 30})
    assert capsys.readouterr().out == "x" * 18 + "…\n"


def test_elsewhere_each_change_is_one_line_and_what_stays_is_not_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    live = Live(redraws=False)
    live.show({"a": "a 1", "b": "b 1"})
    live.show({"a": "a 1", "b": "b 2"})
    live.show({"a": "a 1", "b": "b 2"})
    live.note("moved")
    assert capsys.readouterr().out == "a 1\nb 1\nb 2\nmoved\n"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    live = Live(quiet=True, redraws=True)
    live.show({"a": "a"})
    live.note("b")
    live.clear()
    assert capsys.readouterr().out == ""
