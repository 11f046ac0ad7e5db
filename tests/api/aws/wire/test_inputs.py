"""JSON and CBOR trees, where they are not what botocore writes."""

from __future__ import annotations

from typing import Any

import pytest

from portway.api.aws.wire.inputs import WrongType, read_tree
from portway.api.aws.wire.shapes import LIST_ITEM, MAP_KEY, MAP_VALUE, Kind, Shape

SELF = Shape(name="Self", kind=Kind.STRUCTURE)
SELF.members["In"] = SELF


def one(kind: Kind) -> Shape:
    return Shape(name="S", kind=Kind.STRUCTURE, members={"A": Shape(name="T", kind=kind)})


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        (Kind.STRING, 1, "NUMBER_VALUE can not be converted to a String"),
        (Kind.INTEGER, "1", "STRING_VALUE can not be converted to an Integer"),
        (Kind.INTEGER, 1.5, "NUMBER_VALUE can not be converted to an Integer"),
        (Kind.INTEGER, True, "TRUE_VALUE can not be converted to an Integer"),
        (Kind.INTEGER, 2**31, "out of range for an Integer"),
        (Kind.LONG, 2**63, "out of range for a Long"),
        (Kind.FLOAT, 10**400, "out of range for a Double"),
        (Kind.BOOLEAN, "true", "STRING_VALUE can not be converted to a Boolean"),
        (Kind.TIMESTAMP, "soon", "can not be converted to a Timestamp"),
        (Kind.BLOB, "no base64!", "not Base64"),
        (Kind.STRING, [], "LIST_VALUE can not be converted to a String"),
        (Kind.STRING, {}, "STRUCTURE_VALUE can not be converted to a String"),
    ],
)
def test_another_type_is_refused_as_aws_does(kind: Kind, value: Any, told: str) -> None:
    with pytest.raises(WrongType, match=told):
        read_tree(one(kind), {"A": value})


def test_a_null_is_as_if_it_were_not_there() -> None:
    assert read_tree(one(Kind.STRING), {"A": None}).values == {}


def test_members_nobody_knows_are_named_and_left_out() -> None:
    parsed = read_tree(one(Kind.INTEGER), {"A": 1.0, "B": {"c": 1}, "__type": "x"})
    assert (parsed.values, parsed.unknown) == ({"A": 1}, ("B",))


def test_what_is_nested_without_end_is_refused() -> None:
    tree: dict[str, Any] = {}
    for _ in range(500):
        tree = {"In": tree}
    with pytest.raises(WrongType, match="levels deep"):
        read_tree(SELF, tree)


def test_a_body_that_is_no_object_is_refused() -> None:
    for tree in ([], 1, "x", None):
        with pytest.raises(WrongType, match="Start of structure"):
            read_tree(SELF, tree)


@pytest.mark.parametrize("tree", [{10**5000: 1}, {"In": {None: 1}}, {"M": {b"k": "x"}}])
def test_a_name_that_is_no_text_is_refused(tree: dict[Any, Any]) -> None:
    text = Shape(name="T", kind=Kind.STRING)
    table = Shape(name="M", kind=Kind.MAP, members={MAP_KEY: text, MAP_VALUE: text})
    shape = Shape(name="S", kind=Kind.STRUCTURE, members={"In": SELF, "M": table})
    with pytest.raises(WrongType, match="can not be converted to a String"):
        read_tree(shape, tree)


def test_values_that_are_named_many_times_over_are_not_read_each_time() -> None:
    text = Shape(name="T", kind=Kind.STRING)
    row = Shape(name="R", kind=Kind.LIST, members={LIST_ITEM: text})
    rows = Shape(name="L", kind=Kind.LIST, members={LIST_ITEM: row})
    shape = Shape(name="S", kind=Kind.STRUCTURE, members={"A": rows})
    shared = ["x"] * 100
    with pytest.raises(WrongType, match="more values than its length allows"):
        read_tree(shape, {"A": [shared] * 100}, values_max=1000)
    assert read_tree(shape, {"A": [["x"]] * 100}, values_max=1000).values == {"A": [["x"]] * 100}
