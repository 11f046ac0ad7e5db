"""Versions against the table of known holes."""

from __future__ import annotations

import pytest

from portway.controller.machine.holes import (
    DOCKER,
    HAPROXY,
    RUNC,
    is_of_distribution,
    parse_version,
)


def hit(holes: tuple[object, ...], version: str) -> set[str]:
    parsed = parse_version(version)
    assert parsed is not None
    return {hole.name for hole in holes if hole.hits(parsed)}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.4.3", {"CVE-2021-40346", "CVE-2023-25725", "CVE-2023-40225"}),
        ("2.6.12", {"CVE-2023-40225", "CVE-2026-33555"}),
        ("2.6.25", set()),
        ("2.7.3", {"CVE-2023-40225"}),
        ("3.0.1", set()),
    ],
)
def test_a_branch_is_judged_by_its_own_first_good_version(version: str, expected: set[str]):
    assert hit(HAPROXY, version) == expected


@pytest.mark.parametrize("version", ["20.10.24", "23.0.14", "24.0.9", "26.1.4", "27.1.0"])
def test_versions_with_the_hole_in_authorization_plugins_are_known(version: str):
    assert hit(DOCKER, version) == {"CVE-2024-41110"}


@pytest.mark.parametrize("version", ["23.0.15", "25.0.6", "27.1.1", "28.2.2", "18.03.1"])
def test_versions_without_it_are_not_accused(version: str):
    assert hit(DOCKER, version) == set()


def test_runc_is_judged_like_the_rest():
    assert hit(RUNC, "1.1.5+ds1") == {"CVE-2024-21626"}
    assert hit(RUNC, "1.1.12") == hit(RUNC, "1.3.0") == set()


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("2.6.12-1+deb12u4", True),
        ("20.10.24+dfsg1", True),
        ("28.2.2", False),
        ("2.8.5-1ubuntu3", True),
    ],
)
def test_what_a_distribution_built_is_told_by_its_number(version: str, expected: bool):
    assert is_of_distribution(version) is expected


def test_what_is_no_version_is_none():
    assert parse_version("unknown") is None
