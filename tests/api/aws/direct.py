"""The AWS face asked without a socket: botocore writes the requests and reads the answers, on whatever time the test has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from portway.api.aws.endpoint import AwsEndpoint
from portway.api.aws.operation import load_service
from portway.api.aws.settings import AwsSettings

HOST = "127.0.0.1:4566"


@cache
def model_of(service: str) -> ServiceModel:
    """Botocore's own model of a service."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service_name=service)


class RefusedError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message = status, code, message


class Direct:
    """Asks one endpoint as an administrator whose signature nobody looks at, unless `settings` say otherwise."""

    def __init__(self, operations: Any, **settings: Any) -> None:
        given = {"verify_signatures": False, "keys": Path("/nowhere"), **settings}
        self.endpoint = AwsEndpoint(operations, AwsSettings(**given))

    async def ask(self, service: str, operation: str, /, **members: Any) -> dict[str, Any]:
        """What boto3 would give back; RefusedError for an error."""
        model = model_of(service)
        shape = model.operation_model(operation)
        protocol = model.metadata["protocol"]
        request = create_serializer(protocol).serialize_to_request(members, shape)
        body = request["body"]
        content = urlencode(body).encode() if isinstance(body, dict) else body
        headers = {"content-type": "application/x-www-form-urlencoded", **request["headers"]}
        load_service(service)  # not in a thread: where time is virtual, it would run away meanwhile
        status, told, answer = await self.send(headers, content)
        response = {"status_code": status, "headers": told, "body": answer}
        parsed = create_parser(protocol).parse(response, shape.output_shape)
        if status >= 300:
            error = parsed["Error"]
            raise RefusedError(status, error["Code"], error["Message"])
        parsed.pop("ResponseMetadata", None)
        return parsed

    async def refusal(self, service: str, operation: str, /, **members: Any) -> tuple[str, str]:
        """The code and the message of what is refused."""
        with pytest.raises(RefusedError) as caught:
            await self.ask(service, operation, **members)
        return caught.value.code, caught.value.message

    async def send(
        self, headers: Mapping[str, str], body: bytes, *, path: str = "/"
    ) -> tuple[int, dict[str, str], bytes]:
        """One POST as it is: the status, the headers and the body of the answer."""
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        raw = {"host": HOST, **{name.lower(): value for name, value in headers.items()}}
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(n.encode("latin-1"), v.encode("latin-1")) for n, v in raw.items()],
        }
        await self.endpoint(scope, receive, send)
        told = {n.decode("latin-1"): v.decode("latin-1") for n, v in sent[0]["headers"]}
        return sent[0]["status"], told, sent[1]["body"]
