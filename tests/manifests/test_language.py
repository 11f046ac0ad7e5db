"""A manifest is read in its own language; compose is what is left."""

from __future__ import annotations

import json

import pytest

from portway.core.errors import ManifestError
from portway.manifests.language import (
    COMPOSE,
    ECS,
    Source,
    language_of,
    named_secrets,
    parse_manifest,
)

TASK = json.dumps(
    {
        "family": "web",
        "containerDefinitions": [
            {"name": "w", "image": "x", "memory": 64, "secrets": [{"name": "A", "valueFrom": "s"}]}
        ],
    }
)


def test_the_language_of_a_text_is_found_by_what_it_says() -> None:
    assert language_of(TASK) is ECS
    assert language_of("services: {}") is COMPOSE
    assert language_of("") is COMPOSE


def test_both_languages_become_apps() -> None:
    (task,) = parse_manifest(Source(text=TASK, file="t.json", stack="s")).apps
    (web,) = parse_manifest(Source(text="services: {web: {image: x}}", file="c", stack="s")).apps
    assert (task.id, web.id) == ("s/web", "s/web")


def test_several_files_are_one_manifest() -> None:
    service = json.dumps({"serviceName": "front", "taskDefinition": "web", "desiredCount": 3})
    source = Source(text=service, file="s.json", stack="s", files={"t.json": TASK})
    assert [(app.name, app.count) for app in parse_manifest(source).apps] == [("front", 3)]
    assert named_secrets(source) == ("s",)


def test_the_secrets_of_what_cannot_be_read_are_none() -> None:
    assert named_secrets(Source(text="services: {}", file="c", stack="s")) == ()
    for text in ('{"family": ', '{"containerDefinitions": [{"secrets": [{}]}]}'):
        source = Source(text=text, file="t.json", stack="s")
        assert named_secrets(source) == ()
        with pytest.raises(ManifestError):
            parse_manifest(source)


def test_files_need_no_variables() -> None:
    references = ECS.references(TASK, "t.json", {})
    assert (references.variables, references.files) == ((), ())
