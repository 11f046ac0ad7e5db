"""ECS files together: which App each becomes, and what of them does not fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portway.core.errors import ManifestError
from portway.manifests.ecs import is_ecs, parse_ecs
from portway.manifests.ecs_fields import service_fields, task_fields
from tests.features import examples

WEB: dict[str, Any] = {
    "family": "web",
    "containerDefinitions": [{"name": "web", "image": "x", "memory": 64}],
}
SERVICE: dict[str, Any] = {"serviceName": "front", "taskDefinition": "web:3", "desiredCount": 2}


def parse(*values: Any, **more: Any):  # noqa: ANN201
    documents = {f"{n}.json": json.dumps(value) for n, value in enumerate(values)}
    return parse_ecs(documents, stack="shop", **more)


def test_a_task_definition_alone_is_an_app_of_its_family() -> None:
    (app,) = parse(WEB).apps
    assert (app.id, app.count) == ("shop/web", None)


@pytest.mark.parametrize(
    "service",
    [
        SERVICE,
        {"services": [SERVICE], "failures": []},
        {"service": {**SERVICE, "runningCount": 2, "events": []}},
    ],
)
def test_a_service_is_an_app_of_its_name_however_it_was_printed(service: Any) -> None:
    manifest = parse({"taskDefinition": {**WEB, "revision": 3}, "tags": []}, service)
    assert [(app.id, app.count) for app in manifest.apps] == [("shop/front", 2)]
    assert manifest.warnings == ()


def test_the_order_of_the_files_does_not_matter_and_others_are_apps_too() -> None:
    other = {**WEB, "family": "Job"}
    manifest = parse(SERVICE, other, WEB)
    assert [app.name[:3] for app in manifest.apps] == ["fro", "job"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((SERVICE,), "there is no task definition among the files"),
        (({**WEB, "family": "wab"}, SERVICE), 'Did you mean "wab"?'),
        ((WEB, {**WEB, "family": "b"}, {"serviceName": "s", "desiredCount": 1}), "does not say which"),
        ((WEB, WEB), "web is in 0.json already"),
        ((WEB, SERVICE, SERVICE), "front is there twice"),
        ((WEB, {**SERVICE, "loadBalancers": [{"containerName": "y", "containerPort": 1}]}), "y does not exist"),
        (([],), "a list"),
        (({"taskDefinition": {"family": "x"}},), "Container list cannot be empty."),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_place(values: Any, words: str) -> None:
    with pytest.raises(ManifestError) as error:
        parse(*values)
    assert words in str(error.value)
    assert all(problem.line for problem in error.value.problems)


def test_a_secret_nobody_has_is_a_problem_where_secrets_are_known() -> None:
    container = {**WEB["containerDefinitions"][0], "secrets": [{"name": "P", "valueFrom": "/p/db"}]}
    value = {**WEB, "containerDefinitions": [container]}
    assert parse(value).apps[0].environment == {}
    assert parse(value, secrets={"/p/db": "x"}).apps[0].environment == {"P": "x"}
    with pytest.raises(ManifestError, match="secrets as p/db"):
        parse(value, secrets={})


def test_a_volume_that_outlives_its_task_here_is_warned_of() -> None:
    mount = {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}
    containers = [{"name": n, "image": "x", "memory": 64, **mount} for n in "ab"]
    manifest = parse({**WEB, "containerDefinitions": containers, "volumes": [{"name": "v"}]})
    assert [w.path for w in manifest.warnings] == ["volumes[0]"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (json.dumps(WEB), True),
        ('\n {"family": ', True),
        (json.dumps({"services": {"web": {"image": "x", "labels": {"family": "y"}}}}), False),
        ("services: {}", False),
        ("{}", False),
    ],
)
def test_ecs_is_told_from_compose_by_its_words(text: str, wanted: bool) -> None:
    assert is_ecs(text) is wanted


HUGE = 12_000
LONG_CHAIN = [
    {**WEB["containerDefinitions"][0], "name": f"c{n}", "links": [f"c{n + 1}"]}
    for n in range(HUGE // 2)
]


@pytest.mark.parametrize(
    "change",
    [
        {"containerDefinitions": LONG_CHAIN},
        {"portMappings": [{"containerPortRange": "1-60000"}] * HUGE},
        {"portMappings": [{"containerPort": 80}] * HUGE},
        {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}] * HUGE},
        {"environment": [{"name": f"A{n}", "value": ""} for n in range(HUGE)]},
        {f"x{n}": 1 for n in range(HUGE)},
    ],
    ids=["containers", "ranges", "ports", "mounts", "variables", "keys"],
)
def test_however_much_there_is_of_something_it_is_answered(change: dict[str, Any]) -> None:
    container = {**WEB["containerDefinitions"][0], **change}
    value = {**WEB, "containerDefinitions": [container], "volumes": [{"name": "v"}]}
    value |= {key: inner for key, inner in change.items() if key in WEB}
    parse_or_refuse({"a.json": json.dumps(value)})


KEYS = sorted(
    {p.rpartition(".")[2] for p in (*task_fields(), *service_fields())} | {"x", "taskDefinition"}
)
SCALARS = st.sampled_from(
    [None, True, False, 0, -1, 80, 70000, 10**12, 1.5, "", "web", "0", "80-90", "x" * 300, "awsvpc", "HEALTHY", "é", "CMD",
     "arn:aws:ecs:a:b:c", "awslogs", "FARGATE", "\u0000"]
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


def parse_or_refuse(documents: dict[str, str]) -> None:
    """Apps, or problems with places: nothing else may come of any file."""
    try:
        manifest = parse_ecs(documents, stack="shop", secrets={})
    except ManifestError as error:
        for problem in error.problems:
            assert problem.line > 0
            assert problem.message
            assert "\n" not in problem.message
        return
    for app in manifest.apps:
        assert len({spec.name for spec in app.ports}) == len(app.ports)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    keys=st.dictionaries(st.sampled_from(KEYS), TREES, max_size=6),
    inner=st.dictionaries(st.sampled_from(KEYS), TREES, max_size=6),
    service=st.dictionaries(st.sampled_from(KEYS), TREES, max_size=6),
)
def test_any_value_under_any_key_is_apps_or_a_refusal_with_places(
    keys: dict[str, object], inner: dict[str, object], service: dict[str, object]
) -> None:
    container = {**WEB["containerDefinitions"][0], **inner}
    value = {**WEB, "containerDefinitions": [container], **keys}
    parse_or_refuse({"a.json": json.dumps(value), "b.json": json.dumps({**SERVICE, **service})})


KNOWN = json.dumps({**WEB, "networkMode": "bridge", "volumes": [{"name": "v"}]}, indent=1)


@settings(max_examples=examples(300), deadline=None)
@given(
    at=st.integers(0, len(KNOWN)),
    removed=st.integers(0, 9),
    piece=st.sampled_from(["", "{", "}", '"', ",", "[", "null", "0", ":", "\\", "//", "\x00"]),
)
def test_a_broken_file_is_apps_or_a_refusal_with_places(at: int, removed: int, piece: str) -> None:
    parse_or_refuse({"a.json": KNOWN[:at] + piece + KNOWN[at + removed :]})
