"""Members with values that nobody means: wrong types, huge numbers, odd texts, unknown names. Refused or done, never a 5xx."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import cbor2
import pytest

from portway.api.aws.operation import load_service
from portway.api.aws.wire.services import SERVICES, Service
from portway.api.aws.wire.shapes import LIST_ITEM, MAP_VALUE, Kind, Shape
from tests.api.aws.direct import Direct
from tests.controller.inprocess import running_portway

ARN = "arn:aws:{}:us-east-1:000000000000:{}"
TEXTS = (
    "", "c", "web", "web:1", "default", "a" * 300, "\n", "a\0b", "é", "\U0001f600", "-1", "1e9", "10.0.0.0/8", "::/0",
    "traffic-port", "HTTP", "true", "*", "i-1", "sg-1", "{}", "<a>&", "%s", "../..", "service/c/web", "ecs",
    ARN.format("ecs", "cluster/c"), ARN.format("ecs", "service/c/web"), ARN.format("ecs", "task/c/1"),
    ARN.format("elasticloadbalancing", "targetgroup/tg/0123456789abcdef"), ARN.format("acm", "certificate/1"), "arn:aws",
)  # fmt: skip
NUMBERS = (-1, 0, 1, 2, 80, 65536, 2**31 - 1, 2**31, 2**63, 10**30, 0.5)
WRONG = (None, True, 7, -(2**70), "text", [], [[]], {}, {"a": {"b": [1]}}, ["x", None], 1e308)
EACH = 6  # requests of one operation


def value_of(shape: Shape, random: Random, depth: int = 0) -> Any:
    """A value of the shape, more or less."""
    if random.random() < 0.06:
        return random.choice(WRONG)
    match shape.kind:
        case Kind.STRUCTURE:
            return dict(_members(shape, random, depth))
        case Kind.LIST:
            items = random.choice((0, 1, 1, 2)) if depth < 4 else 0
            return [value_of(shape.members[LIST_ITEM], random, depth + 1) for _ in range(items)]
        case Kind.MAP:
            return {random.choice(TEXTS): value_of(shape.members[MAP_VALUE], random, depth + 1)}
        case Kind.STRING:
            is_known = bool(shape.enum) and random.random() < 0.8
            return random.choice(shape.enum if is_known else TEXTS)
        case Kind.BOOLEAN:
            return random.random() < 0.5
        case Kind.BLOB:
            return base64.b64encode(random.randbytes(8)).decode()
        case _:
            return random.choice(NUMBERS)


def _members(shape: Shape, random: Random, depth: int) -> Iterator[tuple[str, Any]]:
    for name, member in shape.members.items():
        likely = 0.95 if name in shape.required else 0.3 if depth else 0.4
        if random.random() < likely:
            yield name, value_of(member, random, depth + 1)
    if random.random() < 0.2:
        yield "Nonsense", random.choice(WRONG)


def flattened(value: Any, name: str, *, is_ec2: bool) -> Iterator[tuple[str, str]]:
    """As forms have it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flattened(inner, f"{name}.{key}" if name else key, is_ec2=is_ec2)
    elif isinstance(value, list):
        for number, inner in enumerate(value, 1):
            yield from flattened(inner, f"{name}.{number}" if is_ec2 else f"{name}.member.{number}", is_ec2=is_ec2)  # fmt: skip
    elif value is not None:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)


def written(service: Service, operation: str, value: Any) -> tuple[dict[str, str], bytes]:
    """The headers and the body of a request."""
    if service.target_prefix:
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"{service.target_prefix}.{operation}"}  # fmt: skip
        return headers, json.dumps(value).encode()
    is_ec2 = service.name == "ec2"
    given = value if isinstance(value, dict) else {"Nonsense": value}
    pairs = {"Action": operation, "Version": service.version} | dict(flattened(given, "", is_ec2=is_ec2))  # fmt: skip
    form = {"content-type": "application/x-www-form-urlencoded"}
    return form, urlencode(pairs).encode()


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
async def test_no_value_of_any_member_is_a_server_error(service: Service, tmp_path: Path) -> None:
    model, operations = load_service(service.name)
    random = Random(service.name)  # always the same requests
    wrong: list[Any] = []
    async with running_portway() as portway:
        direct = Direct(
            portway.operations,
            documents=portway.store.documents,
            keys=tmp_path,
            now_ms=portway.clock.now_ms,
        )
        for name in sorted(operations) * EACH:
            shape = model.operations[name].input
            value = value_of(shape, random) if shape else {}
            headers, body = written(service, name, value)
            status, _, answer = await direct.send(headers, body)
            if status >= 500:
                wrong.append((name, value, answer))
    assert wrong == []


@pytest.mark.parametrize(
    "body",
    [
        b"\xff", b"\xa1", b"\xbf", b"\xd9\xd9\xf7", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", b"\xc2\x58\x40" + b"\xff" * 64,
        cbor2.dumps([1]), cbor2.dumps({1: 2}), cbor2.dumps({"ResourceARNList": 5, "x": {"y": []}}),
        cbor2.dumps({"TagFilters": [{"Key": None, "Values": {"a": 1}}]}), b"\xf9\x7e\x00", b"\x81" * 5000,
    ],
)  # fmt: skip
async def test_bad_cbor_is_no_server_error(body: bytes, tmp_path: Path) -> None:
    async with running_portway() as portway:
        documents = portway.store.documents
        direct = Direct(portway.operations, documents=documents, keys=tmp_path, now_ms=lambda: 0)
        path = "/service/ResourceGroupsTaggingAPI_20170126/operation/GetResources"
        headers = {"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor"}
        status, told, _ = await direct.send(headers, body, path=path)
    assert status < 500
    assert told["smithy-protocol"] == "rpc-v2-cbor"


@pytest.mark.parametrize(
    "body",
    ["", "&&&", "=", "Action", "Action=&Version=", "%", "%zz=1", "Action=DescribeTags&Version=2015-12-01&ResourceArns.member.99999999999=a",
     "Action=DescribeTags&Version=2015-12-01&ResourceArns.member.-1=a", "Action=DescribeTags&Version=2015-12-01&ResourceArns.member=a&ResourceArns.member.1.2.3=b",
     "Action=DescribeTags&Version=2015-12-01&" + "a." * 3000 + "b=1", "Action=" + "A" * 5000, "Action=DescribeTags&Action=CreateRule&Version=2015-12-01", "Action=\n&Version=2015-12-01"],
)  # fmt: skip
async def test_bad_forms_are_no_server_error(body: str, tmp_path: Path) -> None:
    async with running_portway() as portway:
        documents = portway.store.documents
        direct = Direct(portway.operations, documents=documents, keys=tmp_path, now_ms=lambda: 0)
        form = {"content-type": "application/x-www-form-urlencoded"}
        status, _, answer = await direct.send(form, body.encode())
    assert status < 500
    assert status == 200 or b"<Error>" in answer or b"__type" in answer
