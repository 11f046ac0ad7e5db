"""One operation is one function: how it is registered and found."""

from __future__ import annotations

import asyncio

import pytest

from portway.api.aws.operation import (
    Request,
    load_service,
    loaded_service,
    operation,
    operations_of,
)
from portway.api.aws.wire.services import SERVICES


def test_a_request_gives_the_default_only_where_a_member_is_missing() -> None:
    request = Request(service="ecs", operation="RunTask", input={"count": 0})
    assert (request["count"], request.get("count", 1), request.get("group", "x")) == (0, 0, "x")
    with pytest.raises(KeyError):
        request["cluster"]


def test_a_service_without_operations_has_none() -> None:
    assert operations_of("cloudformation") == {}


def test_an_operation_is_known_by_one_function() -> None:
    assert "RunTask" in operations_of("ecs")
    with pytest.raises(AssertionError, match="RunTask twice"):
        operation("ecs", "RunTask")(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("service", [service.name for service in SERVICES])
def test_every_operation_is_in_the_service_that_it_names(service: str) -> None:
    for name, found in operations_of(service).items():
        assert (found.service, found.name) == (service, name)
        folder = found.run.__module__.split(".")[3]
        assert folder == service.replace("-", "_")


def test_what_is_ignored_is_not_refused_as_well() -> None:
    for service in SERVICES:
        for found in operations_of(service.name).values():
            assert not set(found.ignores) & set(found.refuses), found.name


async def test_a_service_is_read_once_however_many_ask() -> None:
    first, *others = await asyncio.gather(*(loaded_service("sts") for _ in range(4)))
    assert all(other is first for other in others)
    assert load_service("sts") is first
