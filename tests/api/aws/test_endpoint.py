"""The AWS face as its clients see it: over a socket, in each protocol, signed and not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import cbor2
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from portway.api.aws import operation as registry
from portway.api.aws.operation import Operation, Request
from portway.api.roles import Role
from portway.api.settings import ApiSettings
from portway.core.errors import EngineError, RequestError

from .conftest import ServedFace, serving_face

FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
WHO = urlencode({"Action": "GetCallerIdentity", "Version": "2011-06-15"})
LIST = {"X-Amz-Target": "CertificateManager.ListCertificates", "Content-Type": "application/x-amz-json-1.1"}  # fmt: skip


def signed(
    face: ServedFace, headers: dict[str, str], body: bytes | str, *, service: str, path: str = "/"
) -> dict[str, str]:
    """The headers of a request that botocore signed."""
    request = AWSRequest(method="POST", url=face.url + path, data=body, headers=dict(headers))
    credentials = Credentials(face.key.access_key_id, face.key.secret)
    SigV4Auth(credentials, service, face.region).add_auth(request)
    return dict(request.headers.items())


async def post(
    face: ServedFace, headers: dict[str, str], body: bytes | str, path: str = "/"
) -> tuple[int, str, Any]:
    """(status, body, headers) of a request, as it is."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(face.url + path, data=body, headers=headers) as answer,
    ):
        return answer.status, await answer.text(errors="replace"), answer.headers


async def test_a_signed_request_is_answered_with_its_id(face: ServedFace) -> None:
    identity = await face.ask("sts", "get_caller_identity")
    assert identity["Account"] == "000000000000"
    assert identity["Arn"] == "arn:aws:iam::000000000000:user/default"
    assert len(identity["ResponseMetadata"]["RequestId"]) == 36


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("ecs", "list_daemons", "UnknownOperationException"),
        ("elbv2", "describe_trust_stores", "InvalidAction"),
        ("ec2", "describe_fleets", "InvalidAction"),
        ("cloudwatch", "list_dashboards", "UnknownOperationException"),
    ],
)
async def test_an_operation_portway_does_not_have_is_answered_with_a_sentence(
    face: ServedFace, service: str, operation: str, code: str
) -> None:
    with pytest.raises(ClientError, match="portway does not do") as caught:
        await face.ask(service, operation)
    assert caught.value.response["Error"]["Code"] == code


async def test_an_operation_aws_does_not_have_is_answered_as_such(face: ServedFace) -> None:
    body = urlencode({"Action": "Nonsense", "Version": "2011-06-15"})
    status, text, _ = await post(face, signed(face, FORM, body, service="sts"), body)
    assert status == 400
    assert "<Code>InvalidAction</Code>" in text
    assert "Could not find operation Nonsense for version 2011-06-15" in text


async def test_a_service_portway_does_not_speak_is_named(face: ServedFace) -> None:
    with pytest.raises(ClientError, match='does not speak the AWS service "DynamoDB_20120810"'):
        await face.ask("dynamodb", "list_tables")


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        (LIST, "{}", 400, "MissingAuthenticationTokenException"),
        (FORM, WHO, 403, "MissingAuthenticationToken"),
        ({**LIST, "Authorization": "AWS4-HMAC-SHA256 x"}, "{}", 400, "IncompleteSignatureException"),
        ({**FORM, "Authorization": "AWS4-HMAC-SHA256 x"}, WHO, 400, "IncompleteSignature"),
        ({**LIST, "Authorization": "Bearer x"}, "{}", 400, "MissingAuthenticationTokenException"),
    ],
)  # fmt: skip
async def test_what_is_not_signed_is_refused_before_it_is_read(
    face: ServedFace, headers: dict[str, str], body: str, status: int, code: str
) -> None:
    answer = await post(face, headers, body)
    assert answer[0] == status
    assert code in answer[1]
    assert answer[2]["x-amzn-requestid"]


@pytest.mark.parametrize(
    ("service", "headers", "body", "status", "code"),
    [
        ("acm", LIST, "{}", 400, "InvalidSignatureException"),
        ("sts", FORM, WHO, 403, "SignatureDoesNotMatch"),
        ("ec2", FORM, "Action=DescribeVpcs&Version=2016-11-15", 401, "AuthFailure"),
    ],
)
async def test_a_wrong_signature_is_refused_in_the_words_of_its_protocol(
    face: ServedFace, service: str, headers: dict[str, str], body: str, status: int, code: str
) -> None:
    given = signed(face, headers, body, service=service)
    head, _, signature = given["Authorization"].rpartition("=")
    given["Authorization"] = f"{head}={'0' * 64}"
    answer = await post(face, given, body)
    assert (answer[0], code in answer[1]) == (status, True)
    # Of a key that nobody has, nothing else is said.
    given["Authorization"] = f"{head}={signature}".replace(face.key.access_key_id, "AKIA" + "A" * 16)  # fmt: skip
    unknown = await post(face, given, body)
    assert any(word in unknown[1] for word in ("UnrecognizedClient", "InvalidClientTokenId", "AuthFailure"))  # fmt: skip


async def test_a_signature_for_another_service_or_region_is_refused(face: ServedFace) -> None:
    status, text, _ = await post(face, signed(face, LIST, "{}", service="ecs"), "{}")
    assert (status, "scoped to correct service: 'acm'" in text) == (400, True)
    client = face.client("acm", region_name="eu-west-1")
    with pytest.raises(ClientError, match="This portway is the region us-east-1"):
        await asyncio.to_thread(client.list_certificates)


async def test_a_presigned_request_is_answered(face: ServedFace) -> None:
    request = AWSRequest(method="GET", url=f"{face.url}/?{WHO}")
    credentials = Credentials(face.key.access_key_id, face.key.secret)
    SigV4QueryAuth(credentials, "sts", face.region, 60).add_auth(request)
    async with aiohttp.ClientSession() as session:
        from yarl import URL

        async with session.get(URL(request.url, encoded=True)) as answer:
            assert answer.status == 200
            assert "<Arn>arn:aws:iam::000000000000:user/default</Arn>" in await answer.text()
        async with session.get(URL(request.url.replace("GetCallerIdentity", "GetSessionToken"), encoded=True)) as answer:  # fmt: skip
            assert answer.status == 403


async def test_cbor_is_answered_with_cbor(face: ServedFace) -> None:
    path = "/service/GraniteServiceVersion20100801/operation/ListDashboards"
    headers = {"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}
    body = cbor2.dumps({})
    given = signed(face, headers, body, service="monitoring", path=path)
    async with (
        aiohttp.ClientSession() as session,
        session.post(face.url + path, data=body, headers=given) as answer,
    ):
        assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"
        told = cbor2.loads(await answer.read())
    assert told["__type"] == "UnknownOperationException"


async def test_what_breaks_the_model_is_told_as_aws_does(face: ServedFace) -> None:
    body = urlencode({"Action": "CreateRole", "Version": "2010-05-08", "RoleName": "a/b"})
    _, text, _ = await post(face, signed(face, FORM, body, service="iam"), body)
    assert "<Code>ValidationError</Code>" in text
    assert "2 validation errors detected" in text
    assert "Value null at 'assumeRolePolicyDocument' failed to satisfy constraint" in text
    for given, told in (
        ('{"MaxItems": "1"}', "STRING_VALUE can not be converted to an Integer"),
        ('{"MaxItems": 0}', "Member must have value greater than or equal to 1"),
        ('{"SortBy": "x"}', "Member must satisfy enum value set: [CREATED_AT]"),
        ("{", "The body is not JSON"),
        ("[]", "Start of structure"),
    ):
        status, text, _ = await post(face, signed(face, LIST, given, service="acm"), given)
        assert (status, told in text) == (400, True), text


async def test_members_that_aws_does_not_know_are_ignored(face: ServedFace) -> None:
    body = '{"Nonsense": [1], "MaxItems": 1}'
    status, _, _ = await post(face, signed(face, LIST, body, service="acm"), body)
    assert status == 200


async def test_a_key_that_reads_changes_nothing(face: ServedFace) -> None:
    reader = face.keys.create("reader", Role.READ, now_ms=0)
    client = face.client("iam", reader)
    assert (await asyncio.to_thread(client.list_roles))["Roles"] == []
    with pytest.raises(ClientError, match="is not authorized to perform: iam:DeleteRole"):
        await asyncio.to_thread(lambda: client.delete_role(RoleName="r"))


async def test_over_the_unix_socket_nothing_needs_a_signature(face: ServedFace) -> None:
    connector = aiohttp.UnixConnector(str(face.unix_socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post("http://localhost/", data=WHO, headers=FORM) as answer,
    ):
        assert answer.status == 200
        assert "arn:aws:iam::000000000000:root" in await answer.text()


async def test_unverified_nothing_needs_a_signature_but_web_pages_stay_out(tmp_path: Path) -> None:
    async with serving_face(tmp_path, verify_signatures=False) as face:
        assert (await post(face, FORM, WHO))[0] == 200
        assert (await post(face, {**FORM, "Authorization": "AWS4-HMAC-SHA256 x"}, WHO))[0] == 200
        assert (await post(face, {**FORM, "Origin": "http://evil.example"}, WHO))[0] == 403
        assert (await post(face, {**FORM, "Host": "evil.example"}, WHO))[0] == 421
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{face.url}/?{WHO}", headers={"Sec-Fetch-Mode": "navigate"}) as answer,
        ):
            assert answer.status == 403
        made = await face.ask("sts", "get_session_token")
        assert made["Credentials"]["AccessKeyId"].startswith("ASIA")


async def test_the_token_of_the_native_api_neither_helps_nor_hinders(tmp_path: Path) -> None:
    async with serving_face(tmp_path, settings=ApiSettings(token="x" * 20)) as face:
        assert (await face.ask("sts", "get_caller_identity"))["Account"]
        bearer = {**FORM, "Authorization": f"Bearer {'x' * 20}"}
        assert (await post(face, bearer, WHO))[0] == 403
        # And a signature opens nothing of the native API.
        given = signed(face, {"Content-Type": "application/json"}, "{}", service="sts", path="/v1/stacks")  # fmt: skip
        assert (await post(face, given, "{}", "/v1/stacks"))[0] == 401


async def test_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with serving_face(tmp_path, body_size_max_bytes=1000) as face:
        body = json.dumps({"NextToken": "x" * 1000})
        status, text, _ = await post(face, signed(face, LIST, body, service="acm"), body)
        assert (status, "larger than 1000 bytes" in text) == (413, True)


def made_to(error: Exception) -> Operation:
    async def fail(*_: Any) -> dict[str, Any]:
        raise error

    return Operation(service="sts", name="GetCallerIdentity", run=fail)


@pytest.mark.parametrize(
    ("error", "status", "code", "told"),
    [
        (RequestError("No.", hint="Do."), 400, "ValidationError", "No. Do."),
        (EngineError("Docker is gone."), 503, "ServiceUnavailable", "Docker is gone."),
        (KeyError("secret"), 500, "InternalFailure", "portway itself made a mistake"),
        (AssertionError("secret"), 500, "InternalFailure", "The server's log has the details"),
    ],
)
async def test_what_fails_behind_the_wire_is_a_sentence_and_never_a_traceback(
    face: ServedFace,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    code: str,
    told: str,
) -> None:
    operations = registry.load_service("sts")[1]
    monkeypatch.setitem(operations, "GetCallerIdentity", made_to(error))  # type: ignore[arg-type]
    answer = await post(face, signed(face, FORM, WHO, service="sts"), WHO)
    assert answer[0] == status
    assert f"<Code>{code}</Code>" in answer[1]
    assert told in answer[1]
    assert "secret" not in answer[1]
    assert "Traceback" not in answer[1]


async def test_an_answer_that_does_not_fit_its_model_is_our_mistake(
    face: ServedFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def odd(_: Any, request: Request) -> dict[str, Any]:
        return {"Nonsense": request.operation}

    operations = registry.load_service("sts")[1]
    made = Operation(service="sts", name="GetCallerIdentity", run=odd)
    monkeypatch.setitem(operations, "GetCallerIdentity", made)  # type: ignore[arg-type]
    assert (await post(face, signed(face, FORM, WHO, service="sts"), WHO))[0] == 500


async def test_requests_are_counted(face: ServedFace) -> None:
    await face.ask("sts", "get_caller_identity")
    await post(face, FORM, WHO)
    connector = aiohttp.UnixConnector(str(face.unix_socket))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://localhost/metrics") as answer,
    ):
        page = await answer.text()
    assert 'portway_aws_requests_total{service="sts",operation="GetCallerIdentity",code=""} 1' in page  # fmt: skip
    assert 'code="MissingAuthenticationToken"} 1' in page


async def test_an_idle_server_loads_no_service_model() -> None:
    asked = "import sys, portway.api.app, portway.assemble; print('botocore' in sys.modules, 'cbor2' in sys.modules)"
    import sys

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", asked, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().split() == ["False", "False"]
