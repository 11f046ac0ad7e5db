"""The tables of fields against the shapes that are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from portway.manifests.ecs_fields import Use
from portway.manifests.marathon.app_shape import APP
from portway.manifests.marathon.fields import Field, app_fields, pod_fields
from portway.manifests.marathon.pod_shape import POD
from portway.manifests.marathon.shape import Kind, ListOf, Record

TABLES = [(APP, app_fields()), (POD, pod_fields())]


def inner(kind: Kind) -> tuple[Kind, str]:
    return (kind.item, "[]") if isinstance(kind, ListOf) else (kind, "")


def paths(record: Record, inside: str, fields: Mapping[str, Field]) -> Iterator[str]:
    """Every field of a record, and of those in it that the table looks into."""
    for name, member in record.members.items():
        path = f"{inside}{name}"
        kind, many = inner(member.kind)
        yield path
        looks_in = any(key.startswith(f"{path}{many}.") for key in fields)
        if isinstance(kind, Record) and looks_in:
            yield from paths(kind, f"{path}{many}.", fields)


def has_variants(path: str) -> bool:
    """A volume is one of several records."""
    return "volumes[]." in path or path == "containers[].resources.gpus"


@pytest.mark.parametrize(("record", "fields"), TABLES)
def test_the_table_has_every_field_that_is_read_and_no_other(
    record: Record, fields: Mapping[str, Field]
) -> None:
    known = {path for path in fields if not has_variants(path)}
    read = {path for path in paths(record, "", fields) if not path.startswith("containers[].resources.")}  # fmt: skip
    assert known == read


@pytest.mark.parametrize(("record", "fields"), TABLES)
def test_whatever_has_no_effect_says_why(record: Record, fields: Mapping[str, Field]) -> None:
    assert [f.path for f in fields.values() if f.use is not Use.HONOURED and not f.told] == []
