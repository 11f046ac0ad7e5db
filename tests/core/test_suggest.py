"""did_you_mean: the rules."""

from __future__ import annotations

from portway.core.suggest import did_you_mean


def test_a_close_word_is_suggested() -> None:
    assert did_you_mean("wbe", ["web", "worker"]) == ' Did you mean "web"?'


def test_a_word_that_resembles_nothing_gets_no_suggestion() -> None:
    assert did_you_mean("zzz", ["web", "worker"]) == ""


def test_nothing_is_suggested_out_of_nothing() -> None:
    assert did_you_mean("web", []) == ""


def test_letter_case_is_ignored_and_the_choice_is_shown_as_it_is_written() -> None:
    assert did_you_mean("WEB", ["Web"]) == ' Did you mean "Web"?'


def test_the_closest_of_several_is_the_one_suggested() -> None:
    assert did_you_mean("host_prots", ["home", "host_ports", "public"]) == (
        ' Did you mean "host_ports"?'
    )


def test_equal_choices_give_the_same_suggestion_whatever_their_order() -> None:
    assert did_you_mean("we", ["Web", "web"]) == did_you_mean("we", ["web", "Web"])
