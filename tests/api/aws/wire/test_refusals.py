"""The refusals of the wire, in the words of each protocol."""

from __future__ import annotations

from typing import Any

import pytest

from portway.api.aws.errors import AwsError
from portway.api.aws.wire.refusals import check_refused, invalid, malformed
from portway.api.aws.wire.services import SERVICES, Protocol, Target
from portway.api.aws.wire.validation import Violation

BY_NAME = {service.name: service for service in SERVICES}


def target(service: str, protocol: Protocol) -> Target:
    return Target(service=BY_NAME[service], operation="X", protocol=protocol)


@pytest.mark.parametrize(
    ("service", "protocol", "code"),
    [
        ("ecs", Protocol.JSON, "InvalidParameterException"),
        ("acm", Protocol.JSON, "ValidationException"),
        ("elbv2", Protocol.QUERY, "ValidationError"),
        ("ec2", Protocol.EC2, "InvalidParameterValue"),
    ],
)
def test_a_broken_constraint_has_the_code_of_its_service(
    service: str, protocol: Protocol, code: str
) -> None:
    error = invalid(target(service, protocol), [Violation(path="a", constraint="b")])
    assert (error.code, error.status) == (code, 400)


def test_a_missing_parameter_of_ec2_is_named_as_it_names_it() -> None:
    found = [Violation(path="groupName", constraint="", is_missing=True)]
    error = invalid(target("ec2", Protocol.EC2), found)
    assert (error.code, error.message) == ("MissingParameter", "The request must contain the parameter GroupName")  # fmt: skip


def test_a_value_of_another_type_has_the_code_of_its_protocol() -> None:
    codes = [malformed(target("ecs", protocol), "x").code for protocol in Protocol]
    assert codes == ["SerializationException", "MalformedInput", "InvalidParameterValue", "SerializationException"]  # fmt: skip


@pytest.mark.parametrize("values", [{"a": [{"b": 1}]}, {"a": {"b": "x"}}, {"a": [{}, {"b": True}]}])
def test_a_refused_member_is_found_wherever_it_is(values: dict[str, Any]) -> None:
    with pytest.raises(AwsError, match=r"portway does not do a\.b: there is none"):
        check_refused(target("ecs", Protocol.JSON), {"a.b": "there is none"}, values)


@pytest.mark.parametrize("values", [{}, {"a": []}, {"a": [{"b": False}]}, {"a": {"c": 1}}])
def test_a_refused_member_that_says_nothing_is_taken(values: dict[str, Any]) -> None:
    check_refused(target("ecs", Protocol.JSON), {"a.b": "there is none"}, values)
