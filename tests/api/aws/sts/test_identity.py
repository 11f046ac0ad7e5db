"""STS: who calls, and credentials that end, with boto3."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from portway.api.aws.keys import SessionCredentials, open_session
from portway.api.roles import Role
from portway.controller.clock import SystemClock
from tests.api.aws.conftest import ServedFace, serving_face

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


def credentials(answer: dict[str, Any]) -> SessionCredentials:
    given = answer["Credentials"]
    return SessionCredentials(
        access_key_id=given["AccessKeyId"],
        secret=given["SecretAccessKey"],
        token=given["SessionToken"],
        expires_at_ms=int(given["Expiration"].timestamp() * 1000),
    )


async def who(face: ServedFace, key: Any) -> dict[str, Any]:
    return await asyncio.to_thread(face.client("sts", key).get_caller_identity)


async def test_a_session_is_its_callers_own(face: ServedFace) -> None:
    session = credentials(await face.ask("sts", "get_session_token", DurationSeconds=900))
    assert (await who(face, session))["Arn"] == "arn:aws:iam::000000000000:user/default"
    with pytest.raises(ClientError, match="with session credentials"):
        await asyncio.to_thread(face.client("sts", session).get_session_token)


async def test_a_role_is_assumed_by_its_arn(face: ServedFace) -> None:
    role = await face.ask("iam", "create_role", RoleName="r", AssumeRolePolicyDocument=TRUST)
    arn = role["Role"]["Arn"]
    answer = await face.ask("sts", "assume_role", RoleArn=arn, RoleSessionName="ss")
    assert answer["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/r/ss"
    assert (await who(face, credentials(answer)))["Arn"] == answer["AssumedRoleUser"]["Arn"]


async def test_a_role_nobody_made_is_not_assumed(face: ServedFace) -> None:
    arn = "arn:aws:iam::000000000000:role/none"
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        await face.ask("sts", "assume_role", RoleArn=arn, RoleSessionName="ss")


async def test_a_role_is_not_assumed_for_longer_than_it_allows(face: ServedFace) -> None:
    await face.ask("iam", "create_role", RoleName="r", AssumeRolePolicyDocument=TRUST)
    arn = "arn:aws:iam::000000000000:role/r"
    with pytest.raises(ClientError, match="MaxSessionDuration"):
        await face.ask(
            "sts", "assume_role", RoleArn=arn, RoleSessionName="ss", DurationSeconds=3601
        )


async def test_a_session_may_no_more_than_its_key(face: ServedFace) -> None:
    reader = face.keys.create("reader", Role.READ, now_ms=0)
    session = credentials(await asyncio.to_thread(face.client("sts", reader).get_session_token))
    assert (await asyncio.to_thread(face.client("iam", session).list_roles))["Roles"] == []
    with pytest.raises(ClientError, match="is not authorized to perform: iam:CreateRole"):
        await asyncio.to_thread(
            lambda: face.client("iam", session).create_role(
                RoleName="r", AssumeRolePolicyDocument=TRUST
            )
        )


async def test_a_session_ends_with_its_key(face: ServedFace) -> None:
    other = face.keys.create("other", Role.ADMIN, now_ms=0)
    session = credentials(await asyncio.to_thread(face.client("sts", other).get_session_token))
    face.keys.revoke("other")
    with pytest.raises(ClientError) as caught:
        await who(face, session)
    assert caught.value.response["Error"]["Code"] == "InvalidClientTokenId"


async def test_a_changed_session_token_is_none(face: ServedFace) -> None:
    session = credentials(await face.ask("sts", "get_session_token"))
    for token in (session.token[:-4] + "AAAA", session.token + "AAAA", "x", "AAAA" * 2000):
        with pytest.raises(ClientError):
            await who(face, replace(session, token=token))


async def test_a_session_that_ended_is_refused_as_such(tmp_path: Path) -> None:
    clock, ended_ms = SystemClock(), 0
    async with serving_face(tmp_path, now_ms=clock.now_ms) as face:
        session = open_session(face.key, expires_at_ms=ended_ms)
        with pytest.raises(ClientError) as caught:
            await who(face, session)
    assert caught.value.response["Error"]["Code"] == "ExpiredToken"
