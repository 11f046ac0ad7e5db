"""docs/reference/aws.md tells what the operations declare, and what they declare is in the models."""

from __future__ import annotations

import inspect
import re
import sys
from functools import cache
from pathlib import Path

import pytest

from portway.api.aws.operation import Operation, load_service, operations_of
from portway.api.aws.reference import members_of, render_reference
from portway.api.aws.wire.services import SERVICES
from portway.api.aws.wire.shapes import LIST_ITEM, MAP_VALUE, Kind, Shape

PAGE = Path(__file__).parents[3] / "docs/reference/aws.md"
# Members that are read by what many operations share, under a name that is not written there.
NAMES = [service.name for service in SERVICES if operations_of(service.name)]
OPERATIONS = [
    pytest.param(operation, id=f"{name}-{operation.name}")
    for name in NAMES
    for operation in operations_of(name).values()
]


def test_the_page_is_what_the_operations_declare() -> None:
    assert PAGE.read_text() == render_reference(), (
        "make it again: .venv/bin/python -m portway.api.aws.reference > docs/reference/aws.md"
    )


def has(shape: Shape | None, path: list[str]) -> bool:
    while shape is not None and shape.kind in (Kind.LIST, Kind.MAP):
        shape = shape.members[LIST_ITEM if shape.kind is Kind.LIST else MAP_VALUE]
    if not path:
        return True
    return shape is not None and path[0] in shape.members and has(shape.members[path[0]], path[1:])


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_an_operation_ignores_refuses_or_checks_is_a_member_of_its_model(
    operation: Operation,
) -> None:
    model = load_service(operation.service)[0].operations[operation.name]
    for path in (*operation.ignores, *operation.refuses, *operation.checks):
        assert path == "*" or has(model.input, path.split(".")), path


@cache
def words_of(package: str) -> frozenset[str]:
    """Every text in quotes in the modules of a service, in what all of them share, and in the readers of its documents."""
    folders = (package, "portway.api.aws", "portway.manifests")
    modules = [m for name, m in sys.modules.items() if name.rpartition(".")[0] in folders]
    return frozenset(
        word
        for m in modules
        for word in re.findall(r'["\']([A-Za-z0-9]+)["\']', inspect.getsource(m))
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_member_that_is_said_to_be_honoured_is_read_somewhere(operation: Operation) -> None:
    model = load_service(operation.service)[0].operations[operation.name]
    left_out = {*operation.ignores, *operation.refuses}
    honoured = {member for member in members_of(model) if member not in left_out}
    words = words_of(operation.run.__module__.rpartition(".")[0])
    unread = sorted(honoured - words)
    assert unread == [], "say that it is ignored or refused"
