"""Rules of a listener."""

from portway.core.rules import Redirect, RuledListener


def test_a_redirect_keeps_every_part_that_it_does_not_name() -> None:
    kept = Redirect(status=301)
    parts = (kept.protocol, kept.host, kept.port_text, kept.path, kept.query)
    assert parts == ("#{protocol}", "#{host}", "#{port}", "/#{path}", "#{query}")


def test_a_listener_with_rules_gives_a_silent_endpoint_a_minute() -> None:
    assert RuledListener().idle_timeout_s == 60
