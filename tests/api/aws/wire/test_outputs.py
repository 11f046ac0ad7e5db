"""What is written, where botocore would not notice."""

from __future__ import annotations

import pytest

from portway.api.aws.wire.outputs import to_tree, to_xml, xml_text
from portway.api.aws.wire.shapes import Kind, Shape

NUMBER = Shape(name="N", kind=Kind.INTEGER)
SHAPE = Shape(name="S", kind=Kind.STRUCTURE, members={"A": NUMBER})


def test_what_is_none_is_left_out() -> None:
    assert to_tree(SHAPE, {"A": None}) == {}
    assert to_xml(SHAPE, {"A": None}) == ""


@pytest.mark.parametrize("value", [{"B": 1}, {"A": "1"}, {"A": True}, {"A": 1.5}])
def test_what_does_not_fit_the_model_is_our_mistake(value: dict[str, object]) -> None:
    for write in (to_tree, to_xml):
        with pytest.raises(AssertionError):
            write(SHAPE, value)


def test_what_xml_cannot_hold_is_a_question_mark() -> None:
    assert xml_text("a\0\x1b<&>\r\n") == "a??&lt;&amp;&gt;&#13;\n"
