"""Documents: every core value round-trips, older and newer documents load, damaged ones are refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck as Check
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from portway.core import app as app_module
from portway.core import instance as instance_module
from portway.core import state as state_module
from portway.core.errors import StoreError
from portway.core.events import Event
from portway.core.instance import Phase as InstancePhase
from portway.core.stack import Certificate, Release, Stack
from portway.core.state import AppState
from portway.store.base import CoolingLease
from portway.store.codec import decode, encode
from tests.store import samples

KINDS = [AppState, Release, Stack, Certificate, CoolingLease, Event]

st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))
st.register_type_strategy(str, st.text(max_size=8))
relaxed = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking such values takes minutes
    suppress_health_check=[Check.too_slow, Check.data_too_large],
)


def values() -> st.SearchStrategy[Any]:
    return st.one_of([st.from_type(kind) for kind in KINDS])


@relaxed
@given(values())
def test_every_value_is_one_line_of_json_and_read_back_as_it_was_also_from_an_older_portway(
    value: Any,
) -> None:
    """One property of all three: what takes the time is to think up a value."""
    document = encode(value)
    assert decode(type(value), document) == value
    assert "\n" not in document
    assert "\x00" not in document, "PostgreSQL has no NUL in a text"
    json.loads(document)
    older = without_defaults(value)  # whose missing fields get their default
    assert decode(type(value), json.dumps(older)) == value


def test_nested_values_come_back_as_their_own_types() -> None:
    state = decode(AppState, encode(samples.state()))
    assert state == samples.state()
    assert isinstance(state.instances, tuple)
    assert isinstance(state.instances[0].phase, InstancePhase)
    assert state.target is not None
    assert isinstance(state.target.app.ports, tuple)


def with_unknown_fields(value: Any, *, is_mapping: bool = False) -> Any:
    match value:
        case dict():
            inner = {k: with_unknown_fields(v, is_mapping=k in MAPPINGS) for k, v in value.items()}
            return inner if is_mapping else {**inner, "from_the_future": {"deep": [1, {"x": None}]}}
        case list():
            return [with_unknown_fields(item) for item in value]
        case _:
            return value


MAPPINGS = {
    field.name
    for module in (app_module, state_module, instance_module)
    for kind in vars(module).values()
    if is_dataclass(kind)
    for field in fields(kind)
    if str(field.type).startswith("Mapping[")
}


def test_fields_of_a_newer_portway_are_ignored() -> None:
    state = samples.state()
    newer = with_unknown_fields(json.loads(encode(state)))
    assert "from_the_future" in newer["instances"][0]["identity"]["leases"][0]
    assert "from_the_future" not in newer["target"]["app"]["environment"]
    assert decode(AppState, json.dumps(newer)) == state


def without_defaults(value: Any) -> Any:
    """The document a portway would have written that knew only the fields without a default."""
    if is_dataclass(value):
        return {
            field.name: without_defaults(getattr(value, field.name))
            for field in fields(value)
            if not (
                field.default == getattr(value, field.name)
                or (callable(field.default_factory) and not getattr(value, field.name))
            )
        }
    if isinstance(value, tuple):
        return [without_defaults(item) for item in value]
    if isinstance(value, Mapping):
        return {key: without_defaults(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize(
    "document", ["", "{", "[]", "null", "{}", '{"app_id": 5, "target": null}', "\x00"]
)
def test_a_document_that_is_no_such_value_is_refused_naming_the_row(document: str) -> None:
    with pytest.raises(StoreError, match="App httpd/web in /x is saved in a form") as caught:
        decode(AppState, document, where="App httpd/web in /x")
    assert not caught.value.retryable


def test_a_value_of_a_choice_we_do_not_know_is_refused() -> None:
    document = encode(samples.state()).replace('"running"', '"paused"')
    with pytest.raises(StoreError, match="does not understand"):
        decode(AppState, document)


def test_text_that_is_not_unicode_is_refused_before_it_is_saved() -> None:
    with pytest.raises(StoreError, match="not valid Unicode") as caught:
        encode(samples.stack("\ud800"))
    assert not caught.value.retryable
