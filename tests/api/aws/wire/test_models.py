"""The service models of botocore, as far as operations need them."""

from __future__ import annotations

import pytest

from portway.api.aws.wire.models import load_model
from portway.api.aws.wire.shapes import Kind


def test_only_the_wanted_operations_are_read_and_all_are_known() -> None:
    model = load_model("ecs", frozenset({"RunTask"}))
    assert set(model.operations) == {"RunTask"}
    assert {"RunTask", "CreateService", "ExecuteCommand"} <= set(model.known)


def test_constraints_come_with_the_shape() -> None:
    model = load_model("elbv2", frozenset({"CreateRule"}))
    shape = model.operations["CreateRule"].input
    assert shape is not None
    assert {"ListenerArn", "Conditions", "Priority", "Actions"} == set(shape.required)
    priority = shape.members["Priority"]
    assert (priority.kind, priority.least, priority.most) == (Kind.INTEGER, 1, 50000)


def test_enumerations_come_with_the_shape() -> None:
    model = load_model("elbv2", frozenset({"CreateLoadBalancer"}))
    shape = model.operations["CreateLoadBalancer"].input
    assert shape is not None
    assert set(shape.members["Type"].enum) == {"application", "network", "gateway"}


@pytest.mark.parametrize(
    ("service", "code", "status"),
    [
        ("elbv2", "TargetGroupNotFound", 400),
        ("iam", "EntityAlreadyExists", 409),
        ("iam", "NoSuchEntity", 404),
    ],
)
def test_errors_go_by_their_code_on_the_wire(service: str, code: str, status: int) -> None:
    wanted = {"elbv2": "DescribeTargetGroups", "iam": "CreateRole"}[service]
    model = load_model(service, frozenset({wanted}))
    assert model.errors[code].status == status


def test_one_type_is_one_shape_wherever_it_is_used() -> None:
    model = load_model("ecs", frozenset({"CreateService", "UpdateService"}))
    created, updated = (model.operations[n].output for n in ("CreateService", "UpdateService"))
    assert created is not None
    assert updated is not None
    assert created.members["service"] is updated.members["service"]


def test_an_operation_that_the_service_does_not_have_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="Nonsense"):
        load_model("sts", frozenset({"Nonsense"}))
