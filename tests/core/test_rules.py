"""Rules of a listener."""

import msgspec
import pytest

from portway.core.rules import Action, Forward, Redirect, Respond, Rule, RuledListener


@pytest.mark.parametrize(
    "action", [Forward(pools=(("blue", 1),)), Redirect(status=301), Respond(status=403)]
)
def test_a_saved_rule_is_read_back_with_the_action_it_had(action: Action) -> None:
    rule = Rule(name="r", conditions=(), action=action)
    assert msgspec.json.decode(msgspec.json.encode(rule), type=Rule) == rule


def test_a_redirect_keeps_every_part_that_it_does_not_name() -> None:
    kept = Redirect(status=301)
    parts = (kept.protocol, kept.host, kept.port_text, kept.path, kept.query)
    assert parts == ("#{protocol}", "#{host}", "#{port}", "/#{path}", "#{query}")


def test_a_listener_with_rules_gives_a_silent_endpoint_a_minute() -> None:
    assert RuledListener().idle_timeout_s == 60
