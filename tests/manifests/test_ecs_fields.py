"""The table of fields against AWS's own model, and the page made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import botocore.loaders
import pytest

from portway.manifests.ecs_fields import Field, Use, keys_of, service_fields, task_fields

MODEL = botocore.loaders.Loader().load_service_model("ecs", "service-2")["shapes"]
KINDS = {"string": "text", "integer": "number", "boolean": "flag", "double": "decimal", "map": "map"}  # fmt: skip


def members(shape: str, path: str, fields: Mapping[str, Field]) -> Iterator[tuple[str, str]]:
    """Every member the model has, as far down as the table looks."""
    for name, member in MODEL[shape]["members"].items():
        full, inner = f"{path}{name}", MODEL[member["shape"]]
        item = MODEL[inner["member"]["shape"]] if inner["type"] == "list" else inner
        is_list, is_object = inner["type"] == "list", item["type"] == "structure"
        kind = "object" if is_object else KINDS[item["type"]]
        yield full, f"{kind}s" if is_list else kind
        if is_object and full in fields and fields[full].use is Use.HONOURED:
            shape_name = inner["member"]["shape"] if is_list else member["shape"]
            yield from members(shape_name, f"{full}{'[]' if is_list else ''}.", fields)


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        ("RegisterTaskDefinitionRequest", task_fields()),
        ("CreateServiceRequest", service_fields()),
    ],
)
def test_the_table_has_every_member_of_the_model_and_no_other(
    shape: str, fields: Mapping[str, Field]
) -> None:
    assert {path: field.kind for path, field in fields.items()} == dict(members(shape, "", fields))


@pytest.mark.parametrize("fields", [task_fields(), service_fields()])
def test_whatever_has_no_effect_says_why(fields: Mapping[str, Field]) -> None:
    assert [f.path for f in fields.values() if f.use is not Use.HONOURED and not f.told] == []


def test_the_keys_inside_a_field_are_known() -> None:
    path = "containerDefinitions[].portMappings[]"
    assert set(keys_of(False, path)) >= {"containerPort", "hostPort", "protocol"}
    assert "serviceName" in keys_of(True, "")


def test_choices_are_those_of_the_model() -> None:
    shapes: dict[str, Any] = {
        "networkMode": "NetworkMode",
        "containerDefinitions[].dependsOn[].condition": "ContainerCondition",
        "containerDefinitions[].logConfiguration.logDriver": "LogDriver",
    }
    for path, shape in shapes.items():
        assert set(task_fields()[path].choices) == set(MODEL[shape]["enum"]), path
