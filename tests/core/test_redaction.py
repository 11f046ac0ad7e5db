"""A command is shown without the values of variables, wherever they were interpolated into it."""

from __future__ import annotations

import pytest

from portway.core.app import App
from portway.core.redaction import shown_command, shown_details


@pytest.mark.parametrize(
    ("fields", "variables", "shown"),
    [
        ({"command_text": "psql -W hunter22"}, {"PW": "hunter22"}, "psql -W ***"),
        ({"command": ("psql", "-W", "hunter 22")}, {"PW": "hunter 22"}, "psql -W ***"),
        ({"command": ("a", "--pw=x1")}, {"PASSWORD": "x1"}, "a --pw=***"),
        ({"command": ("a", "b c")}, {}, "a 'b c'"),
        ({"command_text": "puma -p 3000"}, {"PORT": "3000"}, "puma -p 3000"),
        ({"command_text": "a abcdefgh"}, {"A": "abcdef", "B": "abcdefgh"}, "a ***"),
        ({}, {"A": "abcdef"}, ""),
        ({"command_text": "a"}, {"EMPTY_TOKEN": ""}, "a"),
    ],
)
def test_values_of_the_stacks_variables_are_masked(
    fields: dict[str, object], variables: dict[str, str], shown: str
) -> None:
    assert shown_command(App(id="shop/web", **fields), variables) == shown  # type: ignore[arg-type]


def test_values_of_the_manifest_are_masked_where_their_names_say_that_they_are_secret() -> None:
    app = App(
        id="shop/web",
        environment={"DB_PASSWORD": "hunter22", "LEVEL": "verbose"},
        command_text="run --level verbose --pw hunter22",
    )
    assert shown_command(app, {}) == "run --level verbose --pw ***"


def test_what_the_engine_says_of_a_process_is_masked_too() -> None:
    details = {"command": "sh -c 'run hunter22'", "pid": "7"}
    shown = shown_details(details, App(id="shop/web"), {"PW": "hunter22"})
    assert shown == {"command": "sh -c 'run ***'", "pid": "7"}
