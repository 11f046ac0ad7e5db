"""Rules of a listener."""

import msgspec
import pytest

from portway.core.rules import (
    Action,
    Condition,
    Forward,
    Part,
    Redirect,
    Request,
    Respond,
    Rule,
    RuledListener,
    choose,
    forwards,
    matches,
    wildcards,
)


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


def a_request(**parts: object) -> Request:
    return Request(**{"source": "127.0.0.1", **parts})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("part", "value", "parts", "fits"),
    [
        (Part.HOST, "*.Example.com", {"host": "a.example.COM"}, True),
        (Part.HOST, "*.example.com", {"host": "example.com"}, False),
        (Part.HOST, "example.com", {"host": "examplexcom"}, False),
        (Part.PATH, "/api/*", {"path": "/api/x"}, True),
        (Part.PATH, "/api/*", {"path": "/API/x"}, False),
        (Part.PATH, "/api/*", {"path": "/api"}, False),
        (Part.PATH, "/a?c", {"path": "/abc"}, True),
        (Part.PATH, "/a?c", {"path": "/ac"}, False),
        (Part.PATH, r"/a\*", {"path": "/a*"}, True),
        (Part.PATH, r"/a\*", {"path": "/ab"}, False),
        (Part.PATH, "/a b", {"path": "/a%20b"}, False),
        (Part.PATH, "/x", {"path": "/x", "query": "a=b"}, True),
        (Part.METHOD, "GET", {"method": "GET"}, True),
        (Part.METHOD, "GET", {"method": "get"}, False),
        (Part.METHOD, "G*", {"method": "GET"}, False),
        (Part.SOURCE, "127.0.0.0/8", {}, True),
        (Part.SOURCE, "10.0.0.1/8", {}, False),
        (Part.SOURCE, "::/0", {}, False),
    ],
)
def test_a_value_fits_as_an_alb_says(
    part: Part, value: str, parts: dict[str, object], fits: bool
) -> None:
    condition = Condition(
        part=part, values=("nothing" if part is not Part.SOURCE else value, value)
    )
    assert matches(condition, a_request(**parts)) is fits


@pytest.mark.parametrize(
    ("pair", "query", "fits"),
    [
        (("k", "v"), "a=b&K=V", True),
        (("k", "v"), "k=v2", False),
        (("k", "v*"), "k=v2&x", True),
        (("", "v"), "a=v", True),
        (("", "v"), "v", False),
        (("k", ""), "k", True),
        (("k", "*"), "k", True),
        (("k", "a=b"), "k=a=b", True),
        (("k", "v"), None, False),
        (("", "*"), None, False),
    ],
)
def test_a_pair_fits_any_pair_of_the_query(
    pair: tuple[str, str], query: str | None, fits: bool
) -> None:
    condition = Condition(part=Part.QUERY, pairs=(("no", "no"), pair))
    assert matches(condition, a_request(query=query)) is fits


def test_any_of_several_headers_of_a_name_may_fit() -> None:
    headers = (("X-Kind", "one"), ("x-kind", "TWO"), ("Other", "three"))
    for value, fits in (("two", True), ("three", False), ("t*", True)):
        condition = Condition(part=Part.HEADER, name="x-KIND", values=(value,))
        assert matches(condition, a_request(headers=headers)) is fits


def test_a_regular_expression_is_found_anywhere() -> None:
    condition = Condition(part=Part.PATH, values=("v[0-9]+$",), is_regex=True)
    assert matches(condition, a_request(path="/api/v12"))
    assert not matches(condition, a_request(path="/api/V12"))


def test_the_first_rule_that_fits_whole_decides() -> None:
    path = Condition(part=Part.PATH, values=("/a*",))
    host = Condition(part=Part.HOST, values=("x",))
    rules = (
        Rule(name="1", conditions=(path, host), action=Respond(status=401)),
        Rule(name="2", conditions=(path,), action=Respond(status=402)),
        Rule(name="3", conditions=(), action=Forward(pools=(("blue", 1),))),
    )
    default = Respond(status=404)
    assert choose(rules, default, a_request(path="/a", host="x")) == Respond(status=401)
    assert choose(rules, default, a_request(path="/a", host="y")) == Respond(status=402)
    assert choose(rules, default, a_request()) == rules[2].action
    assert choose((), default, a_request()) is default
    assert forwards(rules, default) == {"blue"}


def test_only_stars_and_question_marks_without_a_backslash_are_wildcards() -> None:
    assert wildcards(r"a*?\*\?\\.") == ("\\a", "*", "?", "\\*", "\\?", "\\\\", "\\.")
