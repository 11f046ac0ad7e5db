"""Sizes and ranges as task definitions write them."""

from __future__ import annotations

import pytest

from portway.manifests.ecs_values import cpu_units, memory_mib, port_range


@pytest.mark.parametrize(
    ("text", "units"),
    [("256", 256), (".25 vCPU", 256), ("1 vcpu", 1024), ("2vCPU", 2048), ("0", None), ("x", None), ("", None)],
)  # fmt: skip
def test_cpu_is_units_or_processors(text: str, units: int | None) -> None:
    assert cpu_units(text) == units


@pytest.mark.parametrize(
    ("text", "mib"), [("512", 512), ("0.5 GB", 512), ("2gb", 2048), ("0", None), ("1 TB", None)]
)
def test_memory_is_mib_or_gb(text: str, mib: int | None) -> None:
    assert memory_mib(text) == mib


@pytest.mark.parametrize(
    ("text", "ports"),
    [("1-65535", (1, 65535)), ("8-8", None), ("9-8", None), ("0-8", None), ("1-65536", None), ("8", None)],
)  # fmt: skip
def test_a_range_has_two_different_ends(text: str, ports: tuple[int, int] | None) -> None:
    assert port_range(text) == ports
