"""The constraints of a model, told as AWS tells them."""

from __future__ import annotations

import re

from portway.api.aws.wire.shapes import Kind, Shape
from portway.api.aws.wire.validation import sentence, violations


def text(**given: object) -> Shape:
    return Shape(name="T", kind=Kind.STRING, **given)  # type: ignore[arg-type]


def structure(required: tuple[str, ...] = (), **members: Shape) -> Shape:
    return Shape(name="S", kind=Kind.STRUCTURE, members=members, required=required)


def told(shape: Shape, **values: object) -> list[str]:
    return [str(each) for each in violations(shape, values)]


def test_what_is_missing_is_null() -> None:
    assert told(structure(("Name",), Name=text())) == [
        "Value null at 'name' failed to satisfy constraint: Member must not be null"
    ]


def test_lengths_sizes_enums_and_patterns_are_checked() -> None:
    number = Shape(name="N", kind=Kind.INTEGER, least=1, most=100)
    shape = structure(
        A=text(least=2), B=text(most=1), C=text(enum=("x", "y")), D=text(pattern=re.compile("a+")), N=number
    )  # fmt: skip
    assert told(shape, A="a", B="bb", C="z", D="b", N=101) == [
        "Value 'a' at 'a' failed to satisfy constraint: Member must have length greater than or equal to 2",
        "Value 'bb' at 'b' failed to satisfy constraint: Member must have length less than or equal to 1",
        "Value 'z' at 'c' failed to satisfy constraint: Member must satisfy enum value set: [x, y]",
        "Value 'b' at 'd' failed to satisfy constraint: Member must satisfy regular expression pattern: a+",
        "Value '101' at 'n' failed to satisfy constraint: Member must have value less than or equal to 100",
    ]
    assert told(shape, A="aa", B="b", C="x", D="aaa", N=1) == []


def test_the_path_leads_into_lists_and_maps() -> None:
    inner = structure(("Port",), Port=text())
    items = Shape(name="L", kind=Kind.LIST, members={"member": inner}, most=1)
    pairs = Shape(name="M", kind=Kind.MAP, members={"key": text(most=1), "value": text(most=1)})
    found = told(structure(List=items, Map=pairs), List=[{"Port": "x"}, {}], Map={"kk": "v"})
    paths = [line.partition(" at '")[2].partition("'")[0] for line in found]
    assert paths == ["list", "list.2.member.port", "map.key"]


def test_what_an_operation_checks_itself_is_left_to_it() -> None:
    shape = structure(("A", "B"), A=text(), B=text())
    assert len(violations(shape, {}, left_out=("A",))) == 1
    assert violations(shape, {}, left_out=("*",)) == []


def test_what_is_secret_is_not_repeated() -> None:
    assert "hunter" not in told(structure(A=text(most=1, sensitive=True)), A="hunter2")[0]


def test_all_are_one_message_and_a_few_are_enough() -> None:
    shape = structure(tuple("abcdefghijklm"), **{name: text() for name in "abcdefghijklm"})
    found = violations(shape, {})
    assert len(found) == 10
    assert sentence(found[:2]).startswith("2 validation errors detected: Value null at 'a'")
    assert sentence(found[:1]).startswith("1 validation error detected: ")
