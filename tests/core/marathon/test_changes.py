"""What counts as a change of an app or pod, and what its version info says of it."""

from __future__ import annotations

import pytest

from portway.core.marathon.changes import (
    Change,
    VersionInfo,
    app_spec,
    change_of,
    pod_spec,
    version_info,
)

APP = {"id": "/web", "cmd": "x", "instances": 2, "dependencies": ["/db"], "version": "v1"}
POD = {"id": "/pod", "containers": [], "scaling": {"kind": "fixed", "instances": 3}}
BEFORE = VersionInfo(version="v1", last_scaling_at="s1", last_config_change_at="c1")


def test_a_definition_is_read_with_its_count_and_whom_it_waits_for() -> None:
    spec = app_spec(APP)
    assert (spec.path, spec.instances, spec.is_pod, spec.dependencies) == (
        "/web",
        2,
        False,
        ("/db",),
    )
    assert (pod_spec(POD).instances, pod_spec(POD).is_pod) == (3, True)
    assert pod_spec({"id": "/pod", "containers": []}).instances == 1


@pytest.mark.parametrize(
    ("fields", "change"),
    [
        ({}, Change.NOTHING),
        ({"version": "v2", "versionInfo": {}, "tasksRunning": 1}, Change.NOTHING),
        ({"instances": 3}, Change.SCALING),
        ({"cmd": "y"}, Change.CONFIGURATION),
        ({"cmd": "y", "instances": 3}, Change.CONFIGURATION),
        ({"labels": {"a": "b"}}, Change.CONFIGURATION),
        ({"backoffSeconds": 2}, Change.CONFIGURATION),
    ],
)
def test_only_a_different_count_is_scaling(fields: dict[str, object], change: Change) -> None:
    assert change_of(app_spec(APP), app_spec({**APP, **fields})) is change


def test_what_was_not_there_is_new_and_an_app_that_becomes_a_pod_has_changed() -> None:
    assert change_of(None, app_spec(APP)) is Change.NEW
    assert change_of(app_spec({**APP, "id": "/pod"}), pod_spec(POD)) is Change.CONFIGURATION


@pytest.mark.parametrize(
    ("change", "is_restart", "expected"),
    [
        (Change.NOTHING, False, BEFORE),
        (Change.SCALING, False, VersionInfo(version="v2", last_scaling_at="v2", last_config_change_at="c1")),
        (Change.NOTHING, True, VersionInfo(version="v2", last_scaling_at="s1", last_config_change_at="v2")),
        (Change.CONFIGURATION, False, VersionInfo(version="v2", last_scaling_at="v2", last_config_change_at="v2")),
    ],
)  # fmt: skip
def test_each_change_moves_its_own_times(
    change: Change, is_restart: bool, expected: VersionInfo
) -> None:
    assert version_info(BEFORE, change, "v2", is_restart=is_restart) == expected


def test_a_new_app_has_three_times_the_same() -> None:
    found = version_info(None, Change.NEW, "v1")
    assert found == VersionInfo(version="v1", last_scaling_at="v1", last_config_change_at="v1")
