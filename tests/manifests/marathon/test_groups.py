"""Groups as they are sent, and the rules between everything there is."""

from __future__ import annotations

from typing import Any

import pytest

from portway.manifests.marathon.groups import (
    DEPTH_MAX,
    Around,
    Everything,
    accept_group,
    root_faults,
    version_of_group,
)
from portway.manifests.marathon.refusal import MarathonRefusal

APP = {"id": "web", "cmd": "sleep 1"}
POD = {"id": "pod", "containers": [{"name": "a", "resources": {}, "image": {"kind": "DOCKER", "id": "i"}}]}  # fmt: skip


def refused(raw: Any, around: Around | None = None) -> dict[str, list[str]]:
    with pytest.raises(MarathonRefusal) as caught:
        accept_group(raw, around or Around())
    return {each["path"]: each["errors"] for each in caught.value.body["details"]}


def test_ids_and_dependencies_are_relative_to_the_group_around_them() -> None:
    raw = {
        "id": "shop",
        "dependencies": ["../other"],
        "apps": [{**APP, "dependencies": ["db", "/x"]}],
        "groups": [{"id": "/shop/db", "apps": [APP]}],
    }
    group = accept_group(raw, Around())
    assert (group["id"], group["dependencies"]) == ("/shop", ["/other"])
    assert [(a["id"], a["dependencies"]) for a in group["apps"]] == [("/shop/web", ["/shop/db", "/x"])]  # fmt: skip
    assert [each["apps"][0]["id"] for each in group["groups"]] == ["/shop/db/web"]


def test_what_a_group_does_not_say_is_absent_and_what_is_empty_is_there() -> None:
    assert accept_group({"id": "/g", "apps": []}, Around()) == {"id": "/g", "apps": []}
    assert accept_group({"apps": []}, Around(), base="/g")["id"] == "/g"
    assert accept_group({"id": "/other"}, Around(), path="/g")["id"] == "/g"


def test_every_part_is_judged_and_told_with_its_place() -> None:
    raw = {"id": "/g", "apps": [{"id": "a"}, {**APP, "instances": -1}], "groups": [{"id": "b", "apps": [{**APP, "cmd": 1}]}]}  # fmt: skip
    assert refused(raw) == {
        "/apps(1)/instances": ["error.min"],
        "/groups(0)/apps(0)/cmd": ["error.expected.jsstring"],
    }
    assert list(refused({"id": "/g", "apps": [{"id": "a"}]})) == ["/apps(0)"]


@pytest.mark.parametrize(
    ("raw", "path", "told"),
    [
        ({"id": "/g", "scaleBy": 2, "apps": []}, "/scaleBy", "not allowed in conjunction with other properties."),
        ({"id": "/g", "apps": [{**APP, "id": "/elsewhere"}]}, "/apps(0)/id", "Identifier is not child of '/g'"),
        ({"id": "/g", "groups": [{"id": "/elsewhere"}]}, "/groups(0)/id", "Identifier is not child of '/g'"),
        ({"id": "/g", "groups": [{}]}, "/groups(0)/id", "error.path.missing"),
        ({"id": "/g", "pods": [POD]}, "/pods", "must be empty"),
        ({"id": "/g", "dependencies": ["a-"]}, "/dependencies(0)", "error.pattern"),
        ({"id": "/restart"}, "/id", "reserved keywords"),
        (3, "/", "error.expected.jsobject"),
    ],
)  # fmt: skip
def test_what_a_group_may_not_say(raw: Any, path: str, told: str) -> None:
    assert any(told in error for error in refused(raw)[path])


def test_groups_are_nested_so_deep_and_no_deeper() -> None:
    raw: dict[str, Any] = {"id": "x"}
    for _ in range(DEPTH_MAX + 1):
        raw = {"id": "x", "groups": [raw]}
    assert "nested more than" in str(refused(raw))


def test_what_cannot_be_brought_together_is_refused_as_for_a_single_app() -> None:
    raw = {"id": "/g", "apps": [{"id": "a", "container": {"docker": {"image": "i", "network": "NONE"}}}]}  # fmt: skip
    with pytest.raises(MarathonRefusal) as caught:
        accept_group(raw, Around())
    assert caught.value.status == 500


def test_the_top_group_decides_the_roles_in_it() -> None:
    raw = {"id": "/g", "enforceRole": True, "apps": [APP]}
    assert accept_group(raw, Around())["apps"][0]["role"] == "g"
    inner = {"id": "/g/h", "apps": [APP]}
    assert accept_group(inner, Around())["apps"][0]["role"] == "*"
    assert accept_group(inner, Around(enforcing=("/g",)))["apps"][0]["role"] == "g"
    kept = Around(existing=lambda path: {"role": "old"} if path == "/g/h/web" else None)
    with_old = {"id": "/g/h", "apps": [{**APP, "role": "old"}]}
    assert accept_group(with_old, kept)["apps"][0]["role"] == "old"


def test_pods_come_in_groups_of_files_alone() -> None:
    group = accept_group({"id": "/g", "pods": [POD]}, Around(pods=True))
    assert group["pods"][0]["id"] == "/g/pod"


def test_a_version_is_gone_back_to_when_nothing_else_is_said() -> None:
    version = "2020-01-01T00:00:00.000Z"
    assert version_of_group({"version": version, "id": "/g"}) == version
    assert version_of_group({"version": version, "apps": []}) is None
    with pytest.raises(MarathonRefusal):
        version_of_group({"version": version, "scaleBy": 2})


@pytest.mark.parametrize(
    ("everything", "told"),
    [
        (Everything(apps={"/a": (), "/a/b": ()}), "Groups and Applications may not have the same identifier."),
        (Everything(apps={"/a": ()}, pods=["/a"]), "Applications and Pods may not share the same id"),
        (Everything(apps={"/p/a": ()}, pods=["/p"]), "Groups and Pods may not have the same identifier."),
        (Everything(apps={"/a": ("/b",), "/b": ("/c",), "/c": ("/a",)}), "Dependency graph has cyclic dependencies."),
        (Everything(apps={"/a": ("/a",)}), "Dependency graph has cyclic dependencies."),
        (Everything(apps={"/g/a": ("/h",), "/h/b": ("/g",)}), "Dependency graph has cyclic dependencies."),
        (Everything(apps={"/g/a": (), "/h/b": ()}, groups={"/g": ("/h",), "/h": ("/g/a",)}), "Dependency graph has cyclic dependencies."),
    ],
)  # fmt: skip
def test_what_everything_together_may_not_be(everything: Everything, told: str) -> None:
    assert [each.error for each in root_faults(everything)] == [told]


def test_dependencies_that_go_one_way_are_no_circle() -> None:
    many = {f"/g/a{n}": (f"/g/a{n + 1}",) for n in range(3000)}
    everything = Everything(apps={**many, "/h/x": ("/g",), "/h/y": ("/g/a0",)}, groups={"/h": ("/g",)})  # fmt: skip
    assert list(root_faults(everything)) == []
