"""Files with Marathon's definitions: how they are recognised, and what of them becomes Apps or problems."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portway.core.app import CheckKind, Exposure, NetworkMode
from portway.core.errors import ManifestError
from portway.manifests.base import Manifest
from portway.manifests.language import Source, language_of, parse_manifest
from portway.manifests.marathon.files import parse_value
from portway.manifests.marathon.write import write_marathon
from tests.features import examples
from tests.manifests.marathon.samples import APPS, JSON, PODS

WEB = {"id": "/web", "cmd": "sleep 1000"}
POD = {"id": "/pod", "containers": [{"name": "a", "resources": {}, "image": {"kind": "DOCKER", "id": "nginx"}}]}  # fmt: skip


def parse(value: Any, stack: str = "st") -> Manifest:
    text = value if isinstance(value, str) else json.dumps(value, indent=1)
    return parse_manifest(Source(text=text, file="app.json", stack=stack))


def names(manifest: Manifest) -> list[str]:
    return [app.id for app in manifest.apps]


@pytest.mark.parametrize(
    ("value", "language"),
    [
        (WEB, "marathon"),
        ([WEB, POD], "marathon"),
        (POD, "marathon"),
        ({"id": "/g", "groups": []}, "marathon"),
        ({"app": WEB}, "marathon"),
        ({"id": "/web", "cmd": "x", "env": {"family": "x"}}, "marathon"),
        ({"services": {"web": {"image": "nginx"}}}, "compose"),
        ({"family": "web", "containerDefinitions": []}, "ecs"),
        ('{"id": "/web", "cmd": "sleep', "marathon"),
        ("services: {}", "compose"),
    ],
)
def test_the_language_is_recognised_by_its_fields(value: Any, language: str) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    assert language_of(text).name == language


def test_an_app_is_called_by_its_id_without_the_groups_that_all_are_in() -> None:
    assert names(parse(WEB)) == ["st/web"]
    assert names(parse([{**WEB, "id": "/shop/web"}, {**WEB, "id": "/shop/db/main"}])) == ["st/web", "st/db_main"]  # fmt: skip
    assert names(parse({"id": "/shop", "apps": [{**WEB, "id": "web"}], "groups": [{"id": "in", "apps": [{**WEB, "id": "a"}]}]})) == ["st/web", "st/in_a"]  # fmt: skip


def test_what_get_shows_is_taken_as_it_is() -> None:
    shown = {"app": {**WEB, "tasks": [], "tasksRunning": 1, "version": "2020-01-01T00:00:00.000Z"}}
    assert names(parse(shown)) == ["st/web"]
    assert parse(shown).warnings == ()


def test_dependencies_wait_within_the_file_and_say_so_of_others() -> None:
    manifest = parse(
        {
            "id": "/shop",
            "dependencies": ["/other"],
            "apps": [{**WEB, "id": "web", "dependencies": ["db"]}],
            "groups": [{"id": "db", "apps": [{**WEB, "id": "a"}, {**WEB, "id": "b"}]}],
        }
    )
    waits = {app.name: [each.name for each in app.depends_on] for app in manifest.apps}
    assert waits == {"web": ["db_a", "db_b"], "db_a": [], "db_b": []}
    assert "/shop/web depends on /other, which is not in this file" in str(manifest.warnings[0])


def test_a_deploy_of_a_file_may_fail_and_go_back() -> None:
    rollout = parse(WEB).apps[0].rollout
    assert rollout.breaker.enabled
    assert not rollout.is_patient


def test_a_problem_has_its_place_and_marathons_path() -> None:
    text = '{"id": "/web",\n "cmd": "sleep",\n "portDefinitions": [{"port": 70000}]}'
    with pytest.raises(ManifestError) as caught:
        parse(text)
    problem = caught.value.problems[0]
    assert (problem.line, problem.column) == (3, 31)
    assert str(problem) == "app.json:3:31: /portDefinitions(0)/port: is too large"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"id": "/web", "instances": 1}, "AppDefinition must either contain"),
        ({**WEB, "container": {"docker": {"network": "NONE", "image": "i"}}}, "unsupported docker network type NONE"),
        ({**WEB, "uris": ["http://example.com/a.tgz"]}, "/fetch: not supported: nothing is fetched"),
        ([WEB, WEB], "/web is there twice"),
        ([], "there is no app in it"),
        ([{**WEB, "dependencies": ["/b"]}, {**WEB, "id": "/b", "dependencies": ["/web"]}], "cyclic dependencies"),
        ({"id": "/g", "apps": [{"id": "a", "cmd": 3}]}, "/apps(0)/cmd: must be a text"),
        ([3], "must be an object"),
        ('{"id": "/web", "cmd": "sleep"', "',' or '}' is expected"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_told(value: Any, told: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse(value)
    assert told in str(caught.value)


def test_roles_have_no_meaning_in_a_file_and_a_warning_says_so() -> None:
    manifest = parse({**WEB, "role": "web", "acceptedResourceRoles": ["slave_public"], "instnces": 2})  # fmt: skip
    told = "\n".join(map(str, manifest.warnings))
    assert "role: has no effect" in told
    assert "acceptedResourceRoles: has no effect" in told
    assert 'Did you mean "instances"?' in told


def test_a_pod_is_one_app_of_several_containers() -> None:
    more = {"name": "b", "resources": {}, "image": {"kind": "DOCKER", "id": "redis"}}
    app = parse({**POD, "containers": [*POD["containers"], more]}).apps[0]
    assert (app.image, [other.image for other in app.containers]) == ("nginx", ["redis"])


def test_values_that_were_never_a_text_are_parsed_alike() -> None:
    app = parse_value(WEB, stack="st").apps[0]
    assert (app.id, app.network_mode, app.health.kind) == ("st/web", NetworkMode.HOST, CheckKind.NONE)  # fmt: skip
    assert [spec.exposure for spec in app.ports] == [Exposure.PUBLIC]


def test_an_unnamed_container_network_is_that_of_the_stack() -> None:
    value = {**WEB, "networks": [{"mode": "container"}], "container": {"docker": {"image": "i"}}}
    app = parse(value).apps[0]
    assert app.network_mode is NetworkMode.OWN
    assert [network.name for network in app.networks] == ["default"]


PARTS = APPS | PODS | st.dictionaries(st.sampled_from(["id", "apps", "groups", "pods", "cmd", "containers", "dependencies"]), JSON, max_size=3)  # fmt: skip


@settings(max_examples=examples(30), deadline=None, derandomize=True)
@given(PARTS | st.lists(PARTS, max_size=3) | st.fixed_dictionaries({"id": st.just("/g"), "apps": st.lists(APPS, max_size=2), "groups": st.lists(PARTS, max_size=1)}) | JSON)  # fmt: skip
def test_a_file_is_apps_or_problems_and_what_is_written_of_the_apps_is_read_again(
    value: Any,
) -> None:
    try:
        apps = parse_value(value, stack="st").apps
    except ManifestError:
        return
    assert len({app.id for app in apps}) == len(apps)
    assert len(parse_value(write_marathon(apps).document, stack="st").apps) == len(apps)
