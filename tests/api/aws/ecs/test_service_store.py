"""Services as they are kept, and the App that is made of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from portway.api.aws.ecs.definitions import Definition
from portway.api.aws.ecs.service_store import Service, app_for, secrets_for, service_of
from portway.api.aws.errors import AwsError
from portway.core.ecs.labels import SERVICE, origin_of
from portway.core.state import AppState
from portway.store.base import Document
from tests.api.aws.faces import ARNS, made_face
from tests.api.fakes import FakeOperations
from tests.core.ecs.made import state

WEB = Service(
    cluster="c",
    name="web",
    arn=f"{ARNS}service/c/web",
    status="ACTIVE",
    created_at_ms=7,
    task_definition=f"{ARNS}task-definition/web:1",
    spec={"desiredCount": 2},
    tags=({"key": "k", "value": "v"},),
    request={"serviceName": "web"},
    created_by="arn:aws:iam::000000000000:root",
)
CONTAINER: dict[str, Any] = {"name": "web", "image": "web", "memory": 64}


def definition(**container: Any) -> Definition:
    body = {"family": "web", "containerDefinitions": [{**CONTAINER, **container}]}
    return Definition(
        family="web", revision=1, arn=WEB.task_definition, status="ACTIVE", body=body, tags=()
    )


def test_what_is_kept_comes_back() -> None:
    document = Document(kind="ecs.service", key=WEB.arn, version=1, body=WEB.body())
    assert service_of(document) == WEB


def test_what_was_kept_before_a_member_was_there_is_read() -> None:
    body = {"cluster": "c", "name": "web", "arn": WEB.arn}
    found = service_of(Document(kind="ecs.service", key=WEB.arn, version=1, body=body))
    assert (found.status, found.spec, found.tags, found.request) == ("ACTIVE", {}, (), None)


@pytest.mark.parametrize(
    ("of", "status"),
    [(state(), "ACTIVE"), (state(target=None), "DRAINING"), (None, "INACTIVE")],
    ids=["runs", "leaves", "gone"],
)
def test_its_status_is_what_is_left_of_it(of: AppState | None, status: str) -> None:
    assert WEB.status_with(of) == status


def test_a_daemon_and_a_classic_service_are_known_by_what_was_said() -> None:
    assert not WEB.is_daemon
    assert not WEB.is_classic
    assert replace(WEB, spec={"schedulingStrategy": "DAEMON"}).is_daemon
    assert replace(WEB, spec={"loadBalancers": [{"loadBalancerName": "httpd"}]}).is_classic


async def test_its_app_says_which_service_it_is() -> None:
    app = await app_for(made_face(), WEB, definition())
    assert (app.id, app.image) == ("c/web", "web")
    origin = origin_of(app)
    assert origin is not None
    assert (origin.kind, origin.cluster, origin.service) == (SERVICE, "c", "web")
    assert origin.task_definition == WEB.task_definition


class Secretive(FakeOperations):
    """Has one secret."""

    async def secrets(self, names: Sequence[str]) -> Mapping[str, str]:
        return {name: "s3cret" for name in names if name == "db"}


async def test_secrets_are_had_or_refused_by_name() -> None:
    face = made_face(Secretive())
    secret = {"name": "PASSWORD", "valueFrom": "db"}
    app = await app_for(face, WEB, definition(secrets=[secret]))
    assert app.environment["PASSWORD"] == "s3cret"  # noqa: S105
    body = definition(secrets=[{"name": "TOKEN", "valueFrom": "nobody"}]).body
    with pytest.raises(AwsError, match="nobody") as caught:
        await secrets_for(face, body)
    assert caught.value.code == "ClientException"


async def test_nobody_is_asked_for_secrets_where_there_are_none() -> None:
    operations = FakeOperations()
    assert await secrets_for(made_face(operations), definition().body) == {}
    assert operations.calls == []
