"""Form parameters, where they are not what botocore writes."""

from __future__ import annotations

import pytest

from portway.api.aws.wire.forms import PARAMETERS_MAX, read_form, read_pairs
from portway.api.aws.wire.inputs import WrongType
from portway.api.aws.wire.models import load_model
from portway.api.aws.wire.shapes import Shape


def shape(service: str, operation: str) -> Shape:
    found = load_model(service, frozenset({operation})).operations[operation].input
    assert found is not None
    return found


def test_a_list_is_in_the_order_of_its_numbers_and_may_have_holes() -> None:
    pairs = {"Names.member.10": "c", "Names.member.2": "b", "Names.member.1": "a"}
    parsed = read_form(shape("elbv2", "DescribeLoadBalancers"), pairs, is_ec2=False)
    assert parsed.values == {"Names": ["a", "b", "c"]}


def test_an_empty_list_is_a_name_with_nothing() -> None:
    parsed = read_form(shape("elbv2", "DescribeLoadBalancers"), {"Names": ""}, is_ec2=False)
    assert parsed.values == {"Names": []}


def test_parameters_nobody_knows_are_named() -> None:
    pairs = {"Action": "X", "Nonsense.1": "a", "Names.2": "b", "Names.member.x": "c"}
    parsed = read_form(shape("elbv2", "DescribeLoadBalancers"), pairs, is_ec2=False)
    assert set(parsed.unknown) == {"Nonsense", "Names.2", "Names.x"}


@pytest.mark.parametrize("text", ["x", "1.5", "", "9" * 30, "٣", "+-5", "--5"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(WrongType, match="Invalid value"):
        read_form(shape("iam", "ListRoles"), {"MaxItems": text}, is_ec2=False)


def test_what_is_nested_without_end_is_refused() -> None:
    with pytest.raises(WrongType, match="levels deep"):
        read_form(shape("iam", "ListRoles"), {".".join("a" * 100): "x"}, is_ec2=False)


@pytest.mark.parametrize("body", [b"\xff", b"a=%ff", b"&".join([b"a=1"] * (PARAMETERS_MAX + 1))])
def test_what_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(WrongType):
        read_pairs(body)
